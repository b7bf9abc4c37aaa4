//! Markers of requirements (PEP 508): `python_version < "3.9" and sys_platform == "linux"`. Pure.

use super::line::{OPERATORS, Rest};

/// The deepest parentheses.
const DEEPEST: usize = 32;

/// The variables that a marker may compare.
const VARIABLES: [&str; 14] = [
    "python_version",
    "python_full_version",
    "os_name",
    "sys_platform",
    "platform_release",
    "platform_system",
    "platform_version",
    "platform_machine",
    "platform_python_implementation",
    "implementation_name",
    "implementation_version",
    "extra",
    "extras",
    "dependency_groups",
];

const WRONG: &str =
    "has a marker that is not understood; write it like ; python_version < \"3.12\"";

/// Reads a marker, and returns its normal form.
pub(super) fn parse(rest: &mut Rest<'_>) -> Result<String, String> {
    let mut marker = String::new();
    let mut depth = 0;
    loop {
        while rest.take("(") {
            depth += 1;
            if depth > DEEPEST {
                return Err(format!("has parentheses more than {DEEPEST} deep; remove some"));
            }
            marker.push('(');
        }
        marker += &operand(rest)?;
        marker += &format!(" {} ", operator(rest)?);
        marker += &operand(rest)?;
        while depth > 0 && rest.take(")") {
            depth -= 1;
            marker.push(')');
        }
        match ["and", "or"].into_iter().find(|joint| word(rest, joint)) {
            Some(joint) => marker += &format!(" {joint} "),
            None if depth == 0 => return Ok(marker),
            None => return Err(WRONG.to_owned()),
        }
    }
}

/// Takes a word that does not go on.
fn word(rest: &mut Rest<'_>, word: &str) -> bool {
    rest.skip();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let after = rest.0.strip_prefix(word).filter(|after| !after.starts_with(is_part));
    rest.0 = after.unwrap_or(rest.0);
    after.is_some()
}

fn operator(rest: &mut Rest<'_>) -> Result<&'static str, String> {
    if word(rest, "in") {
        return Ok("in");
    }
    if word(rest, "not") {
        return if word(rest, "in") { Ok("not in") } else { Err(WRONG.to_owned()) };
    }
    OPERATORS.into_iter().find(|operator| rest.take(operator)).ok_or_else(|| WRONG.to_owned())
}

/// A variable, or a text in quotes.
fn operand(rest: &mut Rest<'_>) -> Result<String, String> {
    for quote in ["\"", "'"] {
        if rest.take(quote) {
            let text =
                rest.run(|c| (c.is_ascii_graphic() || c == ' ') && !quote.contains(c) && c != '\\');
            if !rest.0.starts_with(quote) {
                return Err(WRONG.to_owned());
            }
            rest.0 = &rest.0[quote.len()..];
            return Ok(format!("{quote}{text}{quote}"));
        }
    }
    let name = VARIABLES.into_iter().find(|name| word(rest, name));
    name.map(str::to_owned).ok_or_else(|| WRONG.to_owned())
}
