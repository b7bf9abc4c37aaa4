//! Whether the machine lets the threads of the background run: other programs may take
//! all of it. Then a bounded part of the server's own work is done where connections
//! are served, so that it ends. Pure: the time is handed in.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::tenant::Debt;

/// Work that ended sooner says nothing of the machine.
const LONG: Duration = Duration::from_millis(250);
/// All threads together had less than this part of one processor.
const PART: u32 = 20;
/// How long the server believes that they stand still.
const BELIEVED: Duration = Duration::from_secs(5);

/// When the background threads stood still, and what was done in their place.
#[derive(Default)]
pub(super) struct Stalled {
    /// Until when the server believes it, in nanoseconds since any fixed moment.
    until: AtomicU64,
    /// A tenth of a thread, for the work of all tenants together.
    in_place: Debt,
}

impl Stalled {
    /// Notes that work took so long, while all background tasks used so much CPU time.
    pub(super) fn note(&self, took: Duration, used: Duration, now: Duration) {
        if took >= LONG && used < took / PART {
            self.until.fetch_max(nanos(now + BELIEVED), Relaxed);
        }
    }

    /// Whether a piece of work may be done where connections are served.
    pub(super) fn may_work_in_place(&self, now: Duration) -> bool {
        let until = self.until.load(Relaxed);
        until > 0 && until > nanos(now) && !self.in_place.is_deep(now)
    }

    /// Charges such a piece of work.
    pub(super) fn worked_in_place(&self, used: Duration, now: Duration) {
        self.in_place.add(used, now);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn work_that_waits_for_other_work_is_no_stall() {
        for (took, used, stalled) in [
            (ms(200), ms(0), false),
            (ms(1_000), ms(1_900), false),
            (ms(1_000), ms(60), false),
            (ms(1_000), ms(3), true),
        ] {
            let state = Stalled::default();
            assert!(!state.may_work_in_place(ms(0)));
            state.note(took, used, ms(7));
            assert_eq!(state.may_work_in_place(ms(8)), stalled, "{took:?} {used:?}");
            assert!(!state.may_work_in_place(ms(5_008)), "the stall is believed for a while");
        }
    }

    #[test]
    fn a_tenth_of_a_thread_works_in_place_of_stalled_threads() {
        let state = Stalled::default();
        let mut used = Duration::ZERO;
        for now in (0..10_000).map(ms) {
            state.note(ms(1_000), ms(0), now);
            if state.may_work_in_place(now) {
                state.worked_in_place(ms(2), now);
                used += ms(2);
            }
        }
        assert!((ms(1_000)..ms(1_050)).contains(&used), "{used:?} of ten seconds");
    }
}
