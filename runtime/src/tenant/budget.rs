//! Bytes that many take from and give back to.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// How often who waits for bytes looks without having been told.
const LOOK: Duration = Duration::from_millis(50);

/// A bounded number of bytes; a tenant's are also all tenants' together.
pub(crate) struct Budget {
    used: AtomicUsize,
    most: AtomicUsize,
    /// What this one is a part of: what is taken here is taken there, too.
    whole: Option<Arc<Budget>>,
    /// Who holds bytes that it can do without.
    reserves: Mutex<Vec<Weak<dyn Reserve>>>,
    /// Those that wait for bytes, and how many they are. The first of them is told
    /// when some are given back.
    line: Semaphore,
    waiting: AtomicUsize,
    freed: Notify,
}

/// The first of those that wait for bytes of a budget, until it is dropped.
pub(crate) struct Turn<'a> {
    _waits: Waits<'a>,
    _first: Option<SemaphorePermit<'a>>,
}

/// Holds bytes of a budget that it can do without.
pub(crate) trait Reserve: Send + Sync {
    /// Since when it has not used the part that has waited longest.
    fn waits_since(&self) -> Option<Instant>;

    /// Gives that part back; false if there is none.
    fn give_up(&self) -> bool;
}

/// Memory that was refused, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lack {
    pub(crate) of: Bound,
    used: usize,
    most: usize,
}

/// Whose bound of memory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Instance,
    Tenant,
    /// That of all tenants together.
    Machine,
    /// That of a tenant's unfinished uploads.
    Uploads,
    /// The share of a client's network in that.
    Network,
}

impl Lack {
    /// An instance has so much, and may have no more.
    pub(crate) fn of_instance(used: usize, most: usize) -> Lack {
        Lack::new(Bound::Instance, used, most)
    }

    pub(super) fn new(of: Bound, used: usize, most: usize) -> Lack {
        Lack { of, used, most }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.of {
            Bound::Instance => "the instance has",
            Bound::Tenant => "the tenant has",
            Bound::Machine => "all tenants together have",
            Bound::Uploads => "unfinished uploads of the tenant have",
            Bound::Network => "unfinished uploads of the client's network have",
        };
        write!(f, "{who} {} of {} bytes of memory", self.used, self.most)
    }
}

impl Budget {
    /// For all tenants together.
    pub(crate) fn new(most: usize) -> Budget {
        let (used, most) = (AtomicUsize::new(0), AtomicUsize::new(most));
        let (line, waiting, freed) = (Semaphore::new(1), AtomicUsize::new(0), Notify::new());
        Budget { used, most, whole: None, reserves: Mutex::default(), line, waiting, freed }
    }

    /// A tenant's part of that of all.
    pub(crate) fn part_of(whole: Arc<Budget>, most: usize) -> Budget {
        Budget { whole: Some(whole), ..Budget::new(most) }
    }

    /// From now on there are so many. What is taken stays taken.
    pub(crate) fn resize(&self, most: usize) {
        self.most.store(most, Relaxed);
    }

    /// From now on bytes that this one holds are taken back when others lack them.
    pub(crate) fn add_reserve(&self, reserve: Weak<dyn Reserve>) {
        if let Some(whole) = &self.whole {
            whole.add_reserve(reserve.clone());
        }
        let mut reserves = self.reserves.lock().unwrap_or_else(PoisonError::into_inner);
        reserves.retain(|reserve| reserve.strong_count() > 0);
        reserves.push(reserve);
    }

    /// Takes back what has waited longest; false if nothing waits.
    fn take_back(&self) -> bool {
        let reserves = self.reserves.lock().unwrap_or_else(PoisonError::into_inner).clone();
        oldest(reserves.iter().filter_map(Weak::upgrade)).is_some_and(|oldest| oldest.give_up())
    }

    /// Takes bytes, or none if there are not enough, here or of the whole.
    fn take(&self, bytes: usize) -> Result<(), &Budget> {
        let most = self.most.load(Relaxed);
        let taken = |used: usize| used.checked_add(bytes).filter(|used| *used <= most);
        self.used.fetch_update(Relaxed, Relaxed, taken).map_err(|_| self)?;
        if let Some(whole) = &self.whole {
            whole.take(bytes).inspect_err(|_| {
                self.used.fetch_sub(bytes, Relaxed);
            })?;
        }
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
        self.tell_freed();
        if let Some(whole) = &self.whole {
            whole.give_back(bytes);
        }
    }

    /// Whether so many bytes are left here.
    pub(crate) fn has(&self, bytes: usize) -> bool {
        self.used.load(Relaxed).saturating_add(bytes) <= self.most.load(Relaxed)
    }

    /// Whether more than 7/8 are used, here without so many bytes, or of the whole.
    pub(super) fn is_nearly_used(&self, without: usize) -> bool {
        let most = self.most.load(Relaxed);
        let here = self.used.load(Relaxed).saturating_sub(without) > most - most / 8;
        here || self.whole.as_ref().is_some_and(|whole| whole.is_nearly_used(0))
    }

    /// Something was given back, or what holds it can be used again.
    pub(crate) fn tell_freed(&self) {
        if self.waiting.load(Relaxed) > 0 {
            self.freed.notify_one();
        }
    }

    /// Whether some wait for bytes: who comes now is not before them.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    /// Waits behind those that wait for bytes.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        let waits = Waits::one_of(&self.waiting);
        Turn { _waits: waits, _first: self.line.acquire().await.ok() }
    }

    /// Waits until something was given back, by whose turn it is. It may be for
    /// nothing: who waits looks again, and now and then without having been told.
    pub(crate) async fn freed(&self, _turn: &Turn<'_>) {
        let _ = tokio::time::timeout(LOOK, self.freed.notified()).await;
    }

    fn lack(&self) -> Lack {
        let of = if self.whole.is_some() { Bound::Tenant } else { Bound::Machine };
        Lack { of, used: self.used.load(Relaxed), most: self.most.load(Relaxed) }
    }
}

/// One among those that wait.
pub(crate) struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    pub(crate) fn one_of(waiting: &'a AtomicUsize) -> Waits<'a> {
        waiting.fetch_add(1, Relaxed);
        Waits(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
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

    /// Takes more.
    ///
    /// # Errors
    /// There is not enough, not even once all that waits was taken back: nothing
    /// more was taken.
    pub(crate) fn more(&mut self, bytes: usize) -> Result<(), Lack> {
        while let Err(short) = self.budget.take(bytes) {
            if bytes > short.most.load(Relaxed) || !short.take_back() {
                return Err(short.lack());
            }
        }
        self.bytes += bytes;
        Ok(())
    }

    /// All that was taken, as one that is held elsewhere.
    pub(crate) fn split(&mut self) -> Taken {
        let bytes = std::mem::take(&mut self.bytes);
        Taken { budget: self.budget.clone(), bytes }
    }

    /// Takes more of what is free: nothing that waits is taken back for it.
    ///
    /// # Errors
    /// There is not enough: nothing more was taken.
    pub(super) fn more_of_free(&mut self, bytes: usize) -> Result<(), Lack> {
        self.budget.take(bytes).map_err(Budget::lack)?;
        self.bytes += bytes;
        Ok(())
    }

    /// How much there is of the budget, taken or not.
    pub(super) fn most(&self) -> usize {
        self.budget.most.load(Relaxed)
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
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

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

    /// Bytes that wait, of a budget.
    fn waiting(budget: &Arc<Budget>, bytes: usize) -> Arc<Waiting> {
        let mut taken = Taken::nothing(budget.clone());
        taken.more(bytes).unwrap();
        let reserve = Arc::new(Waiting(Mutex::new(Some(taken))));
        let weak: Weak<Waiting> = Arc::downgrade(&reserve);
        budget.add_reserve(weak);
        reserve
    }

    fn used(budget: &Budget) -> usize {
        budget.used.load(Relaxed)
    }

    #[test]
    fn what_waits_is_taken_back_when_others_lack_it() {
        let budget = Arc::new(Budget::new(10));
        let reserve = waiting(&budget, 8);
        let mut taken = Taken::nothing(budget.clone());
        assert!(taken.more(11).is_err() && reserve.waits_since().is_some(), "never enough");
        assert!(taken.more(2).is_ok() && reserve.waits_since().is_some(), "enough");
        assert!(taken.more(8).is_ok() && reserve.waits_since().is_none());
        assert!(taken.more(1).is_err());
        taken.less(4);
        assert_eq!((taken.bytes(), used(&budget)), (6, 6));
    }

    #[test]
    fn what_is_taken_is_bounded_and_comes_back() {
        let budget = Arc::new(Budget::new(10));
        let mut one = Taken::nothing(budget.clone());
        let mut other = Taken::nothing(budget.clone());
        assert!(one.more(6).is_ok() && other.more(4).is_ok() && other.more(1).is_err());
        assert!(other.more(usize::MAX).is_err());
        assert_eq!((one.bytes(), other.bytes(), used(&budget)), (6, 4, 10));
        drop(one);
        assert!(other.more(6).is_ok());
        drop(other);
        assert_eq!(used(&budget), 0);
    }

    #[test]
    fn parts_are_bounded_together_and_it_is_told_who_lacks() {
        let whole = Arc::new(Budget::new(10));
        let part = || Arc::new(Budget::part_of(whole.clone(), 8));
        let (one, other) = (part(), part());
        let mut first = Taken::nothing(one.clone());
        let mut second = Taken::nothing(other.clone());
        assert_eq!(first.more(9), Err(Lack { of: Bound::Tenant, used: 0, most: 8 }));
        assert!(first.more(7).is_ok());
        assert_eq!(second.more(4), Err(Lack { of: Bound::Machine, used: 7, most: 10 }));
        assert_eq!((used(&other), used(&whole)), (0, 7), "what was refused is not taken");
        assert!(second.more(3).is_ok());
        drop((first, second));
        assert_eq!((used(&one), used(&other), used(&whole)), (0, 0, 0));
        let idle = waiting(&one, 8);
        let mut third = Taken::nothing(other);
        assert!(third.more(8).is_ok() && idle.waits_since().is_none(), "another's that waits");
    }

    #[test]
    fn who_waits_first_has_the_first_turn() {
        let budget = Budget::new(10);
        let mut context = Context::from_waker(Waker::noop());
        let (mut first, mut second) = (pin!(budget.turn()), pin!(budget.turn()));
        let turn = first.as_mut().poll(&mut context);
        assert!(turn.is_ready() && second.as_mut().poll(&mut context).is_pending());
        assert!(budget.is_waited_for());
        drop(turn);
        assert!(second.as_mut().poll(&mut context).is_ready());
        assert!(!budget.is_waited_for());
    }

    #[test]
    fn a_smaller_budget_takes_nothing_away() {
        let budget = Arc::new(Budget::new(10));
        let mut taken = Taken::nothing(budget.clone());
        assert!(taken.more(8).is_ok());
        budget.resize(4);
        assert!(taken.more(1).is_err());
        taken.less(6);
        assert!(taken.more(2).is_ok() && taken.more(1).is_err());
    }
}
