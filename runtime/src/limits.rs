//! The bounds that are enforced, with their defaults.

pub(crate) mod keys;
pub(crate) mod rate;

use std::time::Duration;

use crate::units::Rate;

/// What requests and instances may use. Every bound is checked singly.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// CPU time a request, counted around each poll of its instance. Passed: 504.
    pub cpu: Duration,
    /// Time from a request's admission to its answer. Passed: 504.
    pub wall: Duration,
    /// Linear memory an instance, in bytes. A trap after it was refused: 507.
    pub memory: usize,
    /// Linear memory of all of a tenant's instances, and the bodies of requests
    /// and answers that it holds, in bytes. Passed: 503 at the start of a request, later as `memory`.
    pub tenant_memory: usize,
    /// A request's body, in bytes. Larger: 413.
    pub body: usize,
    /// The time for a request's body to arrive. Slower: 408.
    pub body_time: Duration,
    /// The body of an answer that a handler returns whole, in bytes. Larger: 502.
    pub response: usize,
    /// What a request may write to its log, in bytes. The rest is counted.
    pub log: usize,
    /// A value of key-value data, in bytes. Larger: an error for the guest.
    pub value: usize,
    /// All of a tenant's key-value data, in bytes, with 64 for each pair. More: an
    /// error for the guest.
    pub key_value: usize,
    /// What a tenant's guests may write to their logs, in bytes a second. The rest
    /// is counted.
    pub log_rate: usize,
    /// Lines of the access log about a tenant's requests, in bytes a second. The rest
    /// is dropped and counted. The server's own value is that of requests without a
    /// tenant.
    pub access_log_rate: usize,
    /// Requests of a tenant that run at the same time, and the instances it
    /// keeps for reuse.
    pub concurrency: usize,
    /// Requests that wait for one of those to end. More: 503.
    pub queue: usize,
    /// How long they wait. Longer: 503.
    pub queue_time: Duration,
    /// Requests of a tenant. More: 429.
    pub rate: Option<Rate>,
    /// Requests to a tenant from one client address. More: 429.
    pub client_rate: Option<Rate>,
    /// All headers of a request, in bytes. Larger: 431.
    pub headers: usize,
    /// A request's target, in bytes. Longer: 414.
    pub uri: usize,
    /// The number of a request's headers. More: 431.
    pub header_count: usize,
    /// How long an instance that is reused waits for its next request. Longer: it
    /// is dropped.
    pub instance_idle: Duration,
    /// Requests that an app sends while it serves one. More: an error of
    /// `wasi:http`, `connection-limit-reached`.
    pub outbound: usize,
    /// Those of them at the same time. More wait.
    pub outbound_concurrency: usize,
    /// The time for one of them, to the end of its answer. Longer: an error of
    /// `wasi:http`, a timeout.
    pub outbound_time: Duration,
    /// The time for a request's headers to arrive. Slower: closed.
    pub header_time: Duration,
    /// How long a connection may be idle between two requests. Longer: closed.
    pub idle_time: Duration,
    /// The time for the handshake of TLS. Slower: closed.
    pub handshake_time: Duration,
    /// The least that a client sends of a body, after 5 s, or takes of an answer,
    /// after `send_time`, in bytes a second. Slower: 408, or closed.
    pub transfer_rate: usize,
    /// How long a client may take none of an answer. Longer: closed.
    pub send_time: Duration,
    /// Connections at the same time. More wait to be accepted.
    pub connections: usize,
    /// Connections from one client address at the same time. More: closed.
    pub client_connections: usize,
    /// Small files that are kept in memory, of all tenants together, in bytes.
    pub file_cache: usize,
    /// A component's file, in bytes. Larger: refused.
    pub component: usize,
    /// The CPU time that compiling a component may take. Longer: refused.
    pub compile_time: Duration,
    /// The memory that compiling a component may take, in bytes. More: refused.
    pub compile_memory: usize,
    /// Compiled code that is loaded, of all apps together, in bytes. What was not
    /// asked for longest is unloaded.
    pub code: usize,
    /// Compiled code that is kept in the state directory, in bytes.
    pub code_cache: usize,
    /// Instances of all tenants at the same time: the size of the pool.
    pub instances: usize,
    /// Memory of all tenants together, in bytes; what [`Limits::tenant_memory`]
    /// counts. By default three quarters of what the machine has, or the control
    /// group that the server is in; half of less than 2 GiB. Passed: 503.
    pub server_memory: Option<usize>,
    /// The part of that which connections of clients have together, in bytes: their
    /// buffers, the heads of requests, streams. By default an eighth, at least 8 MiB
    /// and at most 64 KiB for each of [`Limits::connections`]. Passed: a stream is
    /// refused, and connections of slow clients are closed.
    pub connection_memory: Option<usize>,
    /// How long running requests may go on after the server was told to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            cpu: Duration::from_secs(1),
            wall: Duration::from_secs(30),
            memory: 128 << 20,
            tenant_memory: 512 << 20,
            body: 10 << 20,
            body_time: Duration::from_secs(300),
            response: 32 << 20,
            log: 64 << 10,
            value: 1 << 20,
            key_value: 100 << 20,
            log_rate: 1 << 20,
            access_log_rate: 16 << 20,
            concurrency: 64,
            queue: 128,
            queue_time: Duration::from_secs(5),
            rate: None,
            client_rate: None,
            headers: 64 << 10,
            uri: 8 << 10,
            header_count: 100,
            instance_idle: Duration::from_secs(60),
            outbound: 32,
            outbound_concurrency: 6,
            outbound_time: Duration::from_secs(10),
            header_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            handshake_time: Duration::from_secs(5),
            transfer_rate: 500,
            send_time: Duration::from_secs(30),
            connections: 10_000,
            client_connections: 2_000,
            file_cache: 32 << 20,
            component: 64 << 20,
            compile_time: Duration::from_secs(60),
            compile_memory: 2 << 30,
            code: 512 << 20,
            code_cache: 10 << 30,
            instances: 1_000,
            server_memory: None,
            connection_memory: None,
            drain: Duration::from_secs(10),
        }
    }
}
