//! Requests to other servers, where the app was granted their origins
//! (`--outbound https://api.example.com`, or `outbound` of the route's grants), and
//! to other apps of the same tenant (`http://NAME.internal/`).
//!
//! ```
//! use myweb::{Env, Error, http};
//!
//! fn rate(env: Env) -> Result<String, Error> {
//!     let currency = env.query("to").unwrap_or("EUR");
//!     let answer = http::get(&format!("https://rates.example.com/{currency}"))?;
//!     Ok(answer.text())
//! }
//!
//! // Outside a component nothing is sent.
//! assert!(rate(Env::get("/?to=SEK")).is_err());
//! ```

use std::fmt;

use crate::response::Response;

/// Asks for what is at a URL.
///
/// An answer of any status is one. Redirects are not followed.
///
/// # Errors
/// See [`Request::send`].
pub fn get(url: &str) -> Result<Response, Error> {
    Request::new("GET", url).send()
}

/// Sends a body to a URL.
///
/// # Errors
/// See [`Request::send`].
pub fn post(url: &str, body: impl Into<Vec<u8>>) -> Result<Response, Error> {
    Request::new("POST", url).with_body(body).send()
}

/// A request to another server.
///
/// ```
/// use myweb::http::Request;
///
/// let request = Request::new("PUT", "https://api.example.com/item/7")
///     .with_header("content-type", "application/json")
///     .with_body("{}");
/// assert!(request.send().is_err(), "outside a component nothing is sent");
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// Why there is no answer. With `?`, a handler answers 500 and the log has this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    url: String,
    why: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.why)
    }
}

impl std::error::Error for Error {}

impl Request {
    /// A request of this method for a URL, without headers and body.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Request {
        let (method, url) = (method.into(), url.into());
        Request { method, url, headers: Vec::new(), body: Vec::new() }
    }

    /// The same request with one more header. The host and the length are the
    /// server's to set.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same request with this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        self
    }

    /// Sends the request and reads the answer whole, up to 16 MiB.
    ///
    /// # Errors
    /// The URL's origin was not granted or cannot be reached, the answer is no
    /// HTTP, too large, or not there in time.
    pub fn send(self) -> Result<Response, Error> {
        let answer = match parts(&self.url) {
            Some(parts) => sent(&self, &parts),
            None => Err("no URL of http or https".to_owned()),
        };
        answer.map_err(|why| Error { url: self.url, why })
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The URL as it was given.
    pub fn url(&self) -> &str {
        &self.url
    }
}

#[cfg(target_arch = "wasm32")]
use host::send as sent;

#[cfg(not(target_arch = "wasm32"))]
fn sent(_: &Request, _: &Parts<'_>) -> Result<Response, String> {
    Err("outside a component nothing is sent".to_owned())
}

/// Where a URL leads.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    secure: bool,
    authority: &'a str,
    path: String,
}

/// Scheme, authority, path and query; what follows a `#` is not sent.
fn parts(url: &str) -> Option<Parts<'_>> {
    let url = url.split('#').next().unwrap_or(url);
    let (scheme, rest) = url.split_once("://")?;
    let secure = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    (!authority.is_empty()).then_some(Parts { secure, authority, path })
}

#[cfg(target_arch = "wasm32")]
mod host {
    use wasip2::http::outgoing_handler::handle;
    use wasip2::http::types::{
        ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
        http_error_code,
    };
    use wasip2::io::streams::StreamError;

    use super::{Parts, Request};
    use crate::response::Response;

    /// The largest body of an answer, in bytes.
    const LARGEST: usize = 16 << 20;

    pub(super) fn send(request: &Request, parts: &Parts<'_>) -> Result<Response, String> {
        let Request { method, headers, body, .. } = request;
        let fields = Fields::new();
        let length = body.len().to_string().into_bytes();
        let length = (!body.is_empty()).then_some(("content-length".to_owned(), length));
        for (name, value) in headers.iter().cloned().chain(length) {
            let set = fields.append(&name, &value);
            set.map_err(|error| format!("the header {name:?} is not taken: {error:?}"))?;
        }
        let outgoing = OutgoingRequest::new(fields);
        let scheme = if parts.secure { Scheme::Https } else { Scheme::Http };
        outgoing.set_method(&named(method)).map_err(|()| format!("no method: {method:?}"))?;
        outgoing.set_scheme(Some(&scheme)).map_err(|()| "no scheme")?;
        outgoing.set_authority(Some(parts.authority)).map_err(|()| "its host is not valid")?;
        outgoing.set_path_with_query(Some(&parts.path)).map_err(|()| "its path is not valid")?;
        let sink = if body.is_empty() { None } else { outgoing.body().ok() };
        let answer = handle(outgoing, None).map_err(|code| explain(&code))?;
        if let Some(sink) = sink {
            // A server may answer before it has read all: then the answer counts.
            if write(&sink, body) {
                let _ = OutgoingBody::finish(sink, None);
            }
        }
        answer.subscribe().block();
        match answer.get() {
            Some(Ok(Ok(answer))) => read(&answer),
            Some(Ok(Err(code))) => Err(explain(&code)),
            _ => Err("there is no answer".to_owned()),
        }
    }

    fn named(method: &str) -> Method {
        match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            "PATCH" => Method::Patch,
            other => Method::Other(other.to_owned()),
        }
    }

    /// Writes all; false if nobody takes it.
    fn write(sink: &OutgoingBody, mut bytes: &[u8]) -> bool {
        let Ok(stream) = sink.write() else { return false };
        while !bytes.is_empty() {
            let Ok(room) = stream.check_write() else { return false };
            if room == 0 {
                stream.subscribe().block();
                continue;
            }
            let room = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            if stream.write(now).is_err() {
                return false;
            }
            bytes = later;
        }
        true
    }

    fn read(answer: &IncomingResponse) -> Result<Response, String> {
        let mut response = Response::new(answer.status());
        response.headers = answer.headers().entries();
        let body = answer.consume().map_err(|()| "there is no body")?;
        let stream = body.stream().map_err(|()| "there is no body")?;
        let mut bytes = Vec::new();
        loop {
            match stream.blocking_read(64 << 10) {
                Ok(more) => bytes.extend_from_slice(&more),
                Err(StreamError::Closed) => return Ok(response.with_body(bytes)),
                Err(StreamError::LastOperationFailed(error)) => {
                    let code = http_error_code(&error);
                    return Err(code.map_or_else(|| error.to_debug_string(), |code| explain(&code)));
                }
            }
            if bytes.len() > LARGEST {
                return Err(format!("its answer is larger than {LARGEST} bytes"));
            }
        }
    }

    fn explain(code: &ErrorCode) -> String {
        match code {
            ErrorCode::HttpRequestDenied => {
                "not granted; add its origin to the route's grants.outbound, or to --outbound"
                    .to_owned()
            }
            ErrorCode::DestinationIpProhibited => {
                "its address is not public; grant it by address, too".to_owned()
            }
            code => format!("{code:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, secure, authority, path) in [
            ("https://a.example", true, "a.example", "/"),
            ("HTTP://a.example:81/b?c=d#e", false, "a.example:81", "/b?c=d"),
            ("http://a.example?q", false, "a.example", "/?q"),
            ("http://a.example/?u=http://b", false, "a.example", "/?u=http://b"),
        ] {
            let expected = Parts { secure, authority, path: path.to_owned() };
            assert_eq!(parts(url), Some(expected), "{url}");
        }
        for url in ["", "a.example", "ftp://a.example", "https://", "https:///x", "/x"] {
            assert_eq!(parts(url), None, "{url}");
        }
    }

    #[test]
    fn errors_say_where_and_why() {
        let error = get("ftp://a.example").unwrap_err();
        assert_eq!(error.to_string(), "ftp://a.example: no URL of http or https");
    }
}
