//! Where a guest's request goes, and its head as it is sent. SECURITY: what is
//! checked is what is sent: the authority is read here once, and written anew.

use http::header::{self, HeaderMap};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri};
use wasmtime_wasi_http::Error;

use crate::config::origins::{Origin, port_of};
use crate::limits::Limits;
use crate::request::split_host;
use crate::wasm::is_hop_by_hop;

/// The origin of a request, and its head without what only the connection says.
/// The length that it declares is taken out.
pub(super) fn check(
    head: &mut Parts,
    limits: &Limits,
) -> Result<(Origin, PathAndQuery, Option<u64>), Error> {
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Err(Error::HttpRequestMethodInvalid);
    }
    let origin = origin(&head.uri).ok_or(Error::HttpRequestUriInvalid)?;
    let path = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    if path.len() > limits.uri {
        return Err(Error::HttpRequestUriTooLong);
    }
    // Nothing but a path: no `*`, nothing that a server could take for an
    // authority or for the end of the line.
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::HttpRequestUriInvalid);
    }
    let path = PathAndQuery::try_from(path).map_err(|_| Error::HttpRequestUriInvalid)?;
    let declared = length(&head.headers)?;
    strip(&mut head.headers);
    check_size(&head.headers, limits)?;
    head.extensions.clear();
    Ok((origin, path, declared))
}

/// Scheme, host and port, if they are what they seem.
fn origin(uri: &Uri) -> Option<Origin> {
    let secure = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => false,
        _ => return None,
    };
    let authority = uri.authority().map(Authority::as_str)?;
    // No user, no other spelling: `split_host` takes names, addresses, digits.
    let (host, port) = split_host(authority, port_of(secure))?;
    (port > 0 && !host.is_empty() && !is_number(&host)).then_some(Origin { secure, host, port })
}

/// Whether a host would be taken for an address though it is not written as one:
/// `2130706433`, `0x7f.1`, `127.1` (WHATWG URL section 3.5).
fn is_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let digits = last.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits || last.starts_with("0x");
    number && host.parse::<std::net::Ipv4Addr>().is_err()
}

/// The length that is declared: once, in digits.
fn length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(None) };
    let text = first.to_str().unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let length = if digits { text.parse().ok() } else { None };
    match (length, lengths.next()) {
        (Some(length), None) => Ok(Some(length)),
        _ => Err(Error::HttpRequestBodySize(None)),
    }
}

/// Takes out what is the connection's, not the request's.
pub(super) fn strip(headers: &mut HeaderMap) {
    let names: Vec<_> = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    for name in names.iter().chain(&[header::HOST, header::CONTENT_LENGTH, header::EXPECT]) {
        headers.remove(name);
    }
}

fn check_size(headers: &HeaderMap, limits: &Limits) -> Result<(), Error> {
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > limits.header_count || size > limits.headers {
        return Err(Error::HttpRequestHeaderSectionSize(u32::try_from(size).ok()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(uri: &str) -> Result<(String, String), Error> {
        let uri: Uri = uri.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
        let (mut head, ()) = http::Request::builder().uri(uri).body(()).unwrap().into_parts();
        let (origin, path, _) = check(&mut head, &Limits::default())?;
        Ok((origin.to_string(), path.to_string()))
    }

    #[test]
    fn c10_the_authority_that_is_checked_is_the_one_that_is_sent() {
        for (uri, origin, path) in [
            ("http://a.example/x?y", "http://a.example", "/x?y"),
            ("http://A.Example.:80", "http://a.example", "/"),
            ("https://a.example:8443/", "https://a.example:8443", "/"),
            ("http://a.example//evil.example/", "http://a.example", "//evil.example/"),
            ("http://a.example/http://evil/", "http://a.example", "/http://evil/"),
            ("http://a.example/@evil", "http://a.example", "/@evil"),
            ("http://[0:0::1]/", "http://[::1]", "/"),
        ] {
            let found = checked(uri).unwrap();
            assert_eq!((found.0.as_str(), found.1.as_str()), (origin, path), "{uri}");
        }
        for uri in [
            "http://good.example@evil.example/",
            "http://user:password@a.example/",
            "http://a.example:0/",
            "http://a.example:+80/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://127.1/",
            "http://0177.0.0.1/",
            "http://a..b/",
            "http://a.example\\@evil/",
            "ftp://a.example/",
            "/only/a/path",
            "http://a.example/\u{e9}",
        ] {
            assert!(checked(uri).is_err(), "{uri}: {:?}", checked(uri));
        }
        let long = format!("http://a.example/{}", "x".repeat(9_000));
        assert!(matches!(checked(&long), Err(Error::HttpRequestUriTooLong)));
    }

    #[test]
    fn headers_of_the_connection_are_not_sent() {
        let mut builder = http::Request::builder().uri("http://a.example/");
        for name in ["host", "connection", "keep-alive", "te", "transfer-encoding", "upgrade"] {
            builder = builder.header(name, "x");
        }
        let builder = builder.header("proxy-authorization", "x").header("x-kept", "x");
        let builder = builder.header("content-length", "5");
        let (mut head, ()) = builder.body(()).unwrap().into_parts();
        let (_, _, declared) = check(&mut head, &Limits::default()).unwrap();
        let names: Vec<&str> = head.headers.keys().map(|name| name.as_str()).collect();
        assert_eq!((names, declared), (vec!["x-kept"], Some(5)));
    }

    #[test]
    fn lengths_are_declared_once_in_digits() {
        for values in [&["5", "6"][..], &["5", "5"], &["+5"], &["5,5"], &[""], &["0x5"]] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_LENGTH, value.parse().unwrap());
            }
            assert!(length(&headers).is_err(), "{values:?}");
        }
    }
}
