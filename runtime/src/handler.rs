//! What answers a route.

use std::sync::Arc;

use http::Method;

use crate::error::Refusal;
use crate::files::{self, Root};
use crate::request::{Payload, Request};
use crate::respond::Response;
use crate::router::Found;
use crate::tenant::Tenant;
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
        request: Box<Request>,
        payload: Payload,
        found: Found,
        tenant: &Tenant,
    ) -> Result<Response, Refusal> {
        match self {
            Handler::App(app) => {
                let body = payload.read(&tenant.limits).await?;
                let permit = tenant.admit().await?;
                let answer = app.answer(request, body, found).await;
                drop(permit);
                // The guests of the other connections that are ready run before
                // any answer is written: code stays in the caches, and a client
                // is woken once for many answers (docs/architecture.md).
                tokio::task::yield_now().await;
                Ok(answer?)
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
