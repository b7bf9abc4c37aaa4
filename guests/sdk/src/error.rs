//! How a handler fails.

use std::fmt::{self, Write};

use crate::into_response::IntoResponse;
use crate::response::Response;

/// A failure of a handler.
///
/// Any standard error becomes one with `?`: the client sees status 500 and a
/// reference, the log has the cause. What the client may know is said with
/// [`Error::new`] and its shorthands.
///
/// ```
/// use myweb::{Env, Error, IntoResponse};
///
/// fn double(env: Env) -> Result<String, Error> {
///     let number = env.query("number").ok_or(Error::bad_request("say ?number="))?;
///     let number: u32 = number.parse()?;
///     Ok(format!("{}\n", u64::from(number) * 2))
/// }
///
/// assert_eq!(double(Env::get("/?number=4")).into_response().text(), "8\n");
/// assert_eq!(double(Env::get("/")).into_response().status(), 400);
/// assert_eq!(double(Env::get("/?number=x")).into_response().status(), 500);
/// ```
#[derive(Debug)]
pub struct Error {
    status: u16,
    message: String,
    cause: Option<String>,
}

impl Error {
    /// An expected failure: this status, and a message for the client.
    pub fn new(status: u16, message: impl Into<String>) -> Error {
        Error { status, message: message.into(), cause: None }
    }

    /// 400: the request makes no sense to the handler.
    pub fn bad_request(message: impl Into<String>) -> Error {
        Error::new(400, message)
    }

    /// 403: the client may not have this.
    pub fn forbidden(message: impl Into<String>) -> Error {
        Error::new(403, message)
    }

    /// 404: there is no such thing.
    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(404, message)
    }

    /// 500: the message goes to the log, the client sees a reference only.
    pub fn internal(cause: impl Into<String>) -> Error {
        Error { status: 500, message: String::new(), cause: Some(cause.into()) }
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Error {
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            // Writing to a String cannot fail.
            let _ = write!(cause, ": {error}");
            source = error.source();
        }
        Error::internal(cause)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cause.as_deref().unwrap_or(&self.message))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.message + "\n").into_response();
        response.cause = self.cause;
        response
    }
}
