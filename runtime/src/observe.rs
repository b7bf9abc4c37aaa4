//! What is known of each request when it has ended: its line in the access
//! log, and its tenant's totals. One guard, so that none is forgotten.

mod access;
mod lines;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use http::{Method, StatusCode, Uri};

use crate::request::{Request, RequestId};
use crate::tenant::Tenant;
pub(crate) use access::{AccessLog, rfc3339_now};
pub use lines::{LogThread, Sink};

/// What a guest used for a request.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    cpu_ns: AtomicU64,
    memory: AtomicUsize,
    log_dropped: AtomicUsize,
    received: AtomicU64,
    outbound: AtomicUsize,
}

impl Spent {
    /// One more request was sent for it.
    pub(crate) fn add_outbound(&self) {
        self.outbound.fetch_add(1, Relaxed);
    }

    /// So much more of the request's body has been read, in bytes.
    pub(crate) fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// The CPU time used so far.
    pub(crate) fn set_cpu(&self, used: Duration) {
        self.cpu_ns.store(u64::try_from(used.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// The memory of its instance, in bytes.
    pub(crate) fn set_memory(&self, bytes: usize) {
        self.memory.store(bytes, Relaxed);
    }

    /// Output that was over the log limit, in bytes.
    pub(crate) fn add_log_dropped(&self, bytes: usize) {
        self.log_dropped.fetch_add(bytes, Relaxed);
    }
}

/// What a tenant's requests used since the start.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    requests: AtomicU64,
    cpu_ns: AtomicU64,
    wall_us: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    log_dropped: AtomicU64,
}

/// A request from its first byte to the last of its answer. When it is dropped,
/// everything about it is written down.
pub(crate) struct Visit {
    pub(crate) id: RequestId,
    log: Option<Arc<AccessLog>>,
    /// The line of a request that was refused before it was understood.
    method: Method,
    uri: Uri,
    remote: std::net::SocketAddr,
    started: Instant,
    pub(crate) request: Option<Arc<Request>>,
    pub(crate) tenant: Option<Arc<Tenant>>,
    pub(crate) route: Option<Arc<str>>,
    status: StatusCode,
    bytes_out: u64,
}

/// As nginx writes it down when the client left before an answer.
const CLIENT_LEFT: u16 = 499;

impl Visit {
    pub(crate) fn start<B>(
        id: RequestId,
        log: Option<Arc<AccessLog>>,
        request: &http::Request<B>,
        remote: std::net::SocketAddr,
    ) -> Box<Visit> {
        Box::new(Visit {
            id,
            log,
            method: request.method().clone(),
            uri: request.uri().clone(),
            remote,
            started: Instant::now(),
            request: None,
            tenant: None,
            route: None,
            status: StatusCode::from_u16(CLIENT_LEFT).unwrap_or(StatusCode::BAD_REQUEST),
            bytes_out: 0,
        })
    }

    /// A request of one of a tenant's apps to another.
    pub(crate) fn of_app(
        request: &Arc<Request>,
        tenant: &Arc<Tenant>,
        route: &Arc<str>,
    ) -> Box<Visit> {
        Box::new(Visit {
            id: request.id,
            log: None,
            method: request.method.clone(),
            uri: request.uri.clone(),
            remote: request.remote,
            started: Instant::now(),
            request: Some(request.clone()),
            tenant: Some(tenant.clone()),
            route: Some(route.clone()),
            status: StatusCode::from_u16(CLIENT_LEFT).unwrap_or(StatusCode::BAD_REQUEST),
            bytes_out: 0,
        })
    }

    /// The answer has this status.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// So much more of the answer's body was handed to the connection.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }
}

/// As it stands in the server's log.
impl std::fmt::Display for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let (Some(tenant), Some(route)) = (&self.tenant, &self.route) {
            write!(f, "tenant {} route {route} ", tenant.name)?;
        }
        write!(f, "request {}", self.id)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let wall = self.started.elapsed();
        if let Some(tenant) = &self.tenant {
            tenant.totals.add(self, wall);
        }
        if let Some(log) = &self.log {
            log.write(self, SystemTime::now(), wall);
        }
    }
}

impl Totals {
    fn add(&self, visit: &Visit, wall: Duration) {
        self.requests.fetch_add(1, Relaxed);
        self.wall_us.fetch_add(u64::try_from(wall.as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.bytes_out.fetch_add(visit.bytes_out, Relaxed);
        if let Some(request) = &visit.request {
            self.cpu_ns.fetch_add(request.spent.cpu_ns.load(Relaxed), Relaxed);
            self.bytes_in.fetch_add(request.spent.received.load(Relaxed), Relaxed);
            let dropped = request.spent.log_dropped.load(Relaxed);
            self.log_dropped.fetch_add(dropped as u64, Relaxed);
        }
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = |counter: &AtomicU64| counter.load(Relaxed);
        write!(
            f,
            "{} requests, {} us of CPU time, {} us of wall time, {} bytes in, {} bytes out, {} bytes of log dropped",
            value(&self.requests),
            value(&self.cpu_ns) / 1_000,
            value(&self.wall_us),
            value(&self.bytes_in),
            value(&self.bytes_out),
            value(&self.log_dropped)
        )
    }
}
