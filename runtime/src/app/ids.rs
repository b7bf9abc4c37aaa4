//! Names of requests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::request::RequestId;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Names requests: when the server started, and a count.
pub(super) struct RequestIds {
    start: u32,
    count: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> RequestIds {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The lower bits tell apart servers that start within a lifetime of logs.
        let start = (now.as_micros() & u128::from(u32::MAX)) as u32;
        RequestIds { start, count: AtomicU64::new(0) }
    }

    pub(super) fn next(&self) -> RequestId {
        let count = self.count.fetch_add(1, Relaxed) as u32;
        let mut id = [0; 16];
        for (place, digit) in id.iter_mut().rev().enumerate() {
            let half = if place < 8 { count } else { self.start };
            *digit = HEX[(half >> (place % 8 * 4)) as usize % HEX.len()];
        }
        RequestId(id)
    }
}
