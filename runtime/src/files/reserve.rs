//! Descriptors that are kept for files: when connections have taken all others,
//! files are still served.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

/// Descriptors that are kept. A small file needs one for a moment; a large one
/// has it until it is sent.
const KEPT: usize = 8;

/// What a descriptor is kept open on.
const NOTHING: &str = "/dev/null";

/// Descriptors that are open so that others can take their places.
#[derive(Debug, Default)]
pub(super) struct Reserve {
    kept: Mutex<Vec<File>>,
    /// Whether some were given away.
    short: AtomicBool,
}

impl Reserve {
    pub(super) fn new() -> Reserve {
        let reserve = Reserve::default();
        reserve.fill(&mut reserve.kept());
        reserve
    }

    /// Does what opens files; if there is no descriptor left for them, once more
    /// with one that is kept.
    ///
    /// # Errors
    /// Those of what is done.
    pub(super) fn lend<T>(&self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match open() {
            Err(error) if is_exhausted(&error) => {}
            opened => {
                if self.short.load(Relaxed) {
                    self.fill(&mut self.kept());
                }
                return opened;
            }
        }
        let mut kept = self.kept();
        drop(kept.pop());
        let opened = open();
        self.fill(&mut kept);
        opened
    }

    fn kept(&self) -> MutexGuard<'_, Vec<File>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, kept: &mut Vec<File>) {
        let new = (kept.len()..KEPT).map_while(|_| File::open(NOTHING).ok());
        kept.extend(new);
        self.short.store(kept.len() < KEPT, Relaxed);
    }
}

/// Whether there are no descriptors left, for this process or for all.
fn is_exhausted(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(Errno::MFILE.raw_os_error()) || code == Some(Errno::NFILE.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn exhausted() -> io::Error {
        Errno::MFILE.into()
    }

    #[test]
    fn a_descriptor_is_lent_once_there_is_no_other() {
        let reserve = Reserve::new();
        let kept = || reserve.kept().len();
        assert_eq!(kept(), KEPT);
        let calls = Cell::new(0);
        let opened = reserve.lend(|| {
            calls.set(calls.get() + 1);
            if calls.get() == 1 { Err(exhausted()) } else { Ok(File::open(NOTHING)?) }
        });
        assert_eq!((opened.is_ok(), calls.get(), kept()), (true, 2, KEPT));
        assert!(reserve.lend(|| Err::<(), _>(exhausted())).is_err());
        let missing = reserve.lend(|| File::open("/none"));
        assert!(missing.is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
    }
}
