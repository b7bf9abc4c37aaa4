//! PEP 3333 as an app in Python is given it, `interface wsgi` of
//! `guests/python/wit/python.wit`: one text in place of a record with its lists,
//! which took an interpreter longer than most apps take for themselves.

use std::fmt::Write;

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::script::Text;
use crate::request::Request;
use crate::router::Found;

/// The text `environ` for a request with a body of so many bytes.
pub(super) fn environ(request: &Request, body: usize, found: &Found) -> String {
    let length = (body > 0 || request.headers.contains_key(header::CONTENT_LENGTH)).then_some(body);
    let mut text = Text::new();
    text.add_likeness(request, found);
    text.add_names(&request.headers);
    text.0.push_str(if length.is_some() { "\nCONTENT_LENGTH" } else { "" });
    text.0.push_str("\n\n");
    text.push(found.script_name(&request.path).as_bytes());
    match found.path_info(&request.path) {
        path if path.contains(ENCODED_SLASH) => text.add(&decoded(request, found)),
        path => text.add(path.as_bytes()),
    }
    text.add(request.uri.query().unwrap_or_default().as_bytes());
    text.add(request.target().as_bytes());
    text.add_shown(request.remote.ip());
    text.add(request.id.as_bytes());
    text.add_params(found);
    text.add_values(&request.headers);
    if let Some(length) = length {
        text.add_shown(length);
    }
    text.0
}

/// How a slash in a segment is in a path that was decoded.
const ENCODED_SLASH: &str = "%2F";

/// The path below the mount, decoded again: servers of WSGI decode slashes, too.
fn decoded(request: &Request, found: &Found) -> Vec<u8> {
    let all: Vec<u8> = percent_decode_str(request.uri.path()).collect();
    let below = all.strip_prefix(found.script_name(&request.path).as_bytes());
    below.unwrap_or(found.path_info(&request.path).as_bytes()).to_vec()
}

impl Text {
    /// The first part, up to the variables of headers.
    fn add_likeness(&mut self, request: &Request, found: &Found) {
        let (method, scheme) = (&request.method, request.scheme());
        let (protocol, port, many) = (request.protocol(), request.port, found.params.len());
        let host = if request.host.is_empty() { "localhost" } else { &request.host };
        let _ = write!(self.0, "{method}\n{scheme}\n{protocol}\n{host}\n{port}\n{many}");
    }

    /// The variables of headers. A header that was sent twice is one variable.
    fn add_names(&mut self, headers: &HeaderMap) {
        for name in headers.keys().filter(|name| is_variable(name)) {
            if name == header::CONTENT_TYPE {
                self.0.push_str("\nCONTENT_TYPE");
                continue;
            }
            self.0.push_str("\nHTTP_");
            self.0.extend(name.as_str().chars().map(|char| match char {
                '-' => '_',
                char => char.to_ascii_uppercase(),
            }));
        }
    }

    /// Their values, in the same order.
    fn add_values(&mut self, headers: &HeaderMap) {
        for name in headers.keys().filter(|name| is_variable(name)) {
            let between = if name == header::COOKIE { "; " } else { "," };
            for (number, value) in headers.get_all(name).iter().enumerate() {
                self.0.push_str(if number == 0 { "\0" } else { between });
                self.push(HeaderValue::as_bytes(value));
            }
        }
    }
}

/// SECURITY: `x_a` and `x-a` would be the same variable, so the first is none. Nor
/// is framing, which the server has undone.
fn is_variable(name: &HeaderName) -> bool {
    !name.as_str().contains('_')
        && name != header::CONTENT_LENGTH
        && name != header::TRANSFER_ENCODING
}

#[cfg(test)]
mod tests {
    use super::super::script::END;
    use super::*;

    #[test]
    fn headers_are_variables_and_bytes_are_characters() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-twice", &b"1"[..]),
            ("x-twice", b"\xff"),
            ("x_twice", b"3"),
            ("cookie", b"a=1"),
            ("cookie", b"b=2"),
            ("content-type", b"text/x"),
            ("content-length", b"4"),
            ("transfer-encoding", b"chunked"),
        ] {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let (mut names, mut values) = (Text::new(), Text::new());
        names.add_names(&headers);
        values.add_values(&headers);
        let names = names.0.split('\n').skip(1);
        let mut pairs: Vec<(&str, &str)> = names.zip(values.0.split(END).skip(1)).collect();
        pairs.sort_unstable();
        let cookies = ("HTTP_COOKIE", "a=1; b=2");
        assert_eq!(pairs, [("CONTENT_TYPE", "text/x"), cookies, ("HTTP_X_TWICE", "1,\u{ff}")]);
    }
}
