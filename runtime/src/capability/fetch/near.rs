//! Calls between apps of one tenant: `http://NAME.internal/`, without a socket.
//! The callee has its own limits, and its tenant admits it like any request.

use std::io;
use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request as HttpRequest, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, WasiBody};

use super::client::Times;
use super::sending::Sending;
use super::target::strip;
use crate::config::origins::Origin;
use crate::request::{Payload, Request};
use crate::respond::has_no_body;
use crate::tenant::Tenant;

/// How deep calls may go: loops end.
const DEPTH: u8 = 8;

/// Sends a request to another app of the tenant.
pub(super) async fn call(
    tenant: Arc<Tenant>,
    caller: Arc<Request>,
    (origin, path): (Origin, PathAndQuery),
    times: Times,
    request: HttpRequest<Sending>,
) -> Result<Response<WasiBody>, Error> {
    if caller.depth >= DEPTH {
        return Err(Error::LoopDetected);
    }
    let (mut head, body) = request.into_parts();
    head.uri = path.into();
    let host = HeaderValue::try_from(origin.authority()).ok();
    head.headers.extend(host.map(|host| (header::HOST, host)));
    let body = body.map_err(|error| io::Error::other(error.to_string())).boxed_unsync();
    let request = Request::of_app(head, &caller, origin.host.clone(), origin.port)
        .map_err(|_| Error::HttpRequestUriInvalid)?;
    let site = tenant.site().ok_or(Error::DestinationNotFound)?;
    let name = origin.app().unwrap_or_default();
    let answer = site.call(name, &request, Payload::of_app(body));
    let answer = tokio::time::timeout_at(times.until, answer).await;
    let answer = answer.map_err(|_| Error::HttpResponseTimeout)?;
    let answer = answer.ok_or(Error::DestinationNotFound)?;
    let (mut head, body) = answer.into_parts();
    let length = head.headers.remove(header::CONTENT_LENGTH);
    strip(&mut head.headers);
    let exact = body.size_hint().exact().filter(|_| !has_no_body(head.status));
    let length = length.or_else(|| exact.map(HeaderValue::from));
    head.headers.extend(length.map(|length| (header::CONTENT_LENGTH, length)));
    let body = body.map_err(|_| Error::HttpResponseIncomplete).boxed_unsync();
    Ok(Response::from_parts(head, body))
}
