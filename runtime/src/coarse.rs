//! A clock that is read in a few nanoseconds and right to some milliseconds, for
//! what every request asks and nobody needs to know exactly.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Where the system has none, the exact one.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::MonotonicCoarse;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// The time since some moment in the past. It never goes back.
pub(crate) fn now() -> Duration {
    Duration::try_from(clock_gettime(CLOCK)).unwrap_or_default()
}
