//! How much a tenant's long requests have used of the threads that serve
//! connections. Pure: the time is handed in.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Paid off by a tenth of the time that passes: so much of a thread a tenant's
/// long requests may use together.
const SHARE: u64 = 10;

/// Owed at once before it counts: a long request now and then is nobody's loss.
const FORGIVEN: Duration = Duration::from_millis(20);

/// What was used and is not paid off yet.
#[derive(Debug, Default)]
pub(crate) struct Debt {
    /// When it will be paid off, in nanoseconds since the start.
    paid_off: AtomicU64,
}

impl Debt {
    /// Adds what was used. `now` is a time since any fixed moment.
    pub(crate) fn add(&self, used: Duration, now: Duration) {
        let (used, now) = (nanos(used).saturating_mul(SHARE), nanos(now));
        let later = |until: u64| Some(until.max(now).saturating_add(used));
        // The closure never refuses.
        let _ = self.paid_off.fetch_update(Relaxed, Relaxed, later);
    }

    /// Whether there ever was any; costs no look at a clock.
    pub(crate) fn is_none(&self) -> bool {
        self.paid_off.load(Relaxed) == 0
    }

    /// Whether so much is owed that others would notice more of it.
    pub(crate) fn is_deep(&self, now: Duration) -> bool {
        self.paid_off.load(Relaxed) > nanos(now).saturating_add(nanos(FORGIVEN) * SHARE)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_time_may_be_used() {
        let ms = Duration::from_millis;
        let debt = Debt::default();
        assert!(debt.is_none() && !debt.is_deep(ms(0)));
        for second in 0..10 {
            debt.add(ms(99), ms(1_000 * second));
            assert!(debt.is_deep(ms(1_000 * second)), "all of it at once");
            assert!(!debt.is_deep(ms(1_000 * second + 800)), "paid off but for what is forgiven");
        }
        debt.add(ms(19), ms(20_000));
        assert!(!debt.is_none() && !debt.is_deep(ms(20_000)));
        debt.add(ms(2), ms(20_000));
        assert!(debt.is_deep(ms(20_000)) && !debt.is_deep(ms(20_011)));
    }
}
