//! How many of a tenant's requests run at the same time, and how many wait.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Places to run, and a queue for them, first come, first served.
pub(super) struct Places {
    free: Semaphore,
    most: Mutex<usize>,
    /// Places that are no more once those that have them give them back.
    owed: AtomicUsize,
    waiting: AtomicUsize,
}

impl Places {
    pub(super) fn new(most: usize) -> Places {
        let (owed, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Places { free: Semaphore::new(most), most: Mutex::new(most), owed, waiting }
    }

    /// Takes a place if one is free; it is to be given back.
    pub(super) fn take(&self) -> bool {
        self.free.try_acquire().map(SemaphorePermit::forget).is_ok()
    }

    /// Takes a place after a wait, unless so many wait already or it takes so long.
    pub(super) async fn wait(&self, queue: usize, time: Duration) -> bool {
        let Some(_waits) = Waits::below(&self.waiting, queue) else { return false };
        let turn = tokio::time::timeout(time, self.free.acquire()).await;
        turn.is_ok_and(|turn| turn.map(SemaphorePermit::forget).is_ok())
    }

    pub(super) fn give_back(&self) {
        let paid = self.owed.fetch_update(Relaxed, Relaxed, |owed| owed.checked_sub(1));
        if paid.is_err() {
            self.free.add_permits(1);
        }
    }

    /// From now on there are so many. Who has a place keeps it.
    pub(super) fn resize(&self, most: usize) {
        let mut now = self.most.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in *now..most {
            self.give_back();
        }
        let fewer = now.saturating_sub(most);
        self.owed.fetch_add(fewer - self.free.forget_permits(fewer), Relaxed);
        *now = most;
    }
}

/// A place in the queue, given back also when the client leaves.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn below(waiting: &'a AtomicUsize, most: usize) -> Option<Waits<'a>> {
        let waits = Waits(waiting);
        (waiting.fetch_add(1, Relaxed) < most).then_some(waits)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_place_keeps_it_when_there_are_fewer() {
        let places = Places::new(3);
        assert!(places.take() && places.take() && places.take() && !places.take());
        places.resize(1);
        places.give_back();
        places.give_back();
        assert!(!places.take(), "the one is taken still");
        places.give_back();
        assert!(places.take() && !places.take());
        places.resize(2);
        assert!(places.take() && !places.take());
    }

    #[test]
    fn more_places_pay_what_is_owed_first() {
        let places = Places::new(2);
        assert!(places.take() && places.take());
        places.resize(1);
        places.resize(3);
        assert!(places.take() && !places.take());
        places.resize(3);
        assert!(!places.take());
    }
}
