//! From hyper's request to ours: checked, with a decoded path. hyper's body
//! ends here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap};
use http::{Method, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use percent_encoding::percent_decode_str;

use crate::error::Refusal;
use crate::limits::Limits;

/// A request whose head was checked.
pub(crate) struct Request {
    pub(crate) id: Arc<str>,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    /// The host in lower case, without the port; empty if HTTP/1.0 sent none.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The path with each segment decoded once; an encoded slash stays `%2F`.
    pub(crate) path: String,
    pub(crate) remote: SocketAddr,
}

/// A request's body, not yet read.
pub(crate) struct Payload(Incoming);

impl Request {
    /// Checks a request's head.
    ///
    /// # Errors
    /// What RFC 9112 and the limits refuse.
    pub(crate) fn check(
        request: http::Request<Incoming>,
        id: Arc<str>,
        remote: SocketAddr,
        limits: &Limits,
    ) -> Result<(Box<Request>, Payload), Refusal> {
        let (head, body) = request.into_parts();
        check_target(&head.method, &head.uri, limits)?;
        check_size(&head.headers, limits)?;
        let (host, port) = host_and_port(&head.uri, &head.headers, head.version)?;
        let path = decode_path(head.uri.path())?;
        let request = Box::new(Request {
            id,
            method: head.method,
            uri: head.uri,
            version: head.version,
            headers: head.headers,
            host,
            port,
            path,
            remote,
        });
        Ok((request, Payload(body)))
    }

    pub(crate) fn protocol(&self) -> &'static str {
        match self.version {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            _ => "HTTP/1.1",
        }
    }
}

impl Payload {
    /// Reads the body whole.
    ///
    /// # Errors
    /// It is larger than the limit, announced or not, breaks off, or takes too
    /// long.
    pub(crate) async fn read(self, limits: &Limits) -> Result<Bytes, Refusal> {
        if self.0.is_end_stream() {
            return Ok(Bytes::new());
        }
        let too_large = Refusal::BodyTooLarge(limits.body);
        if self.0.size_hint().lower() > limits.body as u64 {
            return Err(too_large);
        }
        Box::pin(within(limits.body_time, collect(self.0, limits.body))).await
    }
}

async fn within<T>(
    time: Duration,
    read: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    tokio::time::timeout(time, read).await.unwrap_or(Err(Refusal::BodyTooSlow))
}

/// All pieces as one; a body in one piece is not copied.
async fn collect(mut body: Incoming, most: usize) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| Refusal::BodyBroken)?.into_data() else { continue };
        if first.len() + all.len() + piece.len() > most {
            return Err(Refusal::BodyTooLarge(most));
        }
        if first.is_empty() && all.is_empty() {
            first = piece;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&piece);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

fn check_target(method: &Method, uri: &Uri, limits: &Limits) -> Result<(), Refusal> {
    if *method == Method::CONNECT || *method == Method::TRACE {
        return Err(Refusal::NotImplemented(method.clone()));
    }
    let length = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if length > limits.uri {
        return Err(Refusal::UriTooLong(limits.uri));
    }
    if !uri.path().starts_with('/') {
        return Err(Refusal::BadRequest("the target is not a path"));
    }
    Ok(())
}

fn check_size(headers: &HeaderMap, limits: &Limits) -> Result<(), Refusal> {
    // Each field costs `: ` and CR LF on the wire.
    let size: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if size > limits.headers || headers.len() > limits.header_count {
        return Err(Refusal::HeadersTooLarge(limits.headers));
    }
    Ok(())
}

/// The one host that a request is for (RFC 9112 section 3.2).
fn host_and_port(
    uri: &Uri,
    headers: &HeaderMap,
    version: Version,
) -> Result<(String, u16), Refusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            host.to_str().map_err(|_| Refusal::BadRequest("the Host is not text"))?
        }
        (None, _) if version == Version::HTTP_10 => uri.authority().map_or("", |a| a.as_str()),
        (None, _) => return Err(Refusal::BadRequest("there is no Host header")),
        (Some(_), Some(_)) => return Err(Refusal::BadRequest("there are two Host headers")),
    };
    if uri.authority().is_some_and(|authority| !authority.as_str().eq_ignore_ascii_case(host)) {
        return Err(Refusal::BadRequest("the target's host is not the Host header's"));
    }
    split_host(host).ok_or(Refusal::BadRequest("the Host is not valid"))
}

/// The name in lower case, and the port.
fn split_host(host: &str) -> Option<(String, u16)> {
    if host.is_empty() {
        return Some((String::new(), 80));
    }
    let name_end = if host.starts_with('[') {
        host.find(']')? + 1
    } else {
        host.find(':').unwrap_or(host.len())
    };
    let (name, port) = host.split_at(name_end);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => 80,
        Some("") => 80,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    let name = name.to_ascii_lowercase();
    is_host(&name).then_some((name, port))
}

/// A name or an address in brackets; no user, no wildcards, no spaces.
fn is_host(name: &str) -> bool {
    match name.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        Some(address) => address.is_some_and(|a| a.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            let known =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            !name.is_empty() && name.len() <= 255 && name.bytes().all(known)
        }
    }
}

/// Decodes each segment once. NUL, text that is not UTF-8, and segments that
/// would climb are refused.
fn decode_path(raw: &str) -> Result<String, Refusal> {
    let path = if raw.contains('%') {
        let segments: Result<Vec<String>, Refusal> = raw.split('/').map(decode_segment).collect();
        segments?.join("/")
    } else {
        raw.to_owned()
    };
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Refusal::BadRequest("the path has a `.` or `..` segment"));
    }
    Ok(path)
}

fn decode_segment(segment: &str) -> Result<String, Refusal> {
    let decoded = percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| Refusal::BadRequest("the path is not UTF-8"))?;
    if decoded.contains('\0') {
        return Err(Refusal::BadRequest("the path has a NUL"));
    }
    Ok(decoded.replace('/', "%2F"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_once_and_slashes_stay_encoded() {
        for (raw, decoded) in [
            ("/", Some("/")),
            ("/a%20b", Some("/a b")),
            ("/a%2Fb", Some("/a%2Fb")),
            ("/a%252e", Some("/a%2e")),
            ("/caf%C3%A9/", Some("/café/")),
            ("/...", Some("/...")),
            ("/%00", None),
            ("/%ff", None),
            ("/../x", None),
            ("/%2e%2e/x", None),
            ("/a/%2E", None),
            ("/.%2e", None),
        ] {
            assert_eq!(decode_path(raw).ok().as_deref(), decoded, "{raw}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses_with_a_port() {
        for (host, split) in [
            ("a.example", Some(("a.example", 80))),
            ("A.Example:8080", Some(("a.example", 8080))),
            ("127.0.0.1:1", Some(("127.0.0.1", 1))),
            ("[::1]:7788", Some(("[::1]", 7788))),
            ("a:", Some(("a", 80))),
            ("a:b", None),
            ("a:99999", None),
            ("a:+1", None),
            ("user@a", None),
            ("a b", None),
            ("a/b", None),
            ("[::1", None),
            ("[x]", None),
            (":80", None),
        ] {
            let expected = split.map(|(name, port)| (name.to_owned(), port));
            assert_eq!(split_host(host), expected, "{host}");
        }
    }
}
