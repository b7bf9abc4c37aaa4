//! The tools that build: from PATH where they are the right version, else
//! installed once in the state directory.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::run;
use super::wrong;

/// Beside a managed installation that is complete: what was installed.
const COMPLETE: &str = "complete";

/// The program of a name on PATH, if it is there.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The program of a name on PATH if `--version` says this version.
pub(super) fn of_version(name: &str, version: &str) -> Option<PathBuf> {
    let path = on_path(name)?;
    let ended = run(Command::new(&path).arg("--version")).ok()?;
    let is_right = ended.said.split_whitespace().any(|word| word == version);
    (ended.ok && is_right).then_some(path)
}

/// A folder with a managed installation of pinned tools; `install` fills an
/// empty one. What was interrupted is begun again.
///
/// # Errors
/// `install` fails: nothing of it is left.
pub(super) fn managed(
    folder: PathBuf,
    pinned: &[&str],
    install: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let wanted = pinned.join("\n");
    let complete = folder.with_extension(COMPLETE);
    if fs::read_to_string(&complete).is_ok_and(|there| there == wanted) {
        return Ok(folder);
    }
    let empty = |folder: &Path| match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(wrong(folder, &error)),
        _ => Ok(()),
    };
    empty(&folder)?;
    fs::create_dir_all(&folder).map_err(|error| wrong(&folder, &error))?;
    let installed = install(&folder)
        .and_then(|()| fs::write(&complete, wanted).map_err(|error| wrong(&complete, &error)));
    match installed {
        Ok(()) => Ok(folder),
        Err(why) => {
            // What failed is the message; that it is left is no second one.
            let _ = empty(&folder);
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
