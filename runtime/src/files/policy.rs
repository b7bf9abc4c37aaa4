//! SECURITY: which files a path may name. Pure, so that every case is a line in
//! a table; what the disk answers is a second, independent wall.

use std::path::{Path, PathBuf};

use http::header::HeaderValue;

/// The file or directory that a decoded path names, relative to the root, or
/// `None` if it may name none: an empty segment but at the end, a dot at a
/// segment's start (`..` and hidden files alike), a backslash, a control
/// character. The root itself is the empty path.
pub(super) fn relative(path: &str) -> Option<PathBuf> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path);
    let mut relative = PathBuf::new();
    if path.is_empty() {
        return Some(relative);
    }
    for segment in path.split('/') {
        let hidden = segment.is_empty() || segment.starts_with('.');
        if hidden || segment.contains(|c: char| c == '\\' || c.is_control()) {
            return None;
        }
        relative.push(segment);
    }
    Some(relative)
}

/// The first segment of a path; empty for the root itself.
pub(super) fn top(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/').next().unwrap_or_default()
}

/// The type by the name's extension; text is UTF-8.
pub(crate) fn content_type(path: &Path) -> HeaderValue {
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    let text = mime.type_() == "text"
        || matches!(
            mime.essence_str(),
            "application/javascript" | "application/json" | "image/svg+xml"
        );
    let value = match mime.essence_str() {
        "application/javascript" => "text/javascript; charset=utf-8".to_owned(),
        essence if text => format!("{essence}; charset=utf-8"),
        essence => essence.to_owned(),
    };
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_files_below_the_root_only() {
        for (path, file) in [
            ("/", Some("")),
            ("", Some("")),
            ("/a.txt", Some("a.txt")),
            ("a.txt", Some("a.txt")),
            ("/d/", Some("d")),
            ("/d/e.css", Some("d/e.css")),
            ("/a..b", Some("a..b")),
            ("/..", None),
            ("/../etc/passwd", None),
            ("/d/../../x", None),
            ("/./a", None),
            ("//etc/passwd", None),
            ("//", None),
            ("/d//", None),
            ("/d//a", None),
            ("/.git/config", None),
            ("/d/.htpasswd", None),
            ("/..\\a", None),
            ("/d\\a", None),
            ("/a\0.txt", None),
            ("/a\n", None),
        ] {
            assert_eq!(relative(path).as_deref(), file.map(Path::new), "{path:?}");
        }
    }

    #[test]
    fn types_come_from_extensions() {
        for (name, kind) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.json", "application/json; charset=utf-8"),
            ("a.svg", "image/svg+xml; charset=utf-8"),
            ("a.jpg", "image/jpeg"),
            ("a.wasm", "application/wasm"),
            ("a", "application/octet-stream"),
        ] {
            assert_eq!(content_type(Path::new(name)), kind, "{name}");
        }
    }
}
