//! What a request writes to its standard output and error.

use std::fmt::Write;
use std::sync::Arc;

/// Collects lines and logs each with the request's id. What passes the quota is
/// counted, not kept.
#[derive(Default)]
pub(crate) struct Log {
    request_id: Arc<str>,
    line: Vec<u8>,
    left: usize,
    dropped: usize,
}

/// A line is cut here, in bytes, so that a guest cannot have the server keep
/// what it never ends.
const LONGEST_LINE: usize = 8 << 10;

impl Log {
    /// Starts the log of a request with its quota in bytes.
    pub(crate) fn start(&mut self, request_id: Arc<str>, quota: usize) {
        *self = Log { request_id, left: quota, ..Log::default() };
    }

    /// Takes some of the output, in any pieces.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let (kept, dropped) = bytes.split_at(bytes.len().min(self.left));
        self.left -= kept.len();
        self.dropped += dropped.len();
        for piece in kept.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= LONGEST_LINE {
                self.end_line();
            }
        }
    }

    /// Ends the log of a request: the last line, and what was dropped.
    pub(crate) fn end(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
        if self.dropped > 0 {
            let (id, dropped) = (&self.request_id, self.dropped);
            tracing::warn!("request {id}: {dropped} bytes of output dropped: over the log limit");
        }
        self.dropped = 0;
    }

    fn end_line(&mut self) {
        let text = escape(&self.line);
        tracing::info!("request {}: guest: {text}", self.request_id);
        self.line.clear();
    }
}

/// A line as text that cannot be taken for another line, or for a terminal's
/// commands.
pub(crate) fn escape(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut text = String::with_capacity(line.len());
    for char in String::from_utf8_lossy(line).chars() {
        if char.is_control() && char != '\t' {
            // Writing to a String cannot fail.
            let _ = write!(text, "{}", char.escape_default());
        } else {
            text.push(char);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_cannot_forge_other_lines() {
        for (line, text) in [
            (&b"plain\n"[..], "plain"),
            (b"a\tb", "a\tb"),
            (b"a\rb\x1b[31m\0", "a\\rb\\u{1b}[31m\\u{0}"),
            (b"caf\xc3\xa9 \xff", "café \u{fffd}"),
        ] {
            assert_eq!(escape(line), text);
        }
    }

    #[test]
    fn what_passes_the_quota_is_counted() {
        let mut log = Log::default();
        log.start("id".into(), 10);
        log.write(b"12345\n12345\n");
        assert_eq!((log.left, log.dropped), (0, 2));
    }
}
