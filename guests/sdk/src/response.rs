//! The answer as the server receives it.

/// A status, headers and a body.
///
/// Most handlers return something shorter that is
/// [`IntoResponse`](crate::IntoResponse); this is what all of it becomes.
#[derive(Debug)]
pub struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Body,
    /// Why the answer is an error: for the log, never for the client.
    pub(crate) cause: Option<String>,
}

/// What is sent after the headers.
#[derive(Debug)]
pub(crate) enum Body {
    Bytes(Vec<u8>),
    File(String),
}

impl Response {
    /// An empty answer.
    pub fn new(status: u16) -> Response {
        Response { status, headers: Vec::new(), body: Body::Bytes(Vec::new()), cause: None }
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Response {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same answer with this body in place of its own.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Response {
        self.body = Body::Bytes(body.into());
        self
    }

    /// The same answer with this status in place of its own.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Response {
        self.status = status;
        self
    }

    /// The answer changed, unless it is a failure already: that one stays.
    pub(crate) fn unless_failed(self, change: impl FnOnce(Response) -> Response) -> Response {
        if self.cause.is_some() { self } else { change(self) }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first header of this name, in any case, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| str::from_utf8(value).ok())
    }

    /// The body; empty when the server is to send a file.
    pub fn body(&self) -> &[u8] {
        match &self.body {
            Body::Bytes(bytes) => bytes,
            Body::File(_) => &[],
        }
    }

    /// The body as text; what is no UTF-8 becomes U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body()).into_owned()
    }

    /// The granted file that the server is to send, if it is to send one.
    pub fn file(&self) -> Option<&str> {
        match &self.body {
            Body::Bytes(_) => None,
            Body::File(path) => Some(path),
        }
    }
}
