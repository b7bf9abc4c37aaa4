//! SECURITY: refuses requests whose length two readers could see differently
//! (request smuggling). hyper repairs some of them silently; here they end the
//! connection (RFC 9112 sections 2.2, 5.2, 6.1 and 6.3):
//!
//! - both `Content-Length` and `Transfer-Encoding`, or either twice,
//! - a `Content-Length` that is not digits, a `Transfer-Encoding` that is not
//!   `chunked`, a chunk size that is not hexadecimal,
//! - lines that end with LF alone, and folded lines.
//!
//! A request line of another version than 1.0 and 1.1 is told apart, too: hyper
//! takes it for nonsense. Everything else that is wrong with a head is left to
//! hyper. Pure: bytes in, verdict out.

/// Follows the requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: State,
    /// The start of a line whose end has not arrived.
    line: Vec<u8>,
    /// How the head that is being read announces its body.
    length: Option<u64>,
    chunked: bool,
    /// Heads that have ended.
    heads: u64,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Before or in the request line.
    #[default]
    Start,
    Headers,
    /// Bytes of the body to come; of a chunk, with the line's end behind it.
    Body(u64),
    ChunkSize,
    Chunk(u64),
    Trailers,
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It cannot be told apart safely from what follows.
    Ambiguous,
    /// It has a version of HTTP that is not known here.
    Version,
}
use Wrong::Ambiguous;

/// No line is kept beyond this; hyper's own limit ends the request before.
const LONGEST_LINE: usize = 1 << 20;

impl Framing {
    /// Looks at the bytes that arrived next.
    ///
    /// # Errors
    /// How many of them are sound, if not all are, and what is wrong.
    pub(super) fn check(&mut self, bytes: &[u8]) -> Result<(), (usize, Wrong)> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let sound = bytes.len() - rest.len();
            rest = self.step(rest).map_err(|wrong| (sound, wrong))?;
        }
        Ok(())
    }

    /// The number of the head that has begun and not ended, if there is one. The
    /// first is waited for from the start.
    pub(super) fn head(&self) -> Option<u64> {
        let begun = match self.state {
            State::Headers => true,
            State::Start => self.heads == 0 || !self.line.is_empty(),
            _ => false,
        };
        begun.then_some(self.heads)
    }

    /// Whether the next bytes are of a body.
    pub(super) fn is_in_body(&self) -> bool {
        matches!(self.state, State::Body(_) | State::Chunk(_))
    }

    /// Whether a request has begun and not ended.
    pub(super) fn is_within_request(&self) -> bool {
        !matches!(self.state, State::Start) || !self.line.is_empty()
    }

    /// Takes a line or a piece of a body and returns what follows.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Wrong> {
        match &mut self.state {
            State::Body(left) | State::Chunk(left) => {
                let now = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= now as u64;
                if *left == 0 {
                    let chunk = matches!(self.state, State::Chunk(_));
                    self.state = if chunk { State::ChunkSize } else { State::Start };
                }
                bytes.get(now..).ok_or(Ambiguous)
            }
            _ => self.step_line(bytes),
        }
    }

    fn step_line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Wrong> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.line.extend_from_slice(bytes);
            return if self.line.len() > LONGEST_LINE { Err(Ambiguous) } else { Ok(&[]) };
        };
        let (line, rest) = bytes.split_at_checked(end + 1).ok_or(Ambiguous)?;
        if self.line.is_empty() {
            self.take_line(line)?;
        } else {
            let mut whole = std::mem::take(&mut self.line);
            whole.extend_from_slice(line);
            // A part of it has been read already: nothing can stand in its place.
            self.take_line(&whole).map_err(|_| Ambiguous)?;
        }
        Ok(rest)
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), Wrong> {
        let line = line.strip_suffix(b"\r\n").ok_or(Ambiguous)?;
        self.state = match (self.state, line) {
            // Empty lines before a request are passed over (RFC 9112 section 2.2).
            (State::Start, b"") => State::Start,
            (State::Start, line) if has_unknown_version(line) => return Err(Wrong::Version),
            (State::Start, _) => State::Headers,
            (State::Headers, b"") => self.end_head()?,
            (State::Headers, line) => {
                self.take_header(line)?;
                State::Headers
            }
            (State::ChunkSize, line) => match chunk_size(line)? {
                0 => State::Trailers,
                // The line's end behind the chunk belongs to it.
                size => State::Chunk(size.checked_add(2).ok_or(Ambiguous)?),
            },
            (State::Trailers, b"") => State::Start,
            (state, _) => state,
        };
        Ok(())
    }

    fn take_header(&mut self, line: &[u8]) -> Result<(), Wrong> {
        match line.first() {
            Some(b' ' | b'\t') => return Err(Ambiguous),
            Some(b'c' | b'C' | b't' | b'T') => {}
            _ => return Ok(()),
        }
        let Some(colon) = memchr::memchr(b':', line) else { return Ok(()) };
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if name.trim_ascii().eq_ignore_ascii_case(b"content-length") {
            let twice = self.length.replace(decimal(value)?).is_some();
            return if twice { Err(Ambiguous) } else { Ok(()) };
        }
        if name.trim_ascii().eq_ignore_ascii_case(b"transfer-encoding") {
            let twice = std::mem::replace(&mut self.chunked, true);
            let known = value.eq_ignore_ascii_case(b"chunked");
            return if twice || !known { Err(Ambiguous) } else { Ok(()) };
        }
        Ok(())
    }

    fn end_head(&mut self) -> Result<State, Wrong> {
        self.heads += 1;
        match (self.length.take(), std::mem::take(&mut self.chunked)) {
            (Some(_), true) => Err(Ambiguous),
            (None, true) => Ok(State::ChunkSize),
            (Some(0) | None, false) => Ok(State::Start),
            (Some(length), false) => Ok(State::Body(length)),
        }
    }
}

/// Whether a request line names a version of HTTP other than 1.0 and 1.1.
fn has_unknown_version(line: &[u8]) -> bool {
    let last = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    let version = last.strip_prefix(b"HTTP/").filter(|_| last.len() < line.len());
    version.is_some_and(|version| {
        let all = version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
        all && !matches!(version, b"" | b"1.0" | b"1.1")
    })
}

fn decimal(digits: &[u8]) -> Result<u64, Wrong> {
    let text = str::from_utf8(digits).map_err(|_| Ambiguous)?;
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { text.parse().map_err(|_| Ambiguous) } else { Err(Ambiguous) }
}

/// The size before any extension.
fn chunk_size(line: &[u8]) -> Result<u64, Wrong> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or(line).trim_ascii_end();
    let text = str::from_utf8(digits).map_err(|_| Ambiguous)?;
    let all_digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if all_digits { u64::from_str_radix(text, 16).map_err(|_| Ambiguous) } else { Err(Ambiguous) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\r\nPOST / HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\nab\ncd\
        POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        3;x=y\r\na\nb\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n\
        GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.0\r\n\r\n";

    #[test]
    fn requests_pass_in_pieces_of_any_size() {
        for size in 1..=GOOD.len() {
            let mut framing = Framing::default();
            for piece in GOOD.as_bytes().chunks(size) {
                assert_eq!(framing.check(piece), Ok(()), "in pieces of {size}");
            }
            assert!(matches!(framing.state, State::Start));
        }
    }

    #[test]
    fn ambiguous_heads_are_refused_after_the_requests_before() {
        for headers in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 3",
            "Content-Length: 3\r\nContent-Length: 3",
            "Content-Length: 3\r\nContent-Length: 4",
            "Content-Length: 3, 3",
            "Content-Length: +3",
            "Content-Length: 0x3",
            "Content-Length: ",
            "Content-Length: 99999999999999999999",
            "Content-Length : 3\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "X: 1\nContent-Length: 3",
            "X: 1\r\n folded: 2",
        ] {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n");
            let all = format!("{GOOD}{head}abc");
            let (sound, wrong) = Framing::default().check(all.as_bytes()).expect_err(headers);
            assert_eq!(wrong, Ambiguous);
            assert!((GOOD.len()..GOOD.len() + head.len()).contains(&sound), "{headers}: {sound}");
        }
    }

    #[test]
    fn other_versions_are_told_apart() {
        for (line, wrong) in [
            ("GET / HTTP/1.2", Some(Wrong::Version)),
            ("GET / HTTP/2.0", Some(Wrong::Version)),
            ("PRI * HTTP/2.0", Some(Wrong::Version)),
            ("GET / HTTP/3", Some(Wrong::Version)),
            ("GET / HTTP/0.9", Some(Wrong::Version)),
            ("GET / HTTP/1.1", None),
            ("GET / HTTP/1.0", None),
            // For hyper to refuse.
            ("GET / HTTP/x", None),
            ("GET /", None),
            ("HTTP/1.2", None),
            ("GET / http/1.2", None),
        ] {
            let all = format!("{GOOD}{line}\r\n");
            let checked = Framing::default().check(all.as_bytes());
            assert_eq!(checked.err(), wrong.map(|wrong| (GOOD.len(), wrong)), "{line}");
        }
        let mut framing = Framing::default();
        assert_eq!(framing.check(b"GET / "), Ok(()));
        assert_eq!(framing.check(b"HTTP/1.2\r\n"), Err((0, Ambiguous)), "a part was read");
    }

    #[test]
    fn heads_are_counted() {
        let mut framing = Framing::default();
        let mut heads = Vec::new();
        for byte in GOOD.as_bytes().chunks(1) {
            assert_eq!(framing.check(byte), Ok(()));
            heads.extend(framing.head().filter(|head| heads.last() != Some(head)));
        }
        assert_eq!(heads, [0, 1, 2, 3]);
        assert!(!framing.is_within_request());
    }

    #[test]
    fn chunk_sizes_are_hexadecimal_and_end_with_a_whole_line_end() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        for size in
            ["0x3\r\n", "+3\r\n", "-3\r\n", "\r\n", "3 3\r\n", "3\n", "ffffffffffffffff\r\n"]
        {
            let all = format!("{head}{size}abc\r\n0\r\n\r\n");
            assert!(Framing::default().check(all.as_bytes()).is_err(), "{size:?}");
        }
    }
}
