//! From hyper's request to ours: checked, with a decoded path. hyper's body
//! ends here.

mod path;
mod payload;
mod upload;

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Scheme;
use http::{Method, Uri, Version};

use crate::config::origins::port_of;
use crate::error::Refusal;
use crate::limits::Limits;
use crate::observe::Spent;
use crate::peer::Asking;
use path::decode_path;
pub(crate) use payload::{Payload, Watch};
pub(crate) use upload::Upload;

/// What is kept of a header for the access log, in bytes.
const LONGEST_KEPT: usize = 512;

/// What names a request in logs and to its client: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(pub(crate) [u8; 16]);

impl Deref for RequestId {
    type Target = str;

    fn deref(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// A request whose head was checked.
pub(crate) struct Request {
    pub(crate) id: RequestId,
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
    /// Whether the client's connection is encrypted.
    pub(crate) secure: bool,
    /// How many apps called each other for it.
    pub(crate) depth: u8,
    pub(crate) spent: Spent,
}

impl Request {
    /// Checks a request's head.
    ///
    /// # Errors
    /// What RFC 9112 refuses.
    pub(crate) fn check(
        mut head: Parts,
        id: RequestId,
        asking: Asking,
        header_count: usize,
    ) -> Result<Arc<Request>, Misunderstood> {
        let ((host, port), path) = match understand(&mut head, asking.secure, header_count) {
            Ok(understood) => understood,
            Err(refusal) => return Err(Misunderstood::new(refusal, head)),
        };
        Ok(Arc::new(Request {
            id,
            method: head.method,
            uri: head.uri,
            version: head.version,
            headers: head.headers,
            host,
            port,
            path,
            remote: asking.remote,
            secure: asking.secure,
            depth: 0,
            spent: Spent::default(),
        }))
    }

    /// A request of an app to another one of its tenant, made for `caller`: the
    /// same one in the logs.
    ///
    /// # Errors
    /// Its path is none that a client could ask for.
    pub(crate) fn of_app(
        head: http::request::Parts,
        caller: &Request,
        host: String,
        port: u16,
    ) -> Result<Arc<Request>, Refusal> {
        check_target(&head.method, &head.uri)?;
        Ok(Arc::new(Request {
            id: caller.id,
            path: decode_path(head.uri.path())?,
            method: head.method,
            uri: head.uri,
            version: Version::HTTP_11,
            headers: head.headers,
            host,
            port,
            remote: caller.remote,
            secure: false,
            depth: caller.depth + 1,
            spent: Spent::default(),
        }))
    }

    /// Checks the sizes of a request's head.
    ///
    /// # Errors
    /// Its target or its headers are larger than its tenant's limits.
    pub(crate) fn check_size(&self, limits: &Limits) -> Result<(), Refusal> {
        let uri = &self.uri;
        let length = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
        if length > limits.uri {
            return Err(Refusal::UriTooLong(limits.uri));
        }
        // Each field costs `: ` and CR LF on the wire.
        let fields = self.headers.iter();
        let size: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if size > limits.headers {
            return Err(Refusal::HeadersTooLarge(limits.headers));
        }
        Ok(())
    }

    /// Keeps no headers but copies of these: nobody asks for the others any more.
    pub(crate) fn forget_headers(&mut self, but: &[HeaderName]) {
        let kept = but.iter().filter_map(|name| {
            let value = self.headers.get(name)?.as_bytes();
            let value = value.get(..value.len().min(LONGEST_KEPT))?;
            Some((name.clone(), HeaderValue::from_bytes(value).ok()?))
        });
        self.headers = kept.collect();
    }

    /// Path and query, as they were sent.
    pub(crate) fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    /// The port, unless the scheme says it.
    pub(crate) fn written_port(&self) -> Option<u16> {
        (self.port != port_of(self.secure)).then_some(self.port)
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    pub(crate) fn protocol(&self) -> &'static str {
        match self.version {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            _ => "HTTP/1.1",
        }
    }
}

/// A request that is refused for its head.
pub(crate) struct Misunderstood(Box<(Refusal, Parts)>);

impl Misunderstood {
    pub(crate) fn new(refusal: Refusal, head: Parts) -> Misunderstood {
        Misunderstood(Box::new((refusal, head)))
    }

    /// Why, and what was asked.
    pub(crate) fn into_parts(self) -> (Refusal, Method, Uri) {
        let (refusal, head) = *self.0;
        (refusal, head.method, head.uri)
    }
}

/// The host with its port, and the decoded path.
fn understand(
    head: &mut Parts,
    secure: bool,
    header_count: usize,
) -> Result<((String, u16), String), Refusal> {
    check_target(&head.method, &head.uri)?;
    if head.headers.len() > header_count {
        return Err(Refusal::TooManyHeaders(header_count));
    }
    let host = host_and_port(&head.uri, &head.headers, head.version, port_of(secure))?;
    name_host(&head.uri, &mut head.headers);
    join_cookies(&mut head.headers);
    Ok((host, decode_path(head.uri.path())?))
}

/// What HTTP/2 begins with: no method of HTTP/1.1 (RFC 9113 section 11.6).
const PRI: &str = "PRI";

fn check_target(method: &Method, uri: &Uri) -> Result<(), Refusal> {
    if method.as_str() == PRI {
        return Err(Refusal::Version);
    }
    // Methods are upper and lower case: `get` is none (RFC 9110 section 9.1).
    let known = !method.as_str().bytes().any(|byte| byte.is_ascii_lowercase());
    if !known || *method == Method::CONNECT || *method == Method::TRACE {
        return Err(Refusal::NotImplemented(method.clone()));
    }
    if uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Refusal::BadRequest("the target's scheme is neither http nor https"));
    }
    if !uri.path().starts_with('/') {
        return Err(Refusal::BadRequest("the target is not a path"));
    }
    Ok(())
}

/// HTTP/2 clients name the host in `:authority` alone; handlers find it in a header
/// (RFC 9113 section 8.3.1).
fn name_host(uri: &Uri, headers: &mut HeaderMap) {
    let authority = uri.authority().filter(|_| !headers.contains_key(header::HOST));
    let host = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    headers.extend(host.map(|host| (header::HOST, host)));
}

/// HTTP/2 clients may send each cookie in a header of its own; handlers are
/// given one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if let (Some(_), Some(_)) = (cookies.next(), cookies.next()) {
        let all: Vec<&[u8]> =
            headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
        if let Ok(one) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            headers.insert(header::COOKIE, one);
        }
    }
}

/// The one host that a request is for (RFC 9112 section 3.2).
fn host_and_port(
    uri: &Uri,
    headers: &HeaderMap,
    version: Version,
    default: u16,
) -> Result<(String, u16), Refusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            host.to_str().map_err(|_| Refusal::BadRequest("the Host is not text"))?
        }
        (None, _) if version == Version::HTTP_10 => authority,
        // `:authority` stands for it (RFC 9113 section 8.3.1).
        (None, _) if version == Version::HTTP_2 && !authority.is_empty() => authority,
        (None, _) => return Err(Refusal::BadRequest("there is no Host header")),
        (Some(_), Some(_)) => return Err(Refusal::BadRequest("there are two Host headers")),
    };
    let host = split_host(host, default).ok_or(Refusal::BadRequest("the Host is not valid"))?;
    // SECURITY: two hosts in one request must not lead to two tenants.
    match uri.authority().map(|authority| split_host(authority.as_str(), default)) {
        Some(target) if target.as_ref() != Some(&host) => {
            Err(Refusal::BadRequest("the target's host is not the Host header's"))
        }
        _ => Ok(host),
    }
}

/// The name in lower case and without a dot at the end, and the port.
pub(crate) fn split_host(host: &str, default: u16) -> Option<(String, u16)> {
    if host.is_empty() {
        return Some((String::new(), default));
    }
    let name_end = if host.starts_with('[') {
        host.find(']')? + 1
    } else {
        host.bytes().position(|byte| byte == b':').unwrap_or(host.len())
    };
    let (name, port) = host.split_at(name_end);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => default,
        Some("") => default,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    let name = match name.strip_prefix('[').map(|rest| rest.trim_end_matches(']').parse()) {
        Some(address) => {
            let address: Ipv6Addr = address.ok()?;
            format!("[{address}]")
        }
        None => name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(),
    };
    (name.starts_with('[') || is_name(&name)).then_some((name, port))
}

/// A name or an IPv4 address: no user, no wildcards, no spaces.
fn is_name(name: &str) -> bool {
    let mut before = b'.';
    let sound = name.bytes().all(|byte| {
        let label = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        // No label is empty.
        let sound = label || byte == b'.' && before != b'.';
        before = byte;
        sound
    });
    sound && before != b'.' && name.len() <= 255
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
            ("[0:0::1]", Some(("[::1]", 80))),
            ("a:", Some(("a", 80))),
            ("a.example.:80", Some(("a.example", 80))),
            ("a.example..", None),
            (".", None),
            ("a..b", None),
            ("bücher.example", None),
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
            assert_eq!(split_host(host, 80), expected, "{host}");
        }
    }
}
