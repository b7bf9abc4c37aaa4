//! Who owns routes and limits. There is one tenant so far.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Refusal;
use crate::limits::Limits;

/// An owner of routes, with its limits and what it uses of them.
pub(crate) struct Tenant {
    pub(crate) limits: Arc<Limits>,
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Held while a request runs.
pub(crate) struct Permit {
    _running: OwnedSemaphorePermit,
}

impl Tenant {
    pub(crate) fn new(limits: Arc<Limits>) -> Tenant {
        let running = Arc::new(Semaphore::new(limits.concurrency));
        Tenant { limits, running, waiting: AtomicUsize::new(0) }
    }

    /// Lets a request run, at once or after a short wait in a bounded queue.
    ///
    /// # Errors
    /// The queue is full, or the wait was too long.
    pub(crate) async fn admit(&self) -> Result<Permit, Refusal> {
        if let Ok(permit) = self.running.clone().try_acquire_owned() {
            return Ok(Permit { _running: permit });
        }
        Box::pin(self.wait()).await
    }

    async fn wait(&self) -> Result<Permit, Refusal> {
        let _place = Place::take(&self.waiting, self.limits.queue).ok_or(Refusal::Overloaded)?;
        let turn = self.running.clone().acquire_owned();
        match tokio::time::timeout(self.limits.queue_time, turn).await {
            Ok(Ok(permit)) => Ok(Permit { _running: permit }),
            Ok(Err(_)) | Err(_) => Err(Refusal::Overloaded),
        }
    }
}

/// A place in the queue, given back also when the client leaves.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Option<Place<'a>> {
        let place = Place(waiting);
        (waiting.fetch_add(1, Relaxed) < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
