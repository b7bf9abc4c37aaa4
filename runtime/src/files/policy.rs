//! SECURITY: which files a path may name. Pure, so that every case is a line in
//! a table; what the disk answers is a second, independent wall.

use std::path::{Path, PathBuf};

use http::header::HeaderValue;

/// What a path that ends with a slash names.
pub(super) const INDEX: &str = "index.html";

/// The file that a decoded path names, relative to the root, or `None` if it
/// may name none: an empty segment, a dot at a segment's start (`..` and hidden
/// files alike), a backslash, a control character.
pub(super) fn relative(path: &str) -> Option<PathBuf> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let (directory, file) = path.rsplit_once('/').map_or((None, path), |(d, f)| (Some(d), f));
    let file = if file.is_empty() { INDEX } else { file };
    let mut relative = PathBuf::new();
    for segment in directory.into_iter().flat_map(|all| all.split('/')).chain([file]) {
        let hidden = segment.is_empty() || segment.starts_with('.');
        if hidden || segment.contains(|c: char| c == '\\' || c.is_control()) {
            return None;
        }
        relative.push(segment);
    }
    Some(relative)
}

/// The first segment of the file that a path names.
pub(super) fn top(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    match path.split('/').next() {
        Some("") | None => INDEX,
        Some(name) => name,
    }
}

/// The type by the name's extension; text is UTF-8.
pub(super) fn content_type(path: &Path) -> HeaderValue {
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
            ("/", Some("index.html")),
            ("", Some("index.html")),
            ("/a.txt", Some("a.txt")),
            ("a.txt", Some("a.txt")),
            ("/d/", Some("d/index.html")),
            ("/d/e.css", Some("d/e.css")),
            ("/a..b", Some("a..b")),
            ("/..", None),
            ("/../etc/passwd", None),
            ("/d/../../x", None),
            ("/./a", None),
            ("//etc/passwd", None),
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
