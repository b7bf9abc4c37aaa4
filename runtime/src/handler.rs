//! What answers a route.

use std::sync::Arc;

use http::Method;
use http::header::{self, HeaderMap, HeaderValue};

use crate::compress::{self, Encoders};
use crate::conditions::reads;
use crate::error::Refusal;
use crate::files::Files;
use crate::limits::Limits;
use crate::redirect::Redirect;
use crate::request::{Payload, Request};
use crate::respond::{self, Response};
use crate::router::Found;
use crate::tenant::Tenant;
use crate::wasm::{Mounted, Work};

/// What answers a route.
#[derive(Clone)]
pub(crate) enum Handler {
    /// A component.
    App(Arc<Mounted>),
    /// A directory of static files.
    Files(Arc<Files>),
    /// Another address.
    Redirect(Arc<Redirect>),
    /// Nothing: a file that the route names is broken, for this reason.
    Broken(Arc<str>),
}

/// A route of a tenant: what answers it, within which limits.
pub(crate) struct Route {
    /// Its pattern: its name in logs.
    pub(crate) name: Arc<str>,
    pub(crate) handler: Handler,
    pub(crate) limits: Arc<Limits>,
    /// Headers that every answer has.
    pub(crate) headers: HeaderMap,
    /// `Cache-Control` of good answers that have none.
    pub(crate) cache_control: HeaderValue,
    /// For an app's answers, if they are compressed.
    pub(crate) encoders: Option<Encoders>,
    /// Where its answers are encoded and tagged.
    pub(crate) work: Work,
    /// Whether an app's answers get an etag.
    pub(crate) etag: bool,
}

impl Route {
    /// The answer of a directory of files.
    ///
    /// # Errors
    /// The files do not answer this method, have nothing at this path, or cannot
    /// be read.
    pub(crate) fn file(
        files: &Files,
        request: &Arc<Request>,
        found: &Found,
    ) -> Result<Response, Refusal> {
        if request.method == Method::OPTIONS {
            return Ok(respond::options(&OF_FILES));
        }
        if !reads(&request.method) {
            return Err(Refusal::MethodNotAllowed { allow: OF_FILES.to_vec() });
        }
        let path = found.path_info(&request.path);
        files.answer(path, request)?.ok_or(Refusal::NotFound)
    }

    /// The answer of an app.
    ///
    /// # Errors
    /// The tenant has no room, the request's body is not taken, or the guest
    /// failed.
    pub(crate) async fn of_app(
        &self,
        app: &Arc<Mounted>,
        request: &Arc<Request>,
        payload: Payload,
        found: Found,
        tenant: &Tenant,
    ) -> Result<Response, Refusal> {
        let answer = self.run(app, request, payload, found, tenant).await;
        // The guests of the other connections that are ready run before any
        // answer is written: code stays in the caches, and a client is woken
        // once for many answers (docs/architecture.md).
        tokio::task::yield_now().await;
        let mut answer = answer?;
        let encoders = self.encoders.as_ref().filter(|_| compress::may_encode(&answer));
        if self.etag {
            answer = respond::with_etag(answer, request, &self.work).await;
        }
        let Some(encoders) = encoders else { return Ok(answer) };
        Ok(compress::answer(answer, request, encoders, &self.work).await)
    }

    /// Runs an app once its tenant has room. A body that is read whole is there
    /// before: a client that sends slowly holds no place.
    async fn run(
        &self,
        app: &Arc<Mounted>,
        request: &Arc<Request>,
        payload: Payload,
        found: Found,
        tenant: &Tenant,
    ) -> Result<Response, Refusal> {
        let app = app.ready(request).await?;
        if app.streams() {
            let (upload, refused) = payload.upload(&self.limits, request)?;
            let permit = tenant.admit().await?;
            return app.serve(request, upload, refused, permit, &self.name).await;
        }
        let mut memory = tenant.upload(request.remote.ip());
        let body = payload.read(&self.limits, &mut memory).await?;
        request.spent.add_received(body.len());
        let permit = tenant.admit().await?.with(memory.finish());
        Ok(app.answer(request, body, found, permit, &self.name).await?)
    }

    /// Adds to an answer the headers that the route gives to all of its own.
    pub(crate) fn add_headers(&self, answer: &mut Response) {
        if respond::is_good(answer) || matches!(self.handler, Handler::Redirect(_)) {
            add_cache_control(answer, &self.cache_control);
        }
        for (name, value) in &self.headers {
            answer.headers_mut().insert(name, value.clone());
        }
    }
}

/// Adds this `Cache-Control` to an answer, unless it has one.
pub(crate) fn add_cache_control(answer: &mut Response, value: &HeaderValue) {
    answer.headers_mut().entry(header::CACHE_CONTROL).or_insert_with(|| value.clone());
}

/// What can be done with static files.
const OF_FILES: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];
