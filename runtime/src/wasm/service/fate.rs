//! Whether a guest ended as it should: what is sent of its answer must not end
//! cleanly if it did not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// What became of a guest.
#[derive(Clone, Default)]
pub(super) struct Fate {
    failed: Arc<AtomicBool>,
}

/// Lives in a guest's future beside its store and is dropped before it: whoever
/// sees the store's streams close can ask why.
pub(super) struct Running {
    fate: Fate,
    ended: bool,
}

impl Fate {
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(SeqCst)
    }

    /// A guest that fails unless it ends.
    pub(super) fn running(self) -> Running {
        Running { fate: self, ended: false }
    }
}

impl Running {
    /// The guest has ended by itself.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.fate.failed.store(true, SeqCst);
        }
    }
}
