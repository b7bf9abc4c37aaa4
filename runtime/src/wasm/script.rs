//! Requests and answers of apps in Python and JavaScript: one text in place of a
//! record with its lists, which took an interpreter longer than most apps take for
//! themselves.

use std::fmt::{Display, Write};

use super::bindings::{Answer, Body};
use super::convert::{MOST_HEADERS, invalid};
use crate::capability::log::excerpt;
use crate::error::GuestError;
use crate::router::Found;

/// The arguments and results of `call`.
pub(super) type Params<'a> = (&'a str, &'a [u8]);
pub(super) type Results = ((String, Vec<u8>),);
/// How many texts and lists a guest is given.
pub(super) const VALUES: usize = 2;

/// What is between the parts of a text.
pub(super) const END: char = '\0';
/// Room for what most requests have, in bytes.
const USUAL: usize = 1 << 10;
/// After the status of an answer whose bytes are the name of a file.
const FILE: &str = " file";

/// A text, to which parts are added.
pub(super) struct Text(pub(super) String);

impl Text {
    pub(super) fn new() -> Text {
        Text(String::with_capacity(USUAL))
    }

    /// One more part, whose characters stand for bytes.
    pub(super) fn add(&mut self, part: &[u8]) {
        self.0.push(END);
        self.push(part);
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.is_ascii() => self.0.push_str(text),
            _ => self.0.extend(bytes.iter().copied().map(char::from)),
        }
    }

    /// One more part, as it is.
    pub(super) fn add_text(&mut self, part: &str) {
        self.0.push(END);
        self.0.push_str(part);
    }

    pub(super) fn add_shown(&mut self, part: impl Display) {
        self.0.push(END);
        let _ = write!(self.0, "{part}");
    }

    /// Names and values of what the route's pattern captured.
    pub(super) fn add_params(&mut self, found: &Found) {
        for (name, value) in &found.params {
            self.add_text(name);
            self.add_text(value);
        }
    }
}

/// What an app answered, as any handler would.
///
/// # Errors
/// The text is none of an answer.
pub(super) fn answer(text: &str, body: Vec<u8>) -> Result<Answer, GuestError> {
    let mut parts = text.split(END);
    let status = parts.next().unwrap_or_default();
    let (number, is_file) =
        status.strip_suffix(FILE).map_or((status, false), |number| (number, true));
    let number = number.parse().map_err(|_| {
        invalid(format!("the status {:?} is no number from 200 to 599", excerpt(status)))
    })?;
    let mut headers = Vec::new();
    // Who has more is refused for that.
    while let Some(name) = parts.next().filter(|_| headers.len() <= MOST_HEADERS) {
        let wrong = || invalid(format!("the value of the header {:?}", excerpt(name)));
        let value = parts.next().and_then(bytes_of).ok_or_else(wrong)?;
        headers.push((name.to_owned(), value));
    }
    let body = match is_file {
        true => Body::File(String::from_utf8_lossy(&body).into_owned()),
        false => Body::Bytes(body),
    };
    Ok((number, headers, body))
}

/// The bytes that a text stands for.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    match text.is_ascii() {
        true => Some(text.as_bytes().to_vec()),
        false => text.chars().map(|char| u8::try_from(char).ok()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_headers_in_pairs() {
        let (status, headers, _) = answer("200\0x-a\0\u{e9}\0x-b\0", b"b".to_vec()).unwrap();
        let expected = [("x-a".to_owned(), b"\xe9".to_vec()), ("x-b".to_owned(), Vec::new())];
        assert_eq!((status, &headers[..]), (200, &expected[..]));
        for text in ["", "ok", "70000", "200\0x", "200\0x\0\u{100}"] {
            assert!(answer(text, Vec::new()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn no_more_headers_are_kept_than_are_refused() {
        let (_, headers, _) =
            answer(&format!("200{}", "\0a\0b".repeat(5_000)), Vec::new()).unwrap();
        assert_eq!(headers.len(), MOST_HEADERS + 1);
    }

    #[test]
    fn an_answer_may_name_a_file() {
        let (status, _, body) = answer("404 file\0x\0y", b"a/b.png".to_vec()).unwrap();
        assert_eq!(status, 404);
        assert!(matches!(body, Body::File(name) if name == "a/b.png"));
        assert!(answer("200 files", Vec::new()).is_err());
    }
}
