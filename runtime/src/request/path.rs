//! The path of a request, decoded.

use percent_encoding::percent_decode_str;

use crate::error::Refusal;

/// Decodes each segment once. NUL, text that is not UTF-8, and segments that
/// would climb are refused.
pub(super) fn decode_path(raw: &str) -> Result<String, Refusal> {
    let mut path = String::with_capacity(raw.len());
    if raw.contains('%') {
        for (number, segment) in raw.split('/').enumerate() {
            path.push_str(if number > 0 { "/" } else { "" });
            decode_segment(segment, &mut path)?;
        }
    } else {
        path.push_str(raw);
    }
    // A path begins with a slash: without this, no segment begins with a dot.
    let dotted = path.as_bytes().windows(2).any(|pair| pair == b"/.");
    if dotted && path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Refusal::BadRequest("the path has a `.` or `..` segment"));
    }
    Ok(path)
}

/// Adds a segment to a path.
fn decode_segment(segment: &str, path: &mut String) -> Result<(), Refusal> {
    let decoded = percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| Refusal::BadRequest("the path is not UTF-8"))?;
    if decoded.contains('\0') {
        return Err(Refusal::BadRequest("the path has a NUL"));
    }
    for (number, part) in decoded.split('/').enumerate() {
        path.push_str(if number > 0 { "%2F" } else { "" });
        path.push_str(part);
    }
    Ok(())
}
