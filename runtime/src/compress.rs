//! Content codings: which answers are sent smaller, and how.

mod accept;
mod encoder;

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};

use crate::body::Body;
use crate::request::Request;
use crate::respond::{Response, has_no_body};
use crate::wasm::Work;
pub(crate) use accept::{Accepted, Coding};
pub(crate) use encoder::{Encoded, Encoders, Kept};

/// Bodies below this gain nothing, in bytes.
pub(crate) const LEAST: u64 = 1_024;

const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// Encodes an app's answer that gains by it ([`may_encode`]) if the client takes it. One
/// without a body, as the client has it already, has the headers that it had with it
/// (RFC 9110 section 15.4.5).
pub(crate) async fn answer(
    mut response: Response,
    request: &Arc<Request>,
    encoders: &Encoders,
    work: &Work,
) -> Response {
    add_vary(response.headers_mut());
    let Some(coding) = Accepted::of(&request.headers).best(Coding::is_made_here) else {
        return response;
    };
    if has_no_body(response.status()) {
        weaken_etag(response.headers_mut());
        return response;
    }
    let body = std::mem::replace(response.body_mut(), Body::empty());
    match encoders.answer(body, coding, work, request).await {
        Ok(body) => {
            *response.body_mut() = body;
            mark(response.headers_mut(), coding);
            weaken_etag(response.headers_mut());
        }
        Err(body) => *response.body_mut() = body,
    }
    response
}

/// Whether the type of an answer gains by it, and its app did not do it or forbid it.
pub(crate) fn may_encode(response: &Response) -> bool {
    if response.body().length().is_none_or(|length| length < LEAST) {
        return false;
    }
    let headers = response.headers();
    let transform = headers.get_all(header::CACHE_CONTROL).iter().all(|value| {
        !value.as_bytes().to_ascii_lowercase().windows(12).any(|word| word == b"no-transform")
    });
    let mut done = [header::CONTENT_ENCODING, header::CONTENT_RANGE].into_iter();
    let done = done.any(|header| headers.contains_key(header));
    let typed = headers.get(header::CONTENT_TYPE).is_some_and(is_compressible);
    typed && transform && !done
}

/// What the headers say of a body in a coding.
pub(crate) fn mark(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.token()));
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
}

/// Caches keep the codings apart.
pub(crate) fn add_vary(headers: &mut HeaderMap) {
    headers.append(header::VARY, ACCEPT_ENCODING);
}

/// The bytes are no longer those that a strong tag was made for
/// (RFC 9110 section 8.8.1).
fn weaken_etag(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"))
    else {
        return;
    };
    match HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        Ok(weak) => headers.insert(header::ETAG, weak),
        Err(_) => headers.remove(header::ETAG),
    };
}

/// Whether bodies of a type become smaller. Pictures, sound and archives are
/// compressed already; events must not wait for more of them.
pub(crate) fn is_compressible(content_type: &HeaderValue) -> bool {
    let essence = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    if essence == "text/event-stream" {
        return false;
    }
    let ends = ["+json", "+xml", "/json", "/xml", "/javascript", "/wasm", "/x-ndjson", "/ttf"];
    let more = ["/otf", "/rtf", "/vnd.ms-fontobject", "/x-font-ttf", "/bmp", "/x-icon"];
    essence.starts_with("text/") || ends.iter().chain(&more).any(|end| essence.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_are_text_in_some_way_are_compressible() {
        for (kind, expected) in [
            ("text/html; charset=utf-8", true),
            ("TEXT/CSS", true),
            ("application/json", true),
            ("application/problem+json;x=y", true),
            ("image/svg+xml", true),
            ("application/wasm", true),
            ("text/event-stream", false),
            ("image/jpeg", false),
            ("application/zip", false),
            ("font/woff2", false),
            ("", false),
        ] {
            assert_eq!(is_compressible(&HeaderValue::from_static(kind)), expected, "{kind}");
        }
    }
}
