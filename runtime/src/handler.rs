//! What answers a route.

use std::sync::Arc;

use http::Method;

use crate::error::Refusal;
use crate::files::{self, Root};
use crate::limits::Limits;
use crate::observe::Visit;
use crate::redirect::Redirect;
use crate::request::{Payload, Request};
use crate::respond::{self, Response};
use crate::router::Found;
use crate::tenant::{Taken, Tenant};
use crate::wasm::App;

/// What answers a route.
#[derive(Clone)]
pub(crate) enum Handler {
    /// A component.
    App(Arc<App>),
    /// A directory of static files.
    Files(Arc<Root>),
    /// Another address.
    Redirect(Arc<Redirect>),
}

/// A route of a tenant: what answers it, within which limits.
pub(crate) struct Route {
    /// Its pattern: its name in logs.
    pub(crate) name: Arc<str>,
    pub(crate) handler: Handler,
    pub(crate) limits: Arc<Limits>,
}

impl Route {
    /// Answers a request.
    pub(crate) async fn answer(
        &self,
        request: &Arc<Request>,
        payload: Payload,
        found: Found,
        tenant: &Tenant,
        visit: &mut Visit,
    ) -> Result<Response, Refusal> {
        match &self.handler {
            Handler::App(app) => {
                let mut memory = Taken::nothing(tenant.memory.clone());
                let body = payload.read(&self.limits, &mut memory).await?;
                visit.bytes_in = body.len();
                let permit = tenant.admit().await?;
                let answer = app.answer(request, body, found, &self.name).await;
                drop(permit);
                // The guests of the other connections that are ready run before
                // any answer is written: code stays in the caches, and a client
                // is woken once for many answers (docs/architecture.md).
                tokio::task::yield_now().await;
                Ok(answer?)
            }
            Handler::Files(root) => {
                if request.method == Method::OPTIONS {
                    return Ok(respond::options(&OF_FILES));
                }
                if !reads(&request.method) {
                    return Err(Refusal::MethodNotAllowed { allow: OF_FILES.to_vec() });
                }
                let path = found.path_info(&request.path);
                files::answer(root, path, request)?.ok_or(Refusal::NotFound)
            }
            Handler::Redirect(redirect) => Ok(redirect.answer(request, &found)),
        }
    }
}

/// What can be done with static files.
const OF_FILES: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];

/// Whether a method asks for what is there.
pub(crate) fn reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}
