//! What a request of an app usually takes, which tells where the next one begins.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::tenant::NOTICED;

/// Half a tick: apps of which a request takes as long are not let before others.
const MODERATE: Duration = Duration::from_micros(500);
/// The latest request counts for such a part.
const LATEST: u64 = 8;
/// What a request counts for at most in what most take: a collector of garbage takes
/// as much as fifty requests, and those after it are as short as those before.
const MOST: Duration = NOTICED.saturating_mul(2);

/// Where a request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Where connections are served.
    Here,
    /// There, one after the other, after everything else that is ready.
    InTurn,
    Background,
}

/// What a request usually takes: a mean in which older ones count less, and the same
/// of what each takes up to `MOST`.
#[derive(Debug, Default)]
pub(super) struct Usual {
    /// Each request has a new instance: what that takes is usual, too.
    is_fresh: bool,
    all: Mean,
    most: Mean,
}

/// In nanoseconds of CPU time.
#[derive(Debug, Default)]
struct Mean(AtomicU64);

impl Usual {
    /// Of an app of which each request has a new instance, or of one that reuses them.
    pub(super) fn new(is_fresh: bool) -> Usual {
        Usual { is_fresh, ..Usual::default() }
    }

    /// Whether no request has told anything yet.
    pub(super) fn is_unknown(&self) -> bool {
        self.all.now().is_zero()
    }

    /// Where the next request begins, of a tenant that has used more than its share
    /// at any time, or not. `alone`: no other tenant's wait in the background, where
    /// nothing runs while there are turns here.
    pub(super) fn place(&self, in_debt: bool, alone: bool) -> First {
        if self.is_moderate() && alone && (self.most.now() > NOTICED || in_debt) {
            return First::InTurn;
        }
        if in_debt { First::Background } else { First::Here }
    }

    /// Whether one that has used up its first slice goes on in turn: nearly all others
    /// are short, so that it soon ends, too. In the background it would wait for a
    /// moment in which nobody asks, and all that come meanwhile behind it.
    pub(super) fn is_rarely_long(&self, alone: bool) -> bool {
        alone && !self.is_unknown() && self.is_moderate()
    }

    fn is_moderate(&self) -> bool {
        self.all.now() < MODERATE
    }

    /// A request took so long, perhaps with a new instance: of an app that reuses them,
    /// that says nothing of the next.
    pub(super) fn note(&self, used: Duration, has_new_instance: bool) {
        if self.is_fresh || !has_new_instance {
            self.all.note(used);
            self.most.note(used.min(MOST));
        }
    }
}

impl Mean {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }

    /// What others note at the same moment may be lost.
    fn note(&self, used: Duration) {
        let used = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX) / LATEST;
        let usual = self.0.load(Relaxed);
        self.0.store((usual - usual / LATEST).saturating_add(used), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_usually_takes_a_part_of_a_tick_is_done_in_turn() {
        for (us, without_debt, in_debt) in [
            (20, First::Here, First::InTurn),
            (200, First::InTurn, First::InTurn),
            (2_000, First::Here, First::Background),
        ] {
            let usual = Usual::default();
            (0..50).for_each(|_| usual.note(Duration::from_micros(us), false));
            let places = [false, true].map(|in_debt| usual.place(in_debt, true));
            assert_eq!(places, [without_debt, in_debt], "{us} us");
            let places = [false, true].map(|in_debt| usual.place(in_debt, false));
            assert_eq!(places, [First::Here, First::Background], "others wait: {us} us");
        }
    }

    #[test]
    fn after_one_long_request_short_ones_need_no_turn() {
        let usual = Usual::default();
        assert!(!usual.is_rarely_long(true), "nothing is known of it");
        (0..50).for_each(|_| usual.note(Duration::from_micros(60), false));
        for _ in 0..10 {
            assert!(usual.is_rarely_long(true) && !usual.is_rarely_long(false));
            usual.note(Duration::from_millis(3), false);
            assert_eq!(usual.place(false, true), First::Here);
            (0..50).for_each(|_| usual.note(Duration::from_micros(60), false));
        }
        usual.note(Duration::from_millis(4), false);
        assert!(!usual.is_rarely_long(true), "it may be the first of many");
    }

    #[test]
    fn one_long_request_among_eight_takes_the_turns() {
        let usual = Usual::default();
        for _ in 0..10 {
            (0..7).for_each(|_| usual.note(Duration::from_micros(20), false));
            usual.note(Duration::from_millis(4), false);
            assert_eq!(usual.place(true, true), First::Background);
        }
    }

    #[test]
    fn a_new_instance_tells_something_where_each_request_has_one() {
        for (is_fresh, unknown) in [(false, true), (true, false)] {
            let usual = Usual::new(is_fresh);
            usual.note(Duration::from_millis(4), true);
            assert_eq!(usual.is_unknown(), unknown);
        }
    }
}
