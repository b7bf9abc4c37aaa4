//! What is known of each request when it has ended: its line in the access
//! log, and its tenant's totals. One guard, so that none is forgotten.

mod access;
mod escape;
mod events;
mod lines;
mod outlet;
mod report;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use http::{Method, StatusCode, Uri, header};

use crate::request::{Request, RequestId};
use crate::tenant::Tenant;
pub(crate) use access::AccessLog;
use access::rfc3339_now;
pub use escape::{event_fields, for_terminal, indented, one_line};
pub(crate) use escape::{is_escaped, shown};
pub use events::{EventLog, EventWriter};
pub use lines::{Logs, Sink};
pub(crate) use report::{ServerLog, Severity, Subject};

/// What a guest used for a request.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    cpu_ns: AtomicU64,
    /// What the server itself used for its answer, where that can be much.
    answer_ns: AtomicU64,
    memory: AtomicUsize,
    instances: AtomicU64,
    log_dropped: AtomicUsize,
    received: AtomicU64,
    loading_us: AtomicU64,
    outbound: AtomicUsize,
}

impl Spent {
    /// An instance was made for it.
    pub(crate) fn add_instance(&self) {
        self.instances.fetch_add(1, Relaxed);
    }

    /// Whether an instance was made for it.
    pub(crate) fn has_new_instance(&self) -> bool {
        self.instances.load(Relaxed) > 0
    }

    /// So much more time was used to encode its answer, or to tag it.
    pub(crate) fn add_for_answer(&self, used: Duration) {
        self.answer_ns.fetch_add(nanos(used), Relaxed);
    }

    /// All CPU time, in nanoseconds.
    fn cpu_ns(&self) -> u64 {
        self.cpu_ns.load(Relaxed).saturating_add(self.answer_ns.load(Relaxed))
    }

    /// So long it waited until its app was loaded.
    pub(crate) fn set_loading(&self, time: Duration) {
        self.loading_us.store(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// How long it waited until its app was loaded.
    pub(crate) fn loading(&self) -> Duration {
        Duration::from_micros(self.loading_us.load(Relaxed))
    }

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
        self.cpu_ns.store(nanos(used), Relaxed);
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
    /// The most that an instance had, in bytes.
    memory: AtomicUsize,
    instances: AtomicU64,
    log_dropped: AtomicU64,
    /// Lines of the access log that were over its rate.
    access_dropped: AtomicU64,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A request from its first byte to the last of its answer. When it is dropped,
/// everything about it is written down.
pub(crate) struct Visit {
    pub(crate) id: RequestId,
    log: Option<Arc<AccessLog>>,
    /// Set while lines for the developer of the server are written.
    server_log: Option<Arc<ServerLog>>,
    /// The method and target of a request that was refused before it was
    /// understood.
    misunderstood: Option<(Method, Uri)>,
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
    pub(crate) fn start(
        id: RequestId,
        log: Option<Arc<AccessLog>>,
        remote: std::net::SocketAddr,
    ) -> Box<Visit> {
        Box::new(Visit {
            id,
            log,
            server_log: None,
            misunderstood: None,
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
        let mut visit = Visit::start(request.id, None, request.remote);
        visit.request = Some(request.clone());
        visit.tenant = Some(tenant.clone());
        visit.route = Some(route.clone());
        visit
    }

    /// The request was not understood. This much of it was.
    pub(crate) fn misunderstood(&mut self, method: Method, uri: Uri) {
        self.misunderstood = Some((method, uri));
    }

    /// Its method and target.
    fn line(&self) -> Option<(&Method, &Uri)> {
        let request = self.request.as_ref().map(|request| (&request.method, &request.uri));
        request.or_else(|| self.misunderstood.as_ref().map(|(method, uri)| (method, uri)))
    }

    /// The answer has this status.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// Reports of the request for the developer of the server go to this log.
    pub(crate) fn set_server_log(&mut self, log: Option<Arc<ServerLog>>) {
        self.server_log = log;
    }

    /// The answer has begun: nobody reads the request's headers but the access log.
    /// True if they are gone; a guest that still runs has them, too.
    pub(crate) fn forget_headers(&mut self) -> bool {
        let logged = [header::USER_AGENT, header::REFERER];
        let kept = if self.log.is_some() { &logged[..] } else { &[] };
        match self.request.as_mut().map(Arc::get_mut) {
            Some(Some(request)) => request.forget_headers(kept),
            Some(None) => return false,
            None => {}
        }
        true
    }

    /// Tells of a failure in the server's log, and in its tenant's.
    pub(crate) fn tell(&self, failure: &dyn std::fmt::Display) {
        self.report(Severity::Error, failure);
    }

    /// Tells of a limit that was reached, likewise.
    pub(crate) fn warn(&self, refusal: &dyn std::fmt::Display) {
        self.report(Severity::Warn, refusal);
    }

    /// Tells the developer of the server, if asked to.
    pub(crate) fn debug(&self, refusal: &dyn std::fmt::Display) {
        self.report(Severity::Debug, refusal);
    }

    /// Writes a line about the request, as far as its tenant may fill the logs.
    fn report(&self, severity: Severity, what: &dyn std::fmt::Display) {
        let Some(tenant) = &self.tenant else {
            let line = format_args!("request {}: {what}", self.id);
            self.server_log.iter().for_each(|log| log.report(severity, &line));
            return;
        };
        let (route, request) = (self.route.as_deref(), Some(self.id));
        let spent = self.request.as_ref().map(|request| &request.spent);
        Subject { tenant, route, request }.report(severity, what, spent);
    }

    /// So much more of the answer's body was handed to the connection.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
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
            self.cpu_ns.fetch_add(request.spent.cpu_ns(), Relaxed);
            self.memory.fetch_max(request.spent.memory.load(Relaxed), Relaxed);
            self.instances.fetch_add(request.spent.instances.load(Relaxed), Relaxed);
            self.bytes_in.fetch_add(request.spent.received.load(Relaxed), Relaxed);
        }
    }

    /// So many bytes of log were over the tenant's limits.
    pub(crate) fn add_log_dropped(&self, bytes: usize) {
        self.log_dropped.fetch_add(bytes as u64, Relaxed);
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = |counter: &AtomicU64| counter.load(Relaxed);
        write!(
            f,
            "{} requests, {} us of CPU time, {} us of wall time, {} bytes in, {} bytes out, \
             at most {} bytes of memory an instance, {} instances, {} lines of the access log dropped, \
             {} bytes of log dropped",
            value(&self.requests),
            value(&self.cpu_ns) / 1_000,
            value(&self.wall_us),
            value(&self.bytes_in),
            value(&self.bytes_out),
            self.memory.load(Relaxed),
            value(&self.instances),
            value(&self.access_dropped),
            value(&self.log_dropped)
        )
    }
}
