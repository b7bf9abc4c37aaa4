//! Text whose length others decide, formatted within a bound. SECURITY: formatting
//! stops at the bound, so that neither its time nor its memory goes beyond it.

use std::fmt::{self, Display, Write};

/// The text of a value, cut at so many bytes; a cut text ends in `...`.
pub(crate) fn cut(value: impl Display, most: usize) -> String {
    let mut bounded = Bounded { text: String::new(), most };
    if write!(bounded, "{value}").is_err() {
        bounded.text.push_str("...");
    }
    bounded.text
}

/// Takes text up to a bound, and is an error from then on.
struct Bounded {
    text: String,
    most: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = self.most.saturating_sub(self.text.len());
        if more.len() <= room {
            self.text.push_str(more);
            return Ok(());
        }
        let end = more.floor_char_boundary(room);
        self.text.push_str(more.get(..end).unwrap_or_default());
        // No shorter piece fits behind a longer one.
        self.most = self.text.len();
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_text_is_cut_at_its_bound_and_between_characters() {
        for (text, most, shown) in [
            ("", 0, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "abc..."),
            ("aé", 2, "a..."),
            ("é", 1, "..."),
        ] {
            assert_eq!(cut(text, most), shown, "{text:?} at {most}");
        }
    }

    #[test]
    fn formatting_stops_at_the_bound() {
        /// Writes for ever, as long as its writer takes the text.
        struct Endless(Cell<usize>);
        impl Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    self.0.set(self.0.get() + 1);
                    f.write_str("1234567890")?;
                }
            }
        }
        let endless = Endless(Cell::new(0));
        assert_eq!(cut(&endless, 25), "1234567890123456789012345...");
        assert_eq!(endless.0.get(), 3);
    }
}
