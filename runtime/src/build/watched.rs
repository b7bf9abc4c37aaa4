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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Private;
    use super::*;

    #[test]
    fn only_files_of_the_app_are_changes_of_the_app() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("a path");
        for below in ["state", "other", "data", "venv3", ".well-known"] {
            fs::create_dir(folder.join(below)).expect("a folder");
        }
        for (name, text) in [
            ("other/keyvalue.redb", ""),
            ("venv3/pyvenv.cfg", ""),
            ("private", ""),
            (".mywebignore", "*.bin\n!public.pem\n!.well-known/\n"),
        ] {
            fs::write(folder.join(name), text).expect("a file");
        }
        let private =
            Private { states: vec![folder.join("state")], files: vec![folder.join("private")] };
        let kept = private.kept_out_of(&folder).expect("an app's folder");
        let mut watched = Watched::new(folder.clone(), kept);
        for (name, is_change) in [
            ("app.py", true),
            ("data/new.txt", true),
            ("public.pem", true),
            (".well-known/x", true),
            (".mywebignore", true),
            ("key.pem", false),
            (".env", false),
            ("a.bin", false),
            ("server.log", false),
            ("state/keyvalue.redb", false),
            ("state/any.txt", false),
            ("other/any.txt", false),
            ("venv3/x.py", false),
            ("private", false),
            ("node_modules/x.js", false),
            ("", false),
        ] {
            assert_eq!(watched.has(&folder.join(name)), is_change, "{name}");
        }
        assert!(!watched.has(Path::new("/etc/passwd")));
        fs::write(folder.join(".mywebignore"), "").expect("a file");
        assert!(watched.has(&folder.join(".mywebignore")), "the rules are read again");
        assert!(watched.has(&folder.join("a.bin")));
        assert!(!watched.has(&folder.join("public.pem")));
    }
}
