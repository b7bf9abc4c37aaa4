//! What a handler may return.

use serde::Serialize;

use crate::Error;
use crate::response::Response;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// Whatever can be sent as an answer.
///
/// | value | answer |
/// |---|---|
/// | `&str`, `String` | 200, plain text |
/// | `Vec<u8>`, `&[u8]` | 200, bytes without a type |
/// | [`Html`], [`Json`] | 200, with their type |
/// | `u16` | this status, no body |
/// | `(status, body)` | this status, the body's own type |
/// | `(status, headers, body)` | all three; these headers replace the body's own |
/// | `Result<T, Error>` | `T`, or the error's answer |
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an answer",
    label = "a handler cannot return this",
    note = "return `(status, headers, body)`, text, bytes, `Html`, `Json`, `Response`, or a `Result` of one with `myweb::Error`"
)]
pub trait IntoResponse {
    /// The answer.
    fn into_response(self) -> Response;
}

/// A body of HTML.
#[derive(Clone, Debug)]
pub struct Html<T>(pub T);

/// A value to be sent as JSON.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for u16 {
    fn into_response(self) -> Response {
        Response::new(self)
    }
}

impl IntoResponse for &str {
    fn into_response(self) -> Response {
        Response::new(200).with_header("content-type", TEXT).with_body(self)
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::new(200).with_header("content-type", TEXT).with_body(self)
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        Response::new(200).with_body(self)
    }
}

impl IntoResponse for &[u8] {
    fn into_response(self) -> Response {
        Response::new(200).with_body(self)
    }
}

impl<const N: usize> IntoResponse for &[u8; N] {
    fn into_response(self) -> Response {
        self.as_slice().into_response()
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::new(200)
    }
}

impl<T: Into<Vec<u8>>> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        Response::new(200).with_header("content-type", HTML).with_body(self.0)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(json) => Response::new(200).with_header("content-type", JSON).with_body(json),
            Err(error) => Error::from(error).into_response(),
        }
    }
}

impl<B: IntoResponse> IntoResponse for (u16, B) {
    fn into_response(self) -> Response {
        self.1.into_response().unless_failed(|response| response.with_status(self.0))
    }
}

impl<H, N, V, B> IntoResponse for (u16, H, B)
where
    H: IntoIterator<Item = (N, V)>,
    N: Into<String>,
    V: Into<Vec<u8>>,
    B: IntoResponse,
{
    fn into_response(self) -> Response {
        let (status, headers, body) = self;
        body.into_response().unless_failed(|response| {
            let mut response = response.with_status(status);
            let given: Vec<(String, Vec<u8>)> =
                headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            let replaced = |own: &str| given.iter().any(|(name, _)| name.eq_ignore_ascii_case(own));
            response.headers.retain(|(own, _)| !replaced(own));
            response.headers.extend(given);
            response
        })
    }
}

impl<T: IntoResponse> IntoResponse for Result<T, Error> {
    fn into_response(self) -> Response {
        match self {
            Ok(answer) => answer.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_body_has_its_type() {
        for (response, kind, body) in [
            ("a".into_response(), Some(TEXT), "a"),
            (String::from("b").into_response(), Some(TEXT), "b"),
            (vec![b'c'].into_response(), None, "c"),
            (Html("<p>").into_response(), Some(HTML), "<p>"),
            (Json([1, 2]).into_response(), Some(JSON), "[1,2]"),
        ] {
            assert_eq!((response.status(), response.header("content-type")), (200, kind));
            assert_eq!(response.text(), body);
        }
    }

    #[test]
    fn a_failure_stays_one_whatever_is_put_around_it() {
        let fails = || Json(std::collections::HashMap::from([((1, 2), 3)]));
        assert_eq!((200, fails()).into_response().status(), 500);
        let response = (200, [("content-type", "application/json")], fails()).into_response();
        assert_eq!((response.status(), response.header("content-type")), (500, Some(TEXT)));
    }

    #[test]
    fn headers_given_replace_those_of_the_body_and_repeat_among_themselves() {
        let headers = [("Content-Type", "text/css"), ("set-cookie", "a=1"), ("set-cookie", "b=2")];
        let response = (201, headers, "x").into_response();
        assert_eq!(response.status(), 201);
        assert_eq!(response.header("content-type"), Some("text/css"));
        assert_eq!(response.headers.len(), 3);
    }
}
