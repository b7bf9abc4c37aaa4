//! Bytes that many take from and give back to.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

/// A bounded number of bytes.
pub(crate) struct Budget {
    used: AtomicUsize,
    pub(crate) most: usize,
    /// Who holds bytes that it can do without.
    reserves: Mutex<Vec<Weak<dyn Reserve>>>,
}

/// Holds bytes of a budget that it can do without.
pub(crate) trait Reserve: Send + Sync {
    /// Since when it has not used the part that has waited longest.
    fn waits_since(&self) -> Option<Instant>;

    /// Gives that part back; false if there is none.
    fn give_up(&self) -> bool;
}

impl Budget {
    pub(crate) fn new(most: usize) -> Budget {
        Budget { used: AtomicUsize::new(0), most, reserves: Mutex::default() }
    }

    /// From now on bytes that this one holds are taken back when others lack them.
    pub(crate) fn add_reserve(&self, reserve: Weak<dyn Reserve>) {
        let mut reserves = self.reserves.lock().unwrap_or_else(PoisonError::into_inner);
        reserves.retain(|reserve| reserve.strong_count() > 0);
        reserves.push(reserve);
    }

    /// Takes back what has waited longest; false if nothing waits.
    fn take_back(&self) -> bool {
        let reserves = self.reserves.lock().unwrap_or_else(PoisonError::into_inner).clone();
        oldest(reserves.iter().filter_map(Weak::upgrade)).is_some_and(|oldest| oldest.give_up())
    }

    /// Takes bytes, or none if there are not enough.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let taken = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.most);
        self.used.fetch_update(Relaxed, Relaxed, taken).is_ok()
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }
}

/// Of those where something waits, the one where it has waited longest.
pub(crate) fn oldest<R: Reserve + ?Sized>(all: impl Iterator<Item = Arc<R>>) -> Option<Arc<R>> {
    let waiting = all.filter_map(|reserve| Some((reserve.waits_since()?, reserve)));
    waiting.min_by_key(|(since, _)| *since).map(|(_, reserve)| reserve)
}

/// Bytes taken from a budget, given back when dropped.
pub(crate) struct Taken {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Taken {
    pub(crate) fn nothing(budget: Arc<Budget>) -> Taken {
        Taken { budget, bytes: 0 }
    }

    /// Takes more, or nothing more if there is not enough: not even once all that
    /// waits was taken back.
    pub(crate) fn more(&mut self, bytes: usize) -> bool {
        while !self.budget.take(bytes) {
            if bytes > self.budget.most || !self.budget.take_back() {
                return false;
            }
        }
        self.bytes += bytes;
        true
    }

    /// Gives some back.
    pub(crate) fn less(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.give_back(bytes);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is left of the budget for all.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Waiting(Mutex<Option<Taken>>);

    impl Reserve for Waiting {
        fn waits_since(&self) -> Option<Instant> {
            self.0.lock().unwrap().as_ref().map(|_| Instant::now())
        }

        fn give_up(&self) -> bool {
            self.0.lock().unwrap().take().is_some()
        }
    }

    #[test]
    fn what_waits_is_taken_back_when_others_lack_it() {
        let budget = Arc::new(Budget::new(10));
        let mut waiting = Taken::nothing(budget.clone());
        assert!(waiting.more(8));
        let reserve: Arc<Waiting> = Arc::new(Waiting(Mutex::new(Some(waiting))));
        let weak: Weak<Waiting> = Arc::downgrade(&reserve);
        budget.add_reserve(weak);
        let mut taken = Taken::nothing(budget.clone());
        assert!(!taken.more(11) && reserve.waits_since().is_some(), "never enough");
        assert!(taken.more(2) && reserve.waits_since().is_some(), "enough");
        assert!(taken.more(8) && reserve.waits_since().is_none());
        assert!(!taken.more(1));
        taken.less(4);
        assert_eq!((taken.bytes(), budget.used()), (6, 6));
    }

    #[test]
    fn what_is_taken_is_bounded_and_comes_back() {
        let budget = Arc::new(Budget::new(10));
        let mut one = Taken::nothing(budget.clone());
        let mut other = Taken::nothing(budget.clone());
        assert!(one.more(6) && other.more(4) && !other.more(1));
        assert!(!other.more(usize::MAX));
        assert_eq!((one.bytes(), other.bytes(), budget.used()), (6, 4, 10));
        drop(one);
        assert!(other.more(6));
        drop(other);
        assert_eq!(budget.used(), 0);
    }
}
