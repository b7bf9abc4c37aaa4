//! The paths of routes: `/a`, `/a/:name`, `/a/*`. Pure.

/// Whether a pattern can be a route's.
///
/// # Errors
/// A sentence: what is wrong with it, and the mend.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    let Some(rest) = pattern.strip_prefix('/') else {
        return Err("a path starts with a slash".to_owned());
    };
    let segments: Vec<&str> = rest.split('/').collect();
    let last = segments.len() - 1;
    let mut names = Vec::new();
    for (place, segment) in segments.iter().enumerate() {
        match *segment {
            "" if place != last => return Err("the path has an empty segment".to_owned()),
            "." | ".." => return Err("the path has a . or .. segment".to_owned()),
            "*" if place != last => {
                return Err("a * matches the rest: it is the last segment".to_owned());
            }
            "" | "*" => {}
            segment if segment.contains('*') => {
                return Err("a * is a segment of its own: /a/*".to_owned());
            }
            segment if segment.contains(['%', '?', '#']) => {
                return Err(
                    "paths are matched decoded and without the query: write them so".to_owned()
                );
            }
            segment => match segment.strip_prefix(':') {
                Some(name) if !is_name(name) => {
                    return Err(format!("{segment:?} is no parameter: write it like :item"));
                }
                Some(name) if names.contains(&name) => {
                    return Err(format!("the parameter :{name} is there twice"));
                }
                Some(name) => names.push(name),
                None => {}
            },
        }
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.is_empty() && text.bytes().all(known)
}

/// What two patterns that match the same paths have in common.
pub(super) fn shape(pattern: &str) -> String {
    let segments = pattern.split('/');
    let shapes: Vec<&str> =
        segments.map(|segment| if segment.starts_with(':') { ":" } else { segment }).collect();
    shapes.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_checked() {
        for pattern in ["/", "/*", "/a", "/a/", "/a/*", "/a/:b/c", "/:a/:b", "/café", "/a.b"] {
            assert_eq!(check(pattern), Ok(()), "{pattern}");
        }
        for pattern in [
            "", "a", "//", "/a//b", "/*/a", "/a*", "/a/../b", "/.", "/:", "/:a-b", "/:a/:a",
            "/a%20b", "/a?b",
        ] {
            assert!(check(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn names_do_not_tell_patterns_apart() {
        assert_eq!(shape("/a/:x/*"), shape("/a/:y/*"));
        assert_ne!(shape("/a/:x"), shape("/a/*"));
    }
}
