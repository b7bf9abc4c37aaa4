//! Text files of an app that name its packages: decoded strictly, with a problem that names the line.

use std::path::{Component, Path, PathBuf};

/// The longest value that a message quotes, in characters.
const QUOTED: usize = 200;

/// A refused value of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line from 1, or 0 where the file has no line to name.
    pub line: usize,
    /// The refused value.
    pub value: String,
    /// The reason and the mend, which complete a sentence that begins with the value.
    pub why: String,
}

impl Problem {
    pub(super) fn new(line: usize, value: &str, why: impl Into<String>) -> Problem {
        let value = value.trim().chars().take(QUOTED).collect();
        Problem { line, value, why: why.into() }
    }

    /// A problem with a whole file.
    pub(super) fn of_file(why: impl Into<String>) -> Problem {
        Problem { line: 0, value: String::new(), why: why.into() }
    }

    /// The sentence with the file's name.
    pub fn told(&self, file: &str) -> String {
        let Problem { line, value, why } = self;
        match (line, value.is_empty()) {
            (0, true) => format!("{file}: {why}"),
            (0, false) => format!("{file}: {value:?} {why}"),
            (line, true) => format!("{file}:{line}: {why}"),
            (line, false) => format!("{file}:{line}: {value:?} {why}"),
        }
    }
}

/// The text of a file in UTF-8, without a byte order mark.
///
/// # Errors
/// The file is too large, has another encoding, or has control characters.
pub(super) fn decode(bytes: &[u8], largest: usize) -> Result<&str, Problem> {
    if bytes.len() > largest {
        return Err(Problem::of_file(format!(
            "the file has more than {largest} bytes; shorten it"
        )));
    }
    let text = str::from_utf8(bytes)
        .map_err(|_| Problem::of_file("the file is not UTF-8; save the file as UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let is_control = |c: char| c == '\u{feff}' || (c.is_control() && !matches!(c, '\t' | '\n'));
    for (at, line) in text.lines().enumerate() {
        if line.contains(is_control) {
            return Err(Problem::new(at + 1, line, "has a control character; remove it"));
        }
    }
    Ok(text)
}

/// The path that `text` names from the folder `from`, as a path from the app's folder.
///
/// # Errors
/// The path is no plain relative path, or leads out of the app's folder.
pub(super) fn inside(from: &Path, text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains([':', '\\', '"', '\'']) {
        return Err("is no path of a file; write a path from the app's folder".to_owned());
    }
    let outside = || "is outside of the app's folder; move it there".to_owned();
    let mut path = from.to_owned();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return Err(outside());
                }
            }
            Component::RootDir | Component::Prefix(_) => return Err(outside()),
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_utf_8_without_control_characters() {
        assert_eq!(decode(b"a\r\nb", 9).ok(), Some("a\r\nb"));
        assert_eq!(decode("\u{feff}a".as_bytes(), 9).ok(), Some("a"));
        for refused in [&b"\xff\xfea\0"[..], b"a\0", b"a\rb", b"a\x1bb", b"0123456789"] {
            assert!(decode(refused, 9).is_err(), "{refused:?}");
        }
        let second = decode("\u{feff}\u{feff}-e .".as_bytes(), 99).expect_err("a second mark");
        assert_eq!(second.line, 1);
    }

    #[test]
    fn a_path_stays_in_the_folder() {
        for (from, text, path) in [
            ("", "a.txt", Some("a.txt")),
            ("", "./a/../b.txt", Some("b.txt")),
            ("requirements", "../base.txt", Some("base.txt")),
            ("requirements", "../../base.txt", None),
            ("", "/etc/passwd", None),
            ("", "https://a.example/r.txt", None),
            ("", "file:a.txt", None),
            ("", "a\\b.txt", None),
            ("", "", None),
        ] {
            assert_eq!(inside(Path::new(from), text).ok(), path.map(PathBuf::from), "{text}");
        }
    }
}
