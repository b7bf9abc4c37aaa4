//! Instances that wait for their next request, when an app reuses them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::instance::Instance;

/// The idle instances of one app. At most as many as run at the same time.
pub(super) struct Pool {
    /// Requests that one instance serves; 1 is fresh.
    reuse: u32,
    idle: Mutex<Vec<Instance>>,
}

impl Pool {
    pub(super) fn new(reuse: u32) -> Pool {
        Pool { reuse, idle: Mutex::default() }
    }

    /// The instance that waited least: its memory is still in the caches.
    pub(super) fn take(&self) -> Option<Instance> {
        if self.reuse > 1 { self.idle().pop() } else { None }
    }

    /// Keeps an instance that answered properly, until it has served its share.
    pub(super) fn put(&self, instance: Instance) {
        if instance.served < self.reuse {
            self.idle().push(instance);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
