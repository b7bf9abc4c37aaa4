//! The tools that build: from PATH where they are the right version, else
//! installed once in the state directory.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::lock::Lock;
use super::place::{Build, empty};
use super::tool::Tool;
use super::wrong;

/// Beside a managed installation that is complete: what was installed.
const COMPLETE: &str = "complete";

/// The program of a name on PATH, if it is there. A folder that PATH names relative to the
/// working folder may be one of an app.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let folders = env::split_paths(&path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The program of a name on PATH if `--version` says this version.
pub(super) fn of_version(name: &str, version: &str, build: &Build<'_>) -> Option<PathBuf> {
    let path = on_path(name)?;
    let ended = build.run(&Tool::new(&path).arg("--version"), None).ok()?;
    let is_right = ended.said.split_whitespace().any(|word| word == version);
    (ended.ok && is_right).then_some(path)
}

/// The name of an installation with these contents: another version of the server makes
/// another, so that none changes while a build uses it.
pub(super) fn name(of: &str, contents: &[&str]) -> String {
    let mut digest = Digest::default();
    contents.iter().for_each(|part| digest.add(part.as_bytes()));
    format!("{of}-{}", digest.name())
}

/// A folder with a managed installation of pinned tools; `install` fills an empty one, and
/// its tools hold the lock that it is given. An installation that was interrupted is begun
/// again. The lock is of this installation alone.
///
/// # Errors
/// `install` fails: nothing of it is left.
pub(super) fn managed(
    folder: PathBuf,
    pinned: &[&str],
    install: impl FnOnce(&Path, &Lock) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let wanted = pinned.join("\n");
    let complete = folder.with_extension(COMPLETE);
    let is_complete = || fs::read_to_string(&complete).is_ok_and(|there| there == wanted);
    if is_complete() {
        return Ok(folder);
    }
    let path = folder.with_extension("lock");
    let lock = Lock::take(&path, "another process installs the same");
    let lock = lock.map_err(|error| wrong(&path, &error))?;
    if is_complete() {
        return Ok(folder);
    }
    empty(&folder).map_err(|error| wrong(&folder, &error))?;
    let installed = install(&folder, &lock)
        .and_then(|()| fs::write(&complete, wanted).map_err(|error| wrong(&complete, &error)));
    match installed {
        Ok(()) => Ok(folder),
        Err(why) => {
            // What failed is the message; that it is left is no second one.
            let _ = fs::remove_dir_all(&folder);
            Err(why)
        }
    }
}

/// What may be wrong when packages or tools cannot be installed.
pub(super) const NETWORK: &str = "is the network there?";
pub(super) const MEND: &str = "check their names and versions; is the network there?";

/// The last lines of what a tool said, on one line.
pub(super) fn last_words(said: &str) -> String {
    let says = |line: &&str| !line.is_empty() && !line.contains("A complete log of this run");
    let lines: Vec<&str> = said.lines().map(str::trim).filter(says).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join(" ")
}

/// Lines of a tool's output that are shown.
const LAST_LINES: usize = 4;
