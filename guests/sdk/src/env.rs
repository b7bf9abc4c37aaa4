//! The request as a handler sees it.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::uri;

/// One request, read whole.
///
/// Everything is borrowed from it, and what the request does not have is
/// `None`. In tests, [`Env::get`] and [`Env::post`] build one.
#[derive(Clone, Debug)]
pub struct Env {
    pub(crate) method: String,
    pub(crate) scheme: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) script_name: String,
    pub(crate) path_info: String,
    pub(crate) query_string: String,
    pub(crate) uri: String,
    pub(crate) protocol: String,
    pub(crate) remote_addr: String,
    pub(crate) request_id: String,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) query: OnceCell<Vec<(String, String)>>,
}

impl Env {
    /// A `GET` request for a path with an optional query, to test handlers with.
    pub fn get(uri: &str) -> Env {
        Env::new("GET", uri, Vec::new())
    }

    /// A `POST` request with a body, to test handlers with.
    pub fn post(uri: &str, body: impl Into<Vec<u8>>) -> Env {
        Env::new("POST", uri, body.into())
    }

    /// A request with any method, to test handlers with.
    pub fn new(method: &str, uri: &str, body: Vec<u8>) -> Env {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        Env {
            method: method.to_owned(),
            scheme: "http".to_owned(),
            host: "localhost".to_owned(),
            port: 80,
            script_name: String::new(),
            path_info: path.split('/').map(decode_segment).collect::<Vec<_>>().join("/"),
            query_string: query.to_owned(),
            uri: uri.to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            remote_addr: "127.0.0.1".to_owned(),
            request_id: "test".to_owned(),
            params: Vec::new(),
            headers: Vec::new(),
            body,
            query: OnceCell::new(),
        }
    }

    /// The same request with one more header, to test handlers with.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Env {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// The method as the client sent it, for example `GET`.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path below the place where the handler is mounted, decoded; empty or
    /// starting with `/`. An encoded slash stays `%2F`.
    pub fn path(&self) -> &str {
        &self.path_info
    }

    /// The first value of this name in the query, decoded.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.queries().iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All names and values of the query, decoded, in order.
    pub fn queries(&self) -> &[(String, String)] {
        self.query.get_or_init(|| uri::query_pairs(&self.query_string))
    }

    /// The first header of this name, in any case, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| str::from_utf8(value).ok())
    }

    /// All headers in order: names in lower case, values as they were sent.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The body; empty when there is none.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as text, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        str::from_utf8(&self.body).ok()
    }

    /// What the route's pattern captured under this name: `id` of `/items/:id`.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The host that the request is for, in lower case, without the port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The client's address, without the port.
    pub fn remote_addr(&self) -> &str {
        &self.remote_addr
    }

    /// The name of this request in the server's log.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Path and query exactly as they were sent.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// A variable by its CGI name (RFC 3875 section 4.1): `PATH_INFO`,
    /// `HTTP_ACCEPT`. Headers that were sent twice are joined with a comma.
    pub fn var(&self, name: &str) -> Option<Cow<'_, str>> {
        let text = match name {
            "REQUEST_METHOD" => &self.method,
            "SCRIPT_NAME" => &self.script_name,
            "PATH_INFO" => &self.path_info,
            "QUERY_STRING" => &self.query_string,
            "REQUEST_URI" => &self.uri,
            "REQUEST_SCHEME" => &self.scheme,
            "SERVER_NAME" => &self.host,
            "SERVER_PORT" => return Some(self.port.to_string().into()),
            "SERVER_PROTOCOL" => &self.protocol,
            "REMOTE_ADDR" => &self.remote_addr,
            "CONTENT_LENGTH" => return Some(self.body.len().to_string().into()),
            "CONTENT_TYPE" => return self.joined("content-type"),
            _ => return self.joined(&name.strip_prefix("HTTP_")?.replace('_', "-")),
        };
        Some(text.as_str().into())
    }

    /// All values of a header as one text.
    fn joined(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values = self
            .headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| String::from_utf8_lossy(value));
        let first = values.next()?;
        Some(values.fold(first, |all, next| format!("{all}, {next}").into()))
    }
}

/// A segment decoded as the server does it.
fn decode_segment(segment: &str) -> String {
    uri::decode(segment).replace('/', "%2F")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_missing_names_are_none() {
        let env = Env::get("/hello?name=Ada+L%C3%B8v&empty=");
        assert_eq!(env.query("name"), Some("Ada Løv"));
        assert_eq!(env.query("empty"), Some(""));
        assert_eq!(env.query("other"), None);
        assert_eq!(env.path(), "/hello");
    }

    #[test]
    fn cgi_names_are_known() {
        let env = Env::post("/a%20b%2Fc?x=1", "body")
            .with_header("Accept", "text/html")
            .with_header("accept", "text/plain");
        for (name, value) in [
            ("REQUEST_METHOD", "POST"),
            ("PATH_INFO", "/a b%2Fc"),
            ("QUERY_STRING", "x=1"),
            ("REQUEST_URI", "/a%20b%2Fc?x=1"),
            ("HTTP_ACCEPT", "text/html, text/plain"),
            ("CONTENT_LENGTH", "4"),
            ("SERVER_PORT", "80"),
        ] {
            assert_eq!(env.var(name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(env.var("HTTP_COOKIE"), None);
        assert_eq!(env.var("NONSENSE"), None);
    }
}
