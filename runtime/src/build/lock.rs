//! Locks between the processes that build in one state directory, and between the builds
//! of one process: one build of a folder at a time, one installation of the same tools or
//! packages at a time, and a bound on the builds of all folders together.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Time after which a build that waits looks for a free place again.
const AGAIN: Duration = Duration::from_millis(50);

/// Held until it is dropped, or the process and the children that share it have
/// ended.
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Waits for the lock of a file. `what` is told to people who wait.
    pub(super) fn take(path: &Path, what: &str) -> io::Result<Lock> {
        let file = open(path)?;
        if file.try_lock().is_err() {
            tracing::info!("{what}, and holds {}; waiting for it", path.display());
            file.lock()?;
        }
        Ok(Lock { file })
    }

    /// Waits for one of the locks `0` up to `count` in a folder.
    pub(super) fn take_one_of(folder: &Path, count: usize) -> io::Result<Lock> {
        let mut told = false;
        loop {
            for number in 0..count {
                let file = open(&folder.join(number.to_string()))?;
                if file.try_lock().is_ok() {
                    return Ok(Lock { file });
                }
            }
            if !told {
                tracing::info!("{count} other builds run; waiting for the end of one");
            }
            told = true;
            thread::park_timeout(AGAIN);
        }
    }

    /// For a child: the lock is held until it has ended, too.
    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        self.file.try_clone().map(OwnedFd::from)
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use command_fds::CommandFdExt;

    use super::*;

    #[test]
    fn a_child_that_shares_it_holds_it_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = Lock::take(&path, "").unwrap();
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).preserved_fds(vec![lock.share().unwrap()]);
        let mut child = command.spawn().unwrap();
        drop((lock, command));
        let other = File::open(&path).unwrap();
        assert!(other.try_lock().is_err());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(other.try_lock().is_ok());
    }

    #[test]
    fn one_of_several_locks_is_taken_as_long_as_one_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take_one_of(folder.path(), 2).unwrap();
        let second = Lock::take_one_of(folder.path(), 2).unwrap();
        let taken = |name: &str| File::open(folder.path().join(name)).unwrap().try_lock().is_err();
        assert!(taken("0") && taken("1"));
        drop(first);
        assert!(!taken("0"));
        let third = Lock::take_one_of(folder.path(), 2).unwrap();
        assert!(taken("0"));
        drop((second, third));
    }
}
