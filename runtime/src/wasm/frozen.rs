//! Clocks that stand still while a request runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// The time at which the request of a store began, in nanoseconds since 1970,
/// for both kinds of clock.
#[derive(Clone, Default)]
pub(super) struct FrozenTime(Arc<AtomicU64>);

/// What the clocks say of themselves, in nanoseconds.
const RESOLUTION: u64 = 1_000_000;

impl FrozenTime {
    /// A request begins.
    pub(super) fn start(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.0.store(millis.saturating_mul(RESOLUTION), Relaxed);
    }
}

impl HostWallClock for FrozenTime {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(RESOLUTION)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }
}

impl HostMonotonicClock for FrozenTime {
    fn resolution(&self) -> u64 {
        RESOLUTION
    }

    fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
