//! The variables of the environment that an app read while it was built, as a custom
//! section at the end of its component. Whoever makes a component can write anything
//! there; a false list harms that app alone.

use std::fmt::{self, Display, Formatter};

use serde_json::Value;

/// The name of the section.
const SECTION: &str = "myweb:reads";
/// The longest list, in bytes, and the most reads of one.
const LONGEST: usize = 128 << 10;
const MOST: usize = 256;
/// The longest name, and the longest place, in characters.
const LONGEST_TEXT: usize = 200;
/// The name of a read of all variables.
const ALL: &str = "*";

/// A read of a variable at import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImportRead {
    name: String,
    file: String,
    line: u64,
    by: Reader,
}

/// Who read a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// A file of the app.
    Own,
    /// A package, while the app imported it.
    Package,
    /// A file of the app, for a page that was asked for while building.
    Warm,
}

impl ImportRead {
    /// Whether a file of the app itself read the variable at import: it has the value of
    /// the build for ever.
    pub(crate) fn is_own(&self) -> bool {
        self.by == Reader::Own
    }

    /// Whether the variable was read, or all of them were.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        self.name == name || self.name == ALL
    }
}

/// `app.py:3 reads SECRET_KEY`, for the log and for terminals.
impl Display for ImportRead {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ImportRead { name, file, line, by } = self;
        let what = if name == ALL { "all variables" } else { name };
        match by {
            Reader::Own => write!(f, "{file}:{line} reads {what} at import"),
            Reader::Package => write!(f, "the package file {file}:{line} reads {what} at import"),
            Reader::Warm => write!(f, "{file}:{line} reads {what} for a page of --warm"),
        }
    }
}

/// The component with the reads of its build's report.
pub(super) fn with_reads(mut component: Vec<u8>, report: &Value) -> Vec<u8> {
    let reads = read(report);
    if reads.is_empty() {
        return component;
    }
    let list = reads.iter().map(|ImportRead { name, file, line, by }| {
        let by = match by {
            Reader::Own => "own",
            Reader::Package => "package",
            Reader::Warm => "warm",
        };
        serde_json::json!({ "name": name, "file": file, "line": line, "by": by })
    });
    let list = Value::from(list.collect::<Vec<Value>>()).to_string();
    let name = [&[SECTION.len() as u8][..], SECTION.as_bytes()].concat();
    component.push(0);
    component.extend(leb128(name.len() + list.len()));
    component.extend(name);
    component.extend(list.into_bytes());
    component
}

/// The reads that a component lists. Only its own sections are looked at, none of what
/// they hold.
///
/// # Errors
/// The list is damaged: a sentence.
pub(crate) fn reads_in(component: &[u8]) -> Result<Vec<ImportRead>, String> {
    let mut rest = component.get(8..).unwrap_or_default();
    while let Some((kind, after)) = rest.split_first() {
        let Some((content, after)) = sized(after) else { break };
        if let (0, Some((name, list))) = (*kind, sized(content))
            && name == SECTION.as_bytes()
        {
            return listed(list);
        }
        rest = after;
    }
    Ok(Vec::new())
}

/// Bytes behind their length, and what follows them.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut rest) = (0_usize, bytes);
    for place in 0..5 {
        let (byte, after) = rest.split_first()?;
        rest = after;
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return rest.split_at_checked(length);
        }
    }
    None
}

fn listed(list: &[u8]) -> Result<Vec<ImportRead>, String> {
    let damaged = "its list of variables that are read at import is damaged; build it again";
    if list.len() > LONGEST {
        return Err(damaged.to_owned());
    }
    let list: Value = serde_json::from_slice(list).map_err(|_| damaged.to_owned())?;
    let reads = read(&list);
    if list.as_array().map(Vec::len) == Some(reads.len()) {
        return Ok(reads);
    }
    Err(damaged.to_owned())
}

/// The reads of a list; what is none is left out.
fn read(list: &Value) -> Vec<ImportRead> {
    let text = |value: &Value| -> Option<String> {
        let text = value.as_str()?.chars().take(LONGEST_TEXT);
        Some(text.map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect())
    };
    let reads = list.as_array().into_iter().flatten().take(MOST).filter_map(|read| {
        let by = match read["by"].as_str()? {
            "own" => Reader::Own,
            "package" => Reader::Package,
            "warm" => Reader::Warm,
            _ => return None,
        };
        let (name, file, line) =
            (text(&read["name"])?, text(&read["file"])?, read["line"].as_u64()?);
        Some(ImportRead { name, file, line, by })
    });
    reads.collect()
}

/// A number as WebAssembly writes it.
fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A component whose section has this content.
    fn forged(content: &[u8]) -> Vec<u8> {
        let mut component = wat::parse_str("(component (core module (func)))").unwrap();
        component.push(0);
        component.extend(leb128(SECTION.len() + 1 + content.len()));
        component.extend([&[11], SECTION.as_bytes(), content].concat());
        component
    }

    #[test]
    fn reads_are_a_section_that_is_read_again() {
        let plain = wat::parse_str("(component (core module (func)))").unwrap();
        let one = json!({ "name": "KEY", "file": "app.py", "line": 3, "by": "own" });
        let report = Value::from(vec![one; 100]);
        let with = with_reads(plain.clone(), &report);
        assert!(wasmparser::Validator::new().validate_all(&with).is_ok());
        let found = reads_in(&with).unwrap();
        assert_eq!((found.len(), &found), (100, &read(&report)));
        assert_eq!(found[0].to_string(), "app.py:3 reads KEY at import");
        assert_eq!(with_reads(plain.clone(), &Value::Null), plain);
        assert_eq!(reads_in(&plain), Ok(Vec::new()));
    }

    #[test]
    fn forged_lists_are_refused_or_bounded() {
        for content in [
            &b""[..],
            b"nonsense",
            b"{}",
            b"[{}]",
            b"[1]",
            br#"[{"name": 1, "file": "a", "line": 1, "by": "own"}]"#,
            br#"[{"name": "a", "file": "a", "line": -1, "by": "own"}]"#,
            br#"[{"name": "a", "file": "a", "line": 1, "by": "nobody"}]"#,
            "[".repeat(10_000).as_bytes(),
            " ".repeat(LONGEST + 1).as_bytes(),
        ] {
            assert!(reads_in(&forged(content)).is_err(), "{}", content.len());
        }
        let long = json!({ "name": "a\n\u{1b}".repeat(999), "file": "b", "line": 1, "by": "own" });
        let reads = reads_in(&forged(Value::from(vec![long]).to_string().as_bytes())).unwrap();
        let text = reads[0].to_string();
        assert!(text.len() < 1_000 && !text.contains(char::is_control), "{text}");
        let one = json!({ "name": "a", "file": "b", "line": 1, "by": "own" });
        let many = Value::from(vec![one; 999]).to_string();
        assert!(reads_in(&forged(many.as_bytes())).is_err());
    }

    #[test]
    fn every_cut_and_every_flipped_bit_of_a_list_is_harmless() {
        let report = json!([{ "name": "KEY", "file": "app.py", "line": 3, "by": "own" }]);
        let with = with_reads(wat::parse_str("(component)").unwrap(), &report);
        for end in 0..with.len() {
            let _ = reads_in(&with[..end]);
        }
        for bit in 0..with.len() * 8 {
            let mut flipped = with.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _ = reads_in(&flipped);
        }
    }

    #[test]
    fn a_read_of_all_is_one_of_each() {
        let report = |name: &str| json!([{ "name": name, "file": "a", "line": 1, "by": "own" }]);
        let is_of = |name: &str, asked| read(&report(name)).iter().all(|read| read.is_of(asked));
        assert!(is_of("*", "KEY") && is_of("KEY", "KEY") && !is_of("KEY", "KEY2"));
    }
}
