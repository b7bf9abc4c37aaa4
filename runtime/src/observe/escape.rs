//! Text of guests, clients and tools on its way into a line: it cannot end the
//! line, command a terminal, or change the order in which the line is read.

use std::fmt::{self, Write};

use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::debug_fn;

/// The longest text of one event in the server's log, in bytes.
const LONGEST_EVENT: usize = 16 << 10;
/// The longest line of a message for the terminal, in bytes.
const LONGEST_MESSAGE: usize = 4 << 10;

/// Whether a character is written as an escape: controls but the tab, ends of
/// lines and paragraphs, and what reorders text (Unicode TR 9).
pub(crate) fn is_escaped(c: char) -> bool {
    let reorders = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2066}'..='\u{2069}');
    reorders || matches!(c, '\u{2028}'..='\u{202e}') || (c.is_control() && c != '\t')
}

/// A line that is being written: escaped, and at most so long. [`Line::end`] says
/// how much was cut off.
pub(super) struct Line<W> {
    to: W,
    left: usize,
    cut: usize,
}

impl<W: Write> Line<W> {
    pub(super) fn new(to: W, most: usize) -> Line<W> {
        Line { to, left: most, cut: 0 }
    }

    pub(super) fn end(mut self) -> Result<W, fmt::Error> {
        if self.cut > 0 {
            write!(self.to, "... ({} more bytes)", self.cut)?;
        }
        Ok(self.to)
    }

    fn put(&mut self, text: &str, length: usize) -> fmt::Result {
        match self.left.checked_sub(text.len()).filter(|_| self.cut == 0) {
            Some(left) => {
                self.left = left;
                self.to.write_str(text)
            }
            None => {
                self.cut += length;
                Ok(())
            }
        }
    }
}

impl<W: Write> Write for Line<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| is_escaped(*c)) {
            self.write_plain(text.get(plain..at).unwrap_or_default())?;
            self.put(&c.escape_default().to_string(), c.len_utf8())?;
            plain = at + c.len_utf8();
        }
        self.write_plain(text.get(plain..).unwrap_or_default())
    }
}

impl<W: Write> Line<W> {
    /// Writes as much of a text without escapes as there is room for.
    fn write_plain(&mut self, text: &str) -> fmt::Result {
        if text.is_empty() {
            return Ok(());
        }
        let room = if self.cut == 0 { text.floor_char_boundary(self.left) } else { 0 };
        let (now, rest) = text.split_at(room);
        self.put(now, now.len())?;
        self.cut += rest.len();
        Ok(())
    }
}

/// A text as one line of at most so many bytes and a mark of what was cut off.
pub(crate) fn cut_line(text: &dyn fmt::Display, most: usize) -> String {
    let mut line = Line::new(String::new(), most);
    // Writing to a String cannot fail.
    let _ = write!(line, "{text}");
    line.end().unwrap_or_default()
}

/// One part of a message, as one line for the terminal.
pub(crate) fn shown(text: &dyn fmt::Display) -> String {
    cut_line(text, LONGEST_MESSAGE)
}

/// A text as one line for the terminal: ends of lines in the text are escaped, too.
pub fn one_line(text: &str) -> String {
    shown(&text)
}

/// A message as the terminal gets it: the lines are those of the message, and
/// everything else is escaped.
pub fn for_terminal(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| shown(&line)).collect();
    lines.join("\n")
}

/// A message of a tool, whose further lines are indented: they cannot be taken for
/// messages of the server.
pub fn indented(text: &str) -> String {
    for_terminal(text.trim_end()).replace('\n', "\n    ")
}

/// Writes the fields of an event of the server's log, so that each event is one
/// line, whatever its text was made of.
pub fn event_fields() -> impl for<'writer> FormatFields<'writer> + Send + Sync + 'static {
    debug_fn(|writer, field, value| {
        let mut line = Line::new(writer, LONGEST_EVENT);
        match field.name() {
            "message" => write!(line, "{value:?}")?,
            name => write!(line, "{name}={value:?}")?,
        }
        line.end().map(drop)
    })
    .delimited(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_ends_a_line_or_commands_a_terminal() {
        for (text, written) in [
            ("plain café 字", "plain café 字"),
            ("a\tb", "a\tb"),
            ("a\nb\r\n", "a\\nb\\r\\n"),
            ("\u{0}\u{7f}\u{1b}[2J", "\\u{0}\\u{7f}\\u{1b}[2J"),
            ("\u{85}\u{9b}31m", "\\u{85}\\u{9b}31m"),
            ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
            ("\u{202e}gpj.exe\u{202c}", "\\u{202e}gpj.exe\\u{202c}"),
            ("\u{2066}\u{2069}\u{61c}\u{200f}", "\\u{2066}\\u{2069}\\u{61c}\\u{200f}"),
        ] {
            assert_eq!(cut_line(&text, 1_000), written);
        }
        for c in (0..0x11_0000).filter_map(char::from_u32) {
            let line = cut_line(&c, 100);
            let raw = line.chars().any(|c| c != '\t' && (c.is_control() || is_escaped(c)));
            assert!(!raw, "{c:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_the_mark_has_the_rest() {
        assert_eq!(cut_line(&"x".repeat(10), 10), "xxxxxxxxxx");
        assert_eq!(cut_line(&"x".repeat(1 << 20), 10), "xxxxxxxxxx... (1048566 more bytes)");
        assert_eq!(cut_line(&"\n".repeat(10), 5), "\\n\\n... (8 more bytes)");
        assert_eq!(cut_line(&"é".repeat(3), 3), "é... (4 more bytes)");
        // A short part behind the cut does not follow the cut part.
        assert_eq!(cut_line(&format_args!("{}{}", "\u{1b}", "b"), 3), "... (2 more bytes)");
    }

    #[test]
    fn messages_keep_their_own_lines_and_no_others() {
        assert_eq!(for_terminal("a\nb\u{1b}[31m\r\nc"), "a\nb\\u{1b}[31m\\r\nc");
        assert_eq!(indented("failed\nvalid: 1 tenants\n"), "failed\n    valid: 1 tenants");
        assert_eq!(shown(&"a\nb"), "a\\nb");
    }
}
