//! Routes that lead elsewhere.

use http::header::{self, HeaderValue};
use http::{StatusCode, Uri};

use crate::body::Body;
use crate::request::Request;
use crate::respond::Response;
use crate::router::Found;

/// An address that requests are sent on to.
#[derive(Debug)]
pub(crate) struct Redirect {
    to: String,
    status: StatusCode,
}

impl Redirect {
    pub(crate) fn new(to: String, status: StatusCode) -> Redirect {
        Redirect { to, status }
    }

    pub(crate) fn answer(&self, request: &Request, found: &Found) -> Response {
        let mounted = found.script_name(&request.path).matches('/').count();
        answer(location(&self.to, &request.uri, mounted), self.status)
    }
}

/// What a tenant says of connections with and without TLS.
#[derive(Debug, Default)]
pub(crate) struct Transport {
    /// `Strict-Transport-Security`.
    pub(crate) hsts: Option<HeaderValue>,
    /// The port to which requests without TLS are sent on, if they are.
    pub(crate) redirect: Option<u16>,
}

impl Transport {
    /// The answer to a request without TLS that is sent on to it.
    pub(crate) fn to_tls(&self, request: &Request) -> Option<Response> {
        let port = self.redirect.filter(|_| !request.secure && !request.host.is_empty())?;
        let port = if port == HTTPS { String::new() } else { format!(":{port}") };
        let location = format!("https://{}{port}{}", request.host, request.target());
        Some(answer(location, StatusCode::PERMANENT_REDIRECT))
    }

    /// Adds to an answer what it says to clients that came over TLS (RFC 6797
    /// section 7.2: to no others).
    pub(crate) fn add_hsts(&self, answer: &mut Response, request: &Request) {
        if let Some(hsts) = self.hsts.as_ref().filter(|_| request.secure) {
            answer.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
    }
}

/// The port of `https` (RFC 9110 section 4.2.2).
pub(crate) const HTTPS: u16 = 443;

/// The answer to a directory that was named without the slash at its end.
pub(crate) fn with_slash(request: &Request) -> Response {
    let query = request.uri.query().map_or(String::new(), |query| format!("?{query}"));
    answer(format!("{}/{query}", request.uri.path()), StatusCode::PERMANENT_REDIRECT)
}

fn answer(location: String, status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    // What a client sent has passed as a target: it is a header value.
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The address, with the part of the target behind its first segments in place
/// of a final `/*`, and with its query.
fn location(to: &str, uri: &Uri, segments: usize) -> String {
    let Some(base) = to.strip_suffix("/*") else { return to.to_owned() };
    let mut location = base.to_owned();
    for segment in uri.path().split('/').skip(1 + segments) {
        location.push('/');
        // SECURITY: browsers take a backslash for a slash.
        location.push_str(&segment.replace('\\', "%5C"));
    }
    if location.starts_with("//") {
        // SECURITY: two slashes would lead to another host.
        location = format!("/{}", location.trim_start_matches('/'));
    }
    if let Some(query) = uri.query() {
        location.push('?');
        location.push_str(query);
    }
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_taken_over_as_it_was_sent() {
        for (to, uri, segments, expected) in [
            ("/new", "/old/a?b", 1, "/new"),
            ("/new/*", "/old/a%20b/c?d=e", 1, "/new/a%20b/c?d=e"),
            ("https://b.example/*", "/x/y", 0, "https://b.example/x/y"),
            ("/*", "/old//evil.example", 1, "/evil.example"),
            ("/*", "/old/", 1, "/"),
            ("/*", "/old/\\evil.example", 1, "/%5Cevil.example"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(location(to, &uri, segments), expected, "{to} {uri}");
        }
    }
}
