//! Whether a connection's client is the slow side: the server waits for its bytes,
//! or bytes wait for it, and it moves few. Pure: the time is handed in.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// A client that moves less in a second is slow, in bytes.
const SLOW: u64 = 10_000;

/// A wait that begins so soon after another goes on with that, in milliseconds.
const JOINED: u64 = 200;

/// How a connection waits for its client, with times since any fixed moment.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// For how many things it is waited.
    count: AtomicUsize,
    /// Since when, and when that ended last, in milliseconds.
    since: AtomicU64,
    ended: AtomicU64,
    /// The second in which bytes moved last, how many in it, and in the one before.
    second: AtomicU64,
    moved: AtomicU64,
    before: AtomicU64,
}

impl Waiting {
    /// The server waits for one thing more.
    pub(super) fn begin(&self, now: Duration) {
        let now = millis(now);
        if self.count.fetch_add(1, Relaxed) == 0 && now > self.ended.load(Relaxed) + JOINED {
            self.since.store(now, Relaxed);
        }
    }

    /// The server waits for one thing less.
    pub(super) fn end(&self, now: Duration) {
        if self.count.fetch_sub(1, Relaxed) == 1 {
            self.ended.store(millis(now), Relaxed);
        }
    }

    /// So many bytes came from the client, or went to it.
    pub(super) fn moved(&self, bytes: usize, now: Duration) {
        let second = self.second.load(Relaxed);
        if now.as_secs() != second {
            let follows = now.as_secs() == second + 1;
            self.before.store(if follows { self.moved.load(Relaxed) } else { 0 }, Relaxed);
            self.moved.store(0, Relaxed);
            self.second.store(now.as_secs(), Relaxed);
        }
        self.moved.fetch_add(bytes as u64, Relaxed);
    }

    /// How long the client has been slow, if it is: at least a second.
    pub(super) fn slow_for(&self, now: Duration) -> Option<Duration> {
        let waited = millis(now).saturating_sub(self.since.load(Relaxed));
        if self.count.load(Relaxed) == 0 || waited < 1_000 {
            return None;
        }
        // Bytes of this second and the one before, over that time.
        let (moved, before) = (self.moved.load(Relaxed), self.before.load(Relaxed));
        let bytes = match now.as_secs().saturating_sub(self.second.load(Relaxed)) {
            0 => moved + before,
            1 => moved,
            _ => 0,
        };
        let over = 1_000 + u64::from(now.subsec_millis());
        (bytes * 1_000 / over < SLOW).then(|| Duration::from_millis(waited))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 100_000;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(START + millis)
    }

    /// Whether a client is slow after five seconds in which it moves bytes each 100 ms,
    /// and is waited for.
    fn is_slow(bytes: usize) -> bool {
        let waiting = Waiting::default();
        for step in 0..50 {
            waiting.begin(at(step * 100));
            waiting.end(at(step * 100 + 90));
            waiting.moved(bytes, at(step * 100 + 90));
        }
        waiting.begin(at(5_000));
        waiting.slow_for(at(5_000)).is_some()
    }

    #[test]
    fn a_client_is_slow_below_the_least_rate_alone() {
        assert!(is_slow(0) && is_slow(1) && is_slow(200) && is_slow(900));
        assert!(!is_slow(1_100) && !is_slow(100_000));
    }

    #[test]
    fn a_client_that_is_not_waited_for_is_not_slow() {
        let waiting = Waiting::default();
        assert_eq!(waiting.slow_for(at(0)), None);
        waiting.begin(at(0));
        assert_eq!(waiting.slow_for(at(900)), None, "it has had no time");
        assert_eq!(waiting.slow_for(at(1_100)), Some(Duration::from_millis(1_100)));
        waiting.end(at(1_200));
        assert_eq!(waiting.slow_for(at(9_000)), None, "it waits for the server");
        waiting.begin(at(9_000));
        assert_eq!(waiting.slow_for(at(9_500)), None, "a new wait");
    }
}
