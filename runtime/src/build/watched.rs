//! Which changes in an app's folder are changes of the app, for `--watch`.

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::private::Kept;
use super::rules::{self, Rules, Verdict};
use super::stage::{self, FLAGS, is_of_tools, is_state};

/// The files of one app.
pub(crate) struct Watched {
    folder: PathBuf,
    kept: Kept,
    rules: Rules,
}

impl Watched {
    pub(super) fn new(folder: PathBuf, kept: Kept) -> Watched {
        let mut watched = Watched { folder, kept, rules: Rules::default() };
        watched.read_rules();
        watched
    }

    /// Whether a changed file may be one of the app's.
    pub(crate) fn has(&mut self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.folder).map(Path::to_owned) else { return false };
        if below.as_os_str().is_empty() || self.kept.holds(path) {
            return false;
        }
        if below == Path::new(rules::FILE) {
            self.read_rules();
            return true;
        }
        if self.rules.judge_all(&below) != Verdict::Taken {
            return false;
        }
        let folders = path.ancestors().skip(1).take_while(|path| *path != self.folder);
        let mut folders = folders
            .filter_map(|path| openat(CWD, path, FLAGS | OFlags::DIRECTORY, Mode::empty()).ok());
        !folders.any(|folder| is_of_tools(&folder) || is_state(&folder))
    }

    /// A mistake is told by the build.
    fn read_rules(&mut self) {
        self.rules = stage::rules(&self.folder).unwrap_or_default();
    }
}
