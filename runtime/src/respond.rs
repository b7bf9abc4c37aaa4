//! The only map from an error to an HTTP answer. What the client reads says
//! nothing of the inside; the cause goes to the log with the request's id.

use std::fmt::Write;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use crate::body::Body;
use crate::error::{GuestError, Refusal};
use crate::observe::Visit;

/// An answer of ours.
pub(crate) type Response = http::Response<Body>;

/// Seconds after which a client may try again when there was no room.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Whether answers of a status have no body (RFC 9110 sections 15.3.5, 15.3.6
/// and 15.4.5).
pub(crate) fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// What of a request an error's answer depends on, kept from before it is
/// checked.
pub(crate) struct Asked {
    json: bool,
    head: bool,
}

impl Asked {
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Asked {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let json = accept.is_some_and(|accept| {
            accept.contains("application/json") && !accept.contains("text/html")
        });
        Asked { json, head: *method == Method::HEAD }
    }
}

/// The answer to a request that was refused or failed.
pub(crate) fn refuse(refusal: &Refusal, asked: &Asked, visit: &Visit) -> Response {
    let status = status(refusal);
    // What any client can bring about is no error of the server or of a guest.
    match refusal {
        Refusal::Guest(_) | Refusal::Unreadable { .. } => tracing::error!("{visit}: {refusal}"),
        _ => tracing::debug!("{visit}: {refusal}"),
    }
    let (kind, text) = page(status, asked.json, &visit.id);
    let length = text.len();
    let body = if asked.head { Body::empty() } else { Bytes::from(text).into() };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, length.into());
    match refusal {
        Refusal::MethodNotAllowed { allow } => {
            headers.extend(allow_header(allow));
        }
        Refusal::TooManyRequests(after) => {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        _ if status == StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        // What is left of the request may still be on its way: it must not be
        // taken for the next one.
        Refusal::BadRequest(_)
        | Refusal::BodyTooLarge(_)
        | Refusal::BodyTooSlow
        | Refusal::BodyBroken => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}

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

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::BadRequest(_) | Refusal::BodyBroken => StatusCode::BAD_REQUEST,
        Refusal::UriTooLong(_) => StatusCode::URI_TOO_LONG,
        Refusal::HeadersTooLarge(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Refusal::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
        Refusal::NotFound => StatusCode::NOT_FOUND,
        Refusal::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
        // Too many open files, or a disk that fails: it may be over soon.
        Refusal::Unreadable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
        Refusal::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Overloaded { .. } | Refusal::TenantMemory { .. } => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Refusal::Guest(error) => match error {
            GuestError::PoolExhausted(_) | GuestError::TenantMemory { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            GuestError::Trapped(_) | GuestError::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            GuestError::OutOfMemory { .. } => StatusCode::INSUFFICIENT_STORAGE,
            GuestError::CpuExceeded { .. } | GuestError::WallExceeded(_) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            GuestError::InvalidAnswer(_)
            | GuestError::AnswerTooLarge(_)
            | GuestError::File { .. } => StatusCode::BAD_GATEWAY,
        },
    }
}

/// A small page, and its type. Server errors carry the id under which the log
/// has their cause.
fn page(status: StatusCode, json: bool, request_id: &str) -> (&'static str, String) {
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
        return ("application/json", text);
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
    ("text/html; charset=utf-8", text)
}
