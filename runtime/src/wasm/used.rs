//! What a request has used, poll by poll.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::error::GuestError;

/// Polls that are shorter hold up nobody.
pub(super) const SHORT: Duration = Duration::from_micros(250);

/// What of one poll counts against a request's limit, by the monotonic clock. It
/// yields after a tick; what took longer may have stood still, and nobody is to be
/// stopped for that. It is charged all the same.
const COUNTED: Duration = Duration::from_millis(5);

/// What a request has used, poll by poll.
#[derive(Default)]
pub(super) struct Used {
    pub(super) polls: u64,
    pub(super) all: Duration,
    /// After the first poll, as far as that is known: what a machine did meanwhile that
    /// others use, too, is not for who is served here to be sent away for.
    pub(super) after_first: Duration,
    /// Of all, what is in doubt.
    doubtful: Duration,
    /// What counts against the limit.
    counted: Duration,
    /// In the last poll, as far as that is known.
    pub(super) last: Duration,
    /// Whether the last poll was long, or stood still: only the thread's own time
    /// can tell, by which the next one is measured.
    pub(super) is_in_doubt: bool,
}

impl Used {
    pub(super) fn add_by_wall(&mut self, used: Duration) {
        self.is_in_doubt = used >= SHORT;
        let known = if self.is_in_doubt { Duration::ZERO } else { used };
        self.add(used, known);
        self.counted += used.min(COUNTED);
        self.last = known;
    }

    pub(super) fn add_by_thread(&mut self, used: Duration) {
        self.add(used, used);
        self.counted += used;
        self.is_in_doubt = used >= SHORT;
        self.last = used;
    }

    fn add(&mut self, used: Duration, known: Duration) {
        self.all += used;
        self.doubtful += used - known;
        if self.polls > 0 {
            self.after_first += known;
        }
        self.polls += 1;
    }

    /// What it used, of which `most` may be in doubt.
    pub(super) fn likely(&self, most: Duration) -> Duration {
        self.all - self.doubtful + self.doubtful.min(most)
    }

    /// Adds a request's part of a poll of several.
    pub(super) fn add_part(&mut self, part: Part) {
        self.add(part.used, part.used);
        self.counted += part.counted;
    }

    /// What was used since it was like this.
    pub(super) fn since(&self, before: Part) -> Part {
        let used = self.all.saturating_sub(before.used);
        Part { used, counted: self.counted.saturating_sub(before.counted) }
    }

    /// All that was used.
    pub(super) fn whole(&self) -> Part {
        Part { used: self.all, counted: self.counted }
    }

    /// Forgets so much of what counts for where it goes on.
    pub(super) fn forgive(&mut self, time: Duration) {
        self.after_first = self.after_first.saturating_sub(time);
    }

    /// Why a request ends that used so much.
    pub(super) fn over(&self, limit: Duration) -> Option<GuestError> {
        let over = self.is_over(limit);
        over.then_some(GuestError::CpuExceeded { used: self.all, limit })
    }

    /// The first poll alone ends nobody: it may have stood still.
    fn is_over(&self, limit: Duration) -> bool {
        self.polls > 1 && self.counted >= limit
    }
}

/// What one poll used, or the part of it that one of several requests is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    used: Duration,
    counted: Duration,
}

impl Part {
    /// What each of so many is charged. SECURITY: all of it together is what was used,
    /// so that nobody can use more than all of them may.
    pub(super) fn of_each(self, count: usize) -> Part {
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        Part { used: self.used / count, counted: self.counted / count }
    }
}

/// The CPU time that this thread has used.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_poll_that_stood_still_is_charged_and_does_not_use_up_the_limit() {
        let mut used = Used::default();
        used.add_by_wall(ms(900));
        assert!(!used.is_over(ms(5)), "the first poll ends nobody");
        used.add_by_wall(ms(900));
        assert_eq!((used.all, used.after_first, used.counted), (ms(1_800), ms(0), ms(10)));
        used.add_by_thread(ms(90));
        assert_eq!((used.after_first, used.likely(ms(1))), (ms(90), ms(91)));
        assert!(used.is_over(ms(100)) && !used.is_over(ms(101)));
    }

    #[test]
    fn each_of_several_is_charged_its_part() {
        let (mut all, mut one) = (Used::default(), Used::default());
        let before = all.whole();
        all.add_by_thread(ms(40));
        one.add_part(all.since(before).of_each(4));
        let before = all.whole();
        all.add_by_wall(ms(40));
        one.add_part(all.since(before).of_each(2));
        assert_eq!((one.all, one.after_first), (ms(30), ms(20)));
        assert_eq!(one.counted, ms(10) + Duration::from_micros(2_500));
    }

    #[test]
    fn the_threads_time_tells_whether_a_long_poll_stood_still() {
        let mut used = Used::default();
        used.add_by_wall(ms(1));
        assert!(used.is_in_doubt && used.last < SHORT);
        used.add_by_thread(ms(0));
        assert!(!used.is_in_doubt && used.last < SHORT, "it stood still");
        used.add_by_wall(ms(1));
        used.add_by_thread(ms(1));
        assert!(used.is_in_doubt && used.last >= SHORT, "it computes");
    }
}
