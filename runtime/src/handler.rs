//! What answers a route.

use std::sync::Arc;

use http::Method;

use crate::error::Refusal;
use crate::files::{self, Root};
use crate::limits::Limits;
use crate::request::{Payload, Request};
use crate::respond::Response;
use crate::router::Found;
use crate::wasm::App;

/// What answers a route.
#[derive(Clone)]
pub(crate) enum Handler {
    /// A component.
    App(Arc<App>),
    /// A directory of static files.
    Files(Arc<Root>),
}

impl Handler {
    /// Answers a request.
    pub(crate) async fn answer(
        &self,
        request: Request,
        payload: Payload,
        found: Found,
        limits: &Limits,
    ) -> Result<Response, Refusal> {
        match self {
            Handler::App(app) => {
                let body = payload.read(limits).await?;
                Ok(app.answer(request, body, found).await?)
            }
            Handler::Files(root) => {
                if !reads(&request.method) {
                    return Err(Refusal::MethodNotAllowed {
                        allow: vec![Method::GET, Method::HEAD],
                    });
                }
                let file = root.find(found.path_info(&request.path)).ok_or(Refusal::NotFound)?;
                Ok(files::send(file, &request))
            }
        }
    }
}

/// Whether a method asks for what is there.
pub(crate) fn reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}
