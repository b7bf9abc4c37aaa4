//! The files that go into a component, copied first: tools write into the
//! folders that they are given.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::explain;
use crate::units::Bytes;

/// Folders that are never part of an app.
const LEFT_OUT: [&str; 4] = ["__pycache__", "node_modules", "venv", "site-packages"];
/// All files of an app together, in bytes: they are in the memory of every
/// instance, compressed.
const MOST: u64 = 64 << 20;
/// Files of an app: a folder with more is not the app's alone.
const MOST_FILES: usize = 20_000;

/// A file of an app.
pub(super) struct Source {
    /// From the app's folder.
    pub(super) name: PathBuf,
    pub(super) path: PathBuf,
}

/// Ends of files that are none of an app's: components, what is built, logs.
const ENDS: [&str; 3] = ["wasm", "part", "log"];

/// The files of a folder, sorted: without hidden ones, components, logs, caches and
/// environments of other tools, and what is built here.
///
/// # Errors
/// The folder cannot be read, or holds too much to be an app.
pub(super) fn list(folder: &Path, built_here: &Path) -> Result<Vec<Source>, String> {
    let mut files = Vec::new();
    let mut size = 0;
    let mut left = vec![PathBuf::new()];
    while let Some(below) = left.pop() {
        let path = folder.join(&below);
        let wrong = |error| format!("{}: {}", path.display(), explain(&error));
        for entry in fs::read_dir(&path).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let (name, path) = (below.join(entry.file_name()), entry.path());
            let Some(text) = entry.file_name().to_str().map(str::to_owned) else { continue };
            // A link of a folder could lead anywhere, also here.
            let kind = entry.file_type().map_err(wrong)?;
            if kind.is_dir() {
                if !is_left_out(&path, &text, built_here) {
                    left.push(name);
                }
                continue;
            }
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_file() && may_be_source(Path::new(&text)) {
                size += metadata.len();
                files.push(Source { name, path });
            }
        }
        if size > MOST || files.len() > MOST_FILES {
            let most = usize::try_from(MOST).unwrap_or(usize::MAX);
            return Err(format!(
                "{} holds more than {} or {MOST_FILES} files, all of which would be in the \
                 component; give the app a folder of its own",
                folder.display(),
                Bytes(most)
            ));
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Whether a file, by its path below the app's folder, may be part of the app.
pub(super) fn may_be_source(path: &Path) -> bool {
    let is_none = path.extension().is_some_and(|end| ENDS.iter().any(|none| end == *none));
    let mut names = path.iter().map(|name| name.to_string_lossy());
    !is_none && names.all(|name| !name.starts_with('.') && !LEFT_OUT.contains(&&*name))
}

fn is_left_out(path: &Path, name: &str, built_here: &Path) -> bool {
    let is_marked = |file: &str| path.join(file).exists();
    name.starts_with('.')
        || LEFT_OUT.contains(&name)
        // Of cargo and others; of Python.
        || is_marked("CACHEDIR.TAG")
        || is_marked("pyvenv.cfg")
        || path.canonicalize().is_ok_and(|path| built_here.starts_with(path))
}

/// Copies files into a folder.
pub(super) fn copy(files: &[Source], folder: &Path) -> Result<(), String> {
    for file in files {
        let to = folder.join(&file.name);
        let above = to.parent().unwrap_or(folder);
        fs::create_dir_all(above)
            .and_then(|()| fs::copy(&file.path, &to))
            .map_err(|error| format!("{}: {}", file.path.display(), explain(&error)))?;
    }
    Ok(())
}

/// Writes texts into a folder, by their names in it.
pub(super) fn write(texts: &[(&str, &str)], folder: &Path) -> Result<(), String> {
    for (name, text) in texts {
        let to = folder.join(name);
        let above = to.parent().unwrap_or(folder);
        fs::create_dir_all(above)
            .and_then(|()| fs::write(&to, text))
            .map_err(|error| format!("{}: {}", to.display(), explain(&error)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_make_is_no_source() {
        for (name, is_source) in [
            ("app.py", true),
            ("templates/page.html", true),
            ("log", true),
            ("server.log", false),
            ("app.wasm", false),
            ("js/node_modules/hono/index.js", false),
            (".git/config", false),
        ] {
            assert_eq!(may_be_source(Path::new(name)), is_source, "{name}");
        }
    }
}
