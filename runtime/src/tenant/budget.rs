//! Bytes that many take from and give back to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A bounded number of bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    pub(crate) most: usize,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Budget {
        Budget { used: AtomicUsize::new(0), most }
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

/// Bytes taken from a budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Taken {
    pub(crate) fn nothing(budget: Arc<Budget>) -> Taken {
        Taken { budget, bytes: 0 }
    }

    /// Takes more, or nothing more if there is not enough.
    pub(crate) fn more(&mut self, bytes: usize) -> bool {
        let taken = self.budget.take(bytes);
        self.bytes += if taken { bytes } else { 0 };
        taken
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
