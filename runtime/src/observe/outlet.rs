//! Where lines go in the end: a file, or a stream of the process.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// A stream that somebody else has made non-blocking is tried again so often.
const AGAIN: Duration = Duration::from_millis(10);

/// A file or stream that is written by one thread at a time.
#[derive(Debug)]
pub(super) struct Outlet {
    to: To,
    file: Option<File>,
    /// The last attempt failed.
    failing: bool,
    /// The last line was not written to its end.
    torn: bool,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum To {
    Stdout,
    Stderr,
    File(PathBuf),
}

/// Lines that were not written.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) lines: u64,
    /// Why, the first time in a row.
    pub(super) error: Option<io::Error>,
}

impl Outlet {
    pub(super) fn new(to: To) -> Outlet {
        Outlet { to, file: None, failing: false, torn: false }
    }

    /// Opens the file again at the next line.
    pub(super) fn reopen(&mut self) {
        self.file = None;
        self.torn = false;
    }

    /// Writes lines.
    ///
    /// # Errors
    /// Some were not written; the others were.
    pub(super) fn write(&mut self, mut lines: &[u8]) -> Result<(), Failed> {
        if lines.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.try_write(&mut lines) {
            let first = !std::mem::replace(&mut self.failing, true);
            let lines = memchr::memchr_iter(b'\n', lines).count() as u64;
            return Err(Failed { lines, error: Some(error).filter(|_| first) });
        }
        self.failing = false;
        Ok(())
    }

    fn try_write(&mut self, left: &mut &[u8]) -> io::Result<()> {
        if self.torn {
            self.try_write_all(&mut &b"\n"[..])?;
            self.torn = false;
        }
        let all = *left;
        let written = self.try_write_all(left);
        let last = all.len().checked_sub(left.len() + 1).and_then(|last| all.get(last));
        self.torn = last.is_some_and(|byte| *byte != b'\n');
        written
    }

    fn try_write_all(&mut self, left: &mut &[u8]) -> io::Result<()> {
        while !left.is_empty() {
            match self.write_some(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => *left = left.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    thread::park_timeout(AGAIN);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.to {
            // Not by the standard library's handles: they are locked while one who
            // reads nothing keeps them waiting, and one of them has a buffer.
            To::Stdout => Ok(rustix::io::write(io::stdout(), bytes)?),
            To::Stderr => Ok(rustix::io::write(io::stderr(), bytes)?),
            To::File(path) => match &mut self.file {
                Some(file) => file.write(bytes),
                None => self.file.insert(open(path)?).write(bytes),
            },
        }
    }
}

/// Opens a file that is appended to.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Whether lines could be appended to a file, as far as can be told without
/// making it.
pub(super) fn look(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        // To open one waits for its reader.
        Ok(there) if there.file_type().is_fifo() => Ok(()),
        Ok(_) => OpenOptions::new().append(true).open(path).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            fs::read_dir(folder.unwrap_or(Path::new("."))).map(drop)
        }
        Err(error) => Err(error),
    }
}

/// As people know it.
impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            To::Stdout => f.write_str("standard output"),
            To::Stderr => f.write_str("standard error"),
            To::File(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_not_written_are_counted_and_the_cause_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut outlet = Outlet::new(To::File(path.clone()));
        let failed = outlet.write(b"a\nb\nc\n").expect_err("the disk is full");
        assert_eq!((failed.lines, failed.error.is_some()), (3, true));
        let failed = outlet.write(b"d\n").expect_err("it is full again");
        assert_eq!((failed.lines, failed.error.is_some()), (1, false));
        fs::remove_file(&path).unwrap();
        outlet.reopen();
        outlet.write(b"e\nf\n").expect("there is room");
        assert_eq!(fs::read_to_string(&path).unwrap(), "e\nf\n");
    }

    #[test]
    fn a_line_that_was_torn_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut outlet = Outlet::new(To::File(path.clone()));
        outlet.write(b"a").expect("there is room");
        outlet.write(b"b\n").expect("there is room");
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\nb\n");
    }

    #[test]
    fn a_file_that_could_be_written_is_told_without_making_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(look(&path("log")).is_ok() && !path("log").exists());
        assert!(look(&path("none/log")).is_err() && look(folder.path()).is_err());
        fs::write(path("log"), "a\n").unwrap();
        assert!(look(&path("log")).is_ok());
        assert_eq!(fs::read_to_string(path("log")).unwrap(), "a\n");
    }
}
