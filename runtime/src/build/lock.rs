//! One process builds at a time.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Held until it is dropped, or the process and the children that share it have
/// ended.
pub(super) struct Lock {
    file: File,
}

impl Lock {
    pub(super) fn take(path: &Path) -> io::Result<Lock> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        if file.try_lock().is_err() {
            tracing::info!("another process builds, and holds {}; waiting for it", path.display());
            file.lock()?;
        }
        Ok(Lock { file })
    }

    /// For a child: the lock is held until it has ended, too.
    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        self.file.try_clone().map(OwnedFd::from)
    }
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
        let lock = Lock::take(&path).unwrap();
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
}
