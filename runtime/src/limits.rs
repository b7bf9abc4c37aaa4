//! The bounds that are enforced, with their defaults.

use std::time::Duration;

/// What requests and instances may use. Every bound is checked singly.
#[derive(Clone, Debug)]
pub struct Limits {
    /// CPU time a request, counted around each poll of its instance. Passed: 504.
    pub cpu: Duration,
    /// Time from a request's admission to its answer. Passed: 504.
    pub wall: Duration,
    /// Linear memory an instance, in bytes. A trap after it was refused: 507.
    pub memory: usize,
    /// A request's body, in bytes. Larger: 413.
    pub body: usize,
    /// The body of an answer that a handler returns whole, in bytes. Larger: 502.
    pub response: usize,
    /// The time for a request's body to arrive. Slower: 408.
    pub body_time: Duration,
    /// Requests that run at the same time.
    pub concurrency: usize,
    /// Requests that wait for one of those to end. More: 503.
    pub queue: usize,
    /// How long they wait. Longer: 503.
    pub queue_time: Duration,
    /// All headers of a request, in bytes. Larger: 431.
    pub headers: usize,
    /// The number of a request's headers. More: 431.
    pub header_count: usize,
    /// The time for a request's headers to arrive, and for a connection to be
    /// idle between two requests. Slower: closed.
    pub header_time: Duration,
    /// A request's target, in bytes. Longer: 414.
    pub uri: usize,
    /// What a request may write to its log, in bytes. The rest is counted.
    pub log: usize,
    /// Instances of all tenants at the same time: the size of the pool.
    pub instances: u32,
    /// How long running requests may go on after the server was told to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            cpu: Duration::from_secs(1),
            wall: Duration::from_secs(30),
            memory: 128 << 20,
            body: 10 << 20,
            response: 32 << 20,
            body_time: Duration::from_secs(30),
            concurrency: 64,
            queue: 128,
            queue_time: Duration::from_secs(5),
            headers: 64 << 10,
            header_count: 100,
            header_time: Duration::from_secs(30),
            uri: 8 << 10,
            log: 64 << 10,
            instances: 1_000,
            drain: Duration::from_secs(10),
        }
    }
}
