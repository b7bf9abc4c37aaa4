//! The only map from an error to an HTTP answer. What the client reads says
//! nothing of the inside; the cause goes to the log with the request's id.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use sha2::{Digest, Sha256};

use crate::body::{Body, Observed};
use crate::conditions::{Outcome, Validators, reads};
use crate::error::{GuestError, Refusal};
use crate::observe::Visit;
use crate::request::Request;
use crate::tenant::Bound;
use crate::wasm::Work;

/// An answer of ours.
pub(crate) type Response = http::Response<Body>;

/// Seconds after which a client may try again when there was no room.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Whether answers of a status have no body (RFC 9110 sections 15.3.5, 15.3.6
/// and 15.4.5).
pub(crate) fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether a client gets what it asked for, or has it.
pub(crate) fn is_good(response: &Response) -> bool {
    response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED
}

/// What of a request an error's answer depends on, kept from before it is
/// checked.
pub(crate) struct Asked {
    json: bool,
}

impl Asked {
    pub(crate) fn of(headers: &HeaderMap) -> Asked {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let json = accept.is_some_and(|accept| {
            accept.contains("application/json") && !accept.contains("text/html")
        });
        Asked { json }
    }
}

/// A tenant's own pages for errors, by status.
#[derive(Default)]
pub(crate) struct ErrorPages(pub(crate) HashMap<StatusCode, ErrorPage>);

/// A page, with its type.
pub(crate) type ErrorPage = (HeaderValue, Bytes);

/// The answer to a request that was refused or failed.
pub(crate) fn refuse(
    refusal: &Refusal,
    asked: &Asked,
    visit: &Visit,
    pages: &ErrorPages,
) -> Response {
    let status = status(refusal);
    match refusal {
        Refusal::Guest(_) | Refusal::Broken(_) | Refusal::Unreadable { .. } => visit.tell(refusal),
        // A limit of a tenant was reached: it is told, as far as it may fill the log.
        Refusal::TooManyRequests(_)
        | Refusal::Overloaded { .. }
        | Refusal::Memory(_)
        | Refusal::UriTooLong(_)
        | Refusal::HeadersTooLarge(_)
        | Refusal::BodyTooLarge(_)
        | Refusal::BodyTooSlow
            if visit.tenant.is_some() =>
        {
            visit.warn(refusal);
        }
        // What else any client can bring about is nobody's error.
        _ => visit.debug(refusal),
    }
    let own = pages.0.get(&status).filter(|_| !asked.json).cloned();
    let (kind, page) = own.unwrap_or_else(|| page(status, asked.json, &visit.id));
    let mut response = Response::new(page.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    match refusal {
        Refusal::MethodNotAllowed { allow } => {
            headers.extend(allow_header(allow));
        }
        Refusal::TooManyRequests(over) => {
            let seconds = over.after.as_secs() + u64::from(over.after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        _ if status == StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        // What is left of the request may still be on its way: it must not be
        // taken for the next one.
        Refusal::BadRequest(_)
        | Refusal::Version
        | Refusal::NotImplemented(_)
        | Refusal::BodyTooLarge(_)
        | Refusal::BodyTooSlow
        | Refusal::BodyBroken => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}

/// The answer with a tag of its bytes, unless it has one; 304 where the client
/// has them already.
pub(crate) async fn with_etag(
    mut response: Response,
    request: &Arc<Request>,
    work: &Work,
) -> Response {
    if response.status() != StatusCode::OK || !reads(&request.method) {
        return response;
    }
    let untagged = match response.body() {
        Body::Bytes(bytes) if !response.headers().contains_key(header::ETAG) => bytes.clone(),
        _ => Bytes::new(),
    };
    if !untagged.is_empty() {
        let tag = etag(untagged, request, work).await;
        response.headers_mut().extend(tag.map(|tag| (header::ETAG, tag)));
    }
    let validators = Validators::of(response.headers());
    if validators.check(&request.method, &request.headers) == Outcome::NotModified {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

/// A tag of bytes; none if the work on it failed.
async fn etag(mut bytes: Bytes, request: &Arc<Request>, work: &Work) -> Option<HeaderValue> {
    let mut digest = Sha256::new();
    if bytes.len() <= SHORT {
        digest = work.short(request, move || digest.chain_update(bytes)).await?;
    } else {
        while !bytes.is_empty() {
            let slice = bytes.split_to(bytes.len().min(SLICE));
            digest = work.start(request, move || digest.chain_update(slice)).await?;
        }
    }
    let mut tag = String::from("\"");
    digest.finalize().iter().take(TAG_BYTES).for_each(|byte| {
        // Writing to a String cannot fail.
        let _ = write!(tag, "{byte:02x}");
    });
    tag.push('"');
    HeaderValue::try_from(tag).ok()
}

/// What is digested where connections are served, in bytes, and in a turn elsewhere.
const SHORT: usize = 64 << 10;
const SLICE: usize = 512 << 10;

/// How much of a digest tells answers apart, in bytes.
const TAG_BYTES: usize = 16;

/// The answer to `OPTIONS`.
pub(crate) fn options(allow: &[Method]) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().extend(allow_header(allow));
    response
}

fn allow_header(allow: &[Method]) -> Option<(header::HeaderName, HeaderValue)> {
    let names: Vec<&str> = allow.iter().map(Method::as_str).collect();
    Some((header::ALLOW, HeaderValue::try_from(names.join(", ")).ok()?))
}

/// The status of a refusal.
pub(crate) fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::BadRequest(_) | Refusal::BodyBroken => StatusCode::BAD_REQUEST,
        Refusal::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        Refusal::UriTooLong(_) => StatusCode::URI_TOO_LONG,
        Refusal::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        Refusal::HeadersTooLarge(_) | Refusal::TooManyHeaders(_) => {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        }
        Refusal::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
        Refusal::NotFound => StatusCode::NOT_FOUND,
        Refusal::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
        Refusal::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        // Too many open files, or a disk that fails: it may be over soon.
        Refusal::Unreadable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
        Refusal::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Overloaded { .. }
        | Refusal::Memory(_)
        | Refusal::HeadersTogether(_)
        | Refusal::ConnectionMemory => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Guest(error) => match error {
            GuestError::PoolExhausted(_) | GuestError::Memory(_) => StatusCode::SERVICE_UNAVAILABLE,
            GuestError::NotLoaded(_)
            | GuestError::Trapped(_)
            | GuestError::NoAnswer(_)
            | GuestError::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            // What others have is nobody's fault here, and may soon be over.
            GuestError::OutOfMemory { lack, .. } if lack.of == Bound::Machine => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            GuestError::OutOfMemory { .. } => StatusCode::INSUFFICIENT_STORAGE,
            // Nobody knows whose work it was that took the instance so long.
            GuestError::CpuExceeded { .. }
            | GuestError::EndedForAnother(_)
            | GuestError::WallExceeded(_) => StatusCode::GATEWAY_TIMEOUT,
            GuestError::InvalidAnswer(_)
            | GuestError::AnswerTooLarge(_)
            | GuestError::HandedOver(_)
            | GuestError::File { .. } => StatusCode::BAD_GATEWAY,
        },
    }
}

/// A small page, and its type. Server errors carry the id under which the log
/// has their cause.
fn page(status: StatusCode, json: bool, request_id: &str) -> ErrorPage {
    let code = status.as_u16();
    let reason = status.canonical_reason().unwrap_or("Error");
    let mut text = String::with_capacity(256);
    let reference = status.is_server_error();
    // Writing to a String cannot fail.
    if json {
        let _ = write!(text, "{{\"status\":{code},\"error\":\"{reason}\"");
        if reference {
            let _ = write!(text, ",\"request-id\":\"{request_id}\"");
        }
        text.push_str("}\n");
        return (HeaderValue::from_static("application/json"), text.into());
    }
    let _ = write!(
        text,
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{code} {reason}</title>\n<h1>{code} {reason}</h1>\n"
    );
    if reference {
        let _ = writeln!(text, "<p>Request {request_id}</p>");
    }
    (HeaderValue::from_static("text/html; charset=utf-8"), text.into())
}

/// An answer as it is sent; `head` is whether its body is left out. From now on
/// its visit ends with it.
pub(crate) fn finish(
    answer: Response,
    head: bool,
    mut visit: Box<Visit>,
) -> http::Response<Observed> {
    let answer = if head { without_body(answer) } else { answer };
    visit.answered(answer.status());
    answer.map(|body| Observed::new(body, visit))
}

/// The answer to HEAD: what the one to GET says of its body, without it
/// (RFC 9110 section 9.3.2).
fn without_body(mut response: Response) -> Response {
    let body = std::mem::replace(response.body_mut(), Body::empty());
    let length = body.length().filter(|_| !has_no_body(response.status()));
    if let Some(length) = length {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
    response
}
