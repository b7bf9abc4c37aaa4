//! What a guest returned, checked and turned into an answer. Nothing of it is
//! trusted: a status, a header or a length that is not valid HTTP is refused.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::app::App;
use super::bindings::{Answer, Body as GuestBody};
use crate::body::Body;
use crate::capability::log::excerpt;
use crate::error::GuestError;
use crate::files;
use crate::request::Request;
use crate::respond::{Response, has_no_body};
use crate::tenant::{Budget, Taken};

/// Headers of one connection, not of the answer (RFC 9110 section 7.6.1). The
/// server has its own.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Headers that an answer may have, and their names and values together, in
/// bytes.
pub(super) const MOST_HEADERS: usize = 100;
const MOST_HEADER_BYTES: usize = 128 << 10;

/// The answer to send.
///
/// # Errors
/// The status is not from 200 to 599; a header's name or value is not valid, or
/// there are too many; `content-length` is not the body's; the body is too
/// large, or names a file that is not granted.
pub(super) fn response(
    (status, headers, body): Answer,
    request: &Arc<Request>,
    app: &App,
) -> Result<Response, GuestError> {
    let status = check_status(status)?;
    let (headers, declared) = check_headers(headers)?;
    match body {
        GuestBody::Bytes(bytes) if bytes.len() > app.limits.response => {
            Err(GuestError::AnswerTooLarge(app.limits.response))
        }
        GuestBody::Bytes(bytes) => {
            let bytes = held(bytes, &app.tenant.memory)?;
            whole(status, headers, declared, bytes, request)
        }
        GuestBody::File(path) => {
            let found = app.grants.files.find(&path).map_err(|denied| {
                let why = denied.why();
                GuestError::File { path: excerpt(&path), why }
            })?;
            Ok(files::send_for_guest(&found, status, headers, request))
        }
    }
}

/// A body that is its tenant's memory until it is sent, and not longer: a client
/// may take its time.
struct Held {
    bytes: Vec<u8>,
    _memory: Taken,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn held(bytes: Vec<u8>, memory: &Arc<Budget>) -> Result<Bytes, GuestError> {
    let mut taken = Taken::nothing(memory.clone());
    taken.more(bytes.len()).map_err(GuestError::Memory)?;
    Ok(Bytes::from_owner(Held { bytes, _memory: taken }))
}

fn check_status(status: u16) -> Result<StatusCode, GuestError> {
    let wrong = || invalid(format!("the status {status} is not from 200 to 599"));
    if !(200..=599).contains(&status) {
        return Err(wrong());
    }
    StatusCode::from_u16(status).map_err(|_| wrong())
}

/// The headers that are sent, and the `content-length` that is not.
fn check_headers(
    list: Vec<(String, Vec<u8>)>,
) -> Result<(HeaderMap, Option<HeaderValue>), GuestError> {
    check_size(list.len(), list.iter().map(|(name, value)| name.len() + value.len()))?;
    let mut headers = HeaderMap::with_capacity(list.len() + 2);
    for (name, value) in list {
        let known = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| invalid(format!("the header name {:?}", excerpt(&name))))?;
        // SECURITY: this is what keeps CR, LF and NUL off the wire.
        let value = HeaderValue::from_maybe_shared(Bytes::from(value))
            .map_err(|_| invalid(format!("the value of the header {:?}", excerpt(&name))))?;
        if !is_hop_by_hop(&known) {
            headers.append(known, value);
        }
    }
    let declared = take_length(&mut headers)?;
    Ok((headers, declared))
}

fn check_size(count: usize, sizes: impl Iterator<Item = usize>) -> Result<(), GuestError> {
    if count > MOST_HEADERS {
        return Err(invalid(format!("{count} headers, {MOST_HEADERS} are allowed")));
    }
    let bytes: usize = sizes.sum();
    if bytes > MOST_HEADER_BYTES {
        return Err(invalid(format!("headers of {bytes} bytes, {MOST_HEADER_BYTES} are allowed")));
    }
    Ok(())
}

/// Checks names and values that are valid singly, and leaves those of the
/// connection out.
fn check_fields(
    headers: &mut HeaderMap,
    is_left_out: fn(&HeaderName) -> bool,
) -> Result<(), GuestError> {
    check_size(
        headers.len(),
        headers.iter().map(|(name, value)| name.as_str().len() + value.len()),
    )?;
    let left_out: Vec<HeaderName> =
        headers.keys().filter(|name| is_left_out(name)).cloned().collect();
    for name in left_out {
        headers.remove(name);
    }
    Ok(())
}

pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name) || name.as_str().starts_with("proxy-")
}

/// The one length that is declared.
fn take_length(headers: &mut HeaderMap) -> Result<Option<HeaderValue>, GuestError> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let first = lengths.next();
    if lengths.any(|other| Some(other) != first) {
        return Err(invalid("two different content-lengths".to_owned()));
    }
    Ok(headers.remove(header::CONTENT_LENGTH))
}

/// The head of a streamed answer, and the length of its body if that is
/// declared. Trailers that are announced may be sent.
///
/// # Errors
/// As of [`response`].
pub(super) fn head(
    mut head: http::response::Parts,
) -> Result<(StatusCode, HeaderMap, Option<HeaderValue>), GuestError> {
    let status = check_status(head.status.as_u16())?;
    let announced = announced(&head.headers);
    check_fields(&mut head.headers, is_hop_by_hop)?;
    head.headers.extend(announced.map(|names| (header::TRAILER, names)));
    let declared = take_length(&mut head.headers)?;
    Ok((status, head.headers, declared))
}

/// The names of the trailers that an answer announces, and may have.
fn announced(headers: &HeaderMap) -> Option<HeaderValue> {
    let values = headers.get_all(header::TRAILER).iter();
    let names = values.filter_map(|value| value.to_str().ok()).flat_map(|names| names.split(','));
    let names = names.take(MOST_HEADERS);
    let names = names.filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok());
    let names: Vec<String> =
        names.filter(|name| !is_no_trailer(name)).map(|name| name.to_string()).collect();
    if names.is_empty() { None } else { HeaderValue::try_from(names.join(", ")).ok() }
}

/// Checks the trailers of a streamed answer.
///
/// # Errors
/// There are too many.
pub(crate) fn check_trailers(trailers: &mut HeaderMap) -> Result<(), GuestError> {
    check_fields(trailers, is_no_trailer)
}

/// SECURITY: fields that say how a message is framed, routed, read or who asks
/// for it are none after it (RFC 9110 section 6.5.1).
fn is_no_trailer(name: &HeaderName) -> bool {
    let words = name.as_str();
    is_hop_by_hop(name)
        || ["content-", "access-control-", "sec-", "if-"].iter().any(|word| words.starts_with(word))
        || NO_TRAILERS.contains(name)
}

const NO_TRAILERS: [HeaderName; 21] = [
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::COOKIE,
    header::DATE,
    header::EXPECT,
    header::EXPIRES,
    header::HOST,
    header::LOCATION,
    header::MAX_FORWARDS,
    header::PRAGMA,
    header::RANGE,
    header::REFRESH,
    header::RETRY_AFTER,
    header::SERVER,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::VARY,
    header::VIA,
    header::WARNING,
    header::WWW_AUTHENTICATE,
];

/// An answer with a body of bytes.
///
/// # Errors
/// `content-length` is not the body's.
pub(super) fn whole(
    status: StatusCode,
    mut headers: HeaderMap,
    declared: Option<HeaderValue>,
    bytes: Bytes,
    request: &Request,
) -> Result<Response, GuestError> {
    let head = request.method == Method::HEAD;
    let declared = declared.map(length).transpose()?;
    if declared.is_some_and(|declared| declared != bytes.len() && !(head && bytes.is_empty())) {
        let (declared, length) = (declared.unwrap_or_default(), bytes.len());
        return Err(invalid(format!("content-length {declared} for a body of {length} bytes")));
    }
    let bodiless = has_no_body(status);
    if head && bytes.is_empty() && !bodiless {
        headers.extend(declared.map(|length| (header::CONTENT_LENGTH, length.into())));
    }
    let mut response = Response::new(if bodiless { Body::empty() } else { bytes.into() });
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Digits only: a sign or a list is not a length.
pub(super) fn length(value: HeaderValue) -> Result<usize, GuestError> {
    let text = value.to_str().unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| invalid(format!("content-length {:?}", excerpt(text))))
}

pub(super) fn invalid(what: String) -> GuestError {
    GuestError::InvalidAnswer(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_final_statuses_pass() {
        for status in [200, 204, 404, 599] {
            assert!(check_status(status).is_ok(), "{status}");
        }
        for status in [0, 99, 100, 101, 199, 600, 999, 1000, 65535] {
            assert!(check_status(status).is_err(), "{status}");
        }
    }

    #[test]
    fn headers_that_could_split_an_answer_are_refused() {
        for (name, value) in [
            ("x", &b"a\r\nb: c"[..]),
            ("x", b"a\nb"),
            ("x", b"a\0b"),
            ("x\r\ny", b"a"),
            ("x y", b"a"),
            ("x:", b"a"),
            (":status", b"200"),
            ("", b"a"),
        ] {
            let list = vec![(name.to_owned(), value.to_vec())];
            assert!(check_headers(list).is_err(), "{name:?} {value:?}");
        }
    }

    #[test]
    fn headers_of_the_connection_are_left_out() {
        let list =
            ["Connection", "Keep-Alive", "Transfer-Encoding", "upgrade", "Proxy-x", "x-kept"];
        let list = list.map(|name| (name.to_owned(), b"1".to_vec()));
        let (headers, declared) = check_headers(list.into()).unwrap();
        assert_eq!((headers.len(), declared), (1, None));
    }

    #[test]
    fn lengths_are_digits() {
        for (text, number) in
            [("0", Some(0)), ("12", Some(12)), ("+1", None), ("1,1", None), ("", None)]
        {
            assert_eq!(length(HeaderValue::from_static(text)).ok(), number, "{text}");
        }
    }
}
