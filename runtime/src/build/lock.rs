//! One process builds at a time.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Held until it is dropped, or the process ends.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(path: &Path) -> io::Result<Lock> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        if file.try_lock().is_err() {
            tracing::info!("another process builds in {}; waiting", path.display());
            file.lock()?;
        }
        Ok(Lock { _file: file })
    }
}
