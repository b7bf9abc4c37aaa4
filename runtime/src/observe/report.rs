//! The only place that writes lines about tenants, their requests, and what else
//! others can bring about. Each line about a tenant costs its `log-rate`; lines
//! about no tenant cost a rate of the server's own. Dropped lines are counted.

use std::fmt::{self, Display};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::escape::cut_line;
use super::{Sink, Spent, rfc3339_now};
use crate::limits::rate::Metered;
use crate::request::RequestId;
use crate::tenant::Tenant;
use crate::units;

/// The longest line, in bytes: a guest's line of 8 KiB, escaped, with its tags.
const LONGEST: usize = 16 << 10;
/// The cost of a line beside its text, in bytes: its time, its level, its end.
const LINE_COST: usize = 64;

/// How a line is marked in the server's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    Warn,
    Info,
    Debug,
}

/// The request, or the tenant alone, that a line is about.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) route: Option<&'a str>,
    pub(crate) request: Option<RequestId>,
}

/// The log that gets a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// The tenant's own log, or the server's if the tenant has none.
    Tenant,
    /// The server's log, and the tenant's own if it has one.
    Both,
}

impl Subject<'_> {
    /// Reports a failure or a refusal in the server's log and in the tenant's.
    /// `spent` counts the line for the access log if it is dropped.
    pub(crate) fn report(&self, severity: Severity, what: &dyn Display, spent: Option<&Spent>) {
        let own = self.own_log(severity).is_some();
        if (own || severity.is_logged())
            && let Err(dropped) = self.write(severity, To::Both, what)
        {
            self.tenant.totals.add_log_dropped(dropped);
            spent.inspect(|spent| spent.add_log_dropped(dropped));
        }
    }

    /// Writes a line of a guest's output. False if the line is over the rate.
    pub(crate) fn output(&self, what: &dyn Display) -> bool {
        self.write(Severity::Info, To::Tenant, what).is_ok()
    }

    /// Writes a line within the tenant's rate.
    ///
    /// # Errors
    /// The line is dropped: its length in bytes.
    fn write(&self, severity: Severity, to: To, what: &dyn Display) -> Result<(), usize> {
        let line = cut_line(&format_args!("{self}: {what}"), LONGEST);
        let dropped_before = self.tenant.may_log(line.len() + LINE_COST).ok_or(line.len())?;
        if dropped_before > 0 {
            let rate = units::Flow(self.tenant.limits.log_rate);
            let name = &self.tenant.name;
            let said =
                format!("tenant {name}: {dropped_before} lines dropped: over log-rate = {rate}");
            self.put(Severity::Warn, to, &said);
        }
        self.put(severity, to, &line);
        Ok(())
    }

    fn put(&self, severity: Severity, to: To, line: &str) {
        let own = self.own_log(severity);
        if let Some(sink) = own {
            sink.write(&format!("{} {line}\n", rfc3339_now()));
        }
        if own.is_none() || to == To::Both {
            emit(severity, line);
        }
    }
}

impl<'a> Subject<'a> {
    /// The tenant's own log. Lines for the developer of the server are not for it.
    fn own_log(&self, severity: Severity) -> Option<&'a Sink> {
        self.tenant.log.as_ref().filter(|_| severity != Severity::Debug)
    }
}

/// The beginning of each line.
impl Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenant {}", self.tenant.name)?;
        if let Some(route) = self.route {
            write!(f, " route {route}")?;
        }
        if let Some(request) = &self.request {
            write!(f, " request {request}")?;
        }
        Ok(())
    }
}

/// The server's log, for lines about no tenant that clients or other servers can
/// bring about: connections that fail, requests for unknown hosts, stores.
pub(crate) struct ServerLog {
    /// Bytes a second: of these lines, and of the access log's about no tenant.
    log_rate: usize,
    access_rate: usize,
    since: Instant,
    lines: Mutex<Metered>,
    access: Mutex<Metered>,
}

impl ServerLog {
    pub(crate) fn new(log_rate: usize, access_rate: usize) -> Arc<ServerLog> {
        let (lines, access) = (Mutex::default(), Mutex::default());
        Arc::new(ServerLog { log_rate, access_rate, since: Instant::now(), lines, access })
    }

    /// Reports something within the server's own rate.
    pub(crate) fn report(&self, severity: Severity, what: &dyn Display) {
        if !severity.is_logged() {
            return;
        }
        let line = cut_line(what, LONGEST);
        let now = self.since.elapsed();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = lines.take(line.len() + LINE_COST, self.log_rate, now);
        drop(lines);
        let Some(dropped_before) = taken else { return };
        if dropped_before > 0 {
            let rate = units::Flow(self.log_rate);
            emit(
                Severity::Warn,
                &format!("{dropped_before} lines about no tenant dropped: over log-rate = {rate}"),
            );
        }
        emit(severity, &line);
    }

    /// Whether a line of the access log about no tenant may be written.
    pub(super) fn may_write_access(&self, bytes: usize) -> bool {
        let mut access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = access.take(bytes, self.access_rate, self.since.elapsed());
        drop(access);
        if let Some(dropped_before @ 1..) = taken {
            let said = access_dropped(dropped_before, self.access_rate);
            self.report(Severity::Warn, &format_args!("no tenant: {said}"));
        }
        taken.is_some()
    }

    /// The same log, if lines for the developer of the server are written at all.
    pub(crate) fn for_debug(self: &Arc<Self>) -> Option<Arc<ServerLog>> {
        Severity::Debug.is_logged().then(|| self.clone())
    }
}

/// The report of lines of the access log that were dropped.
pub(super) fn access_dropped(lines: u64, rate: usize) -> String {
    let rate = units::Flow(rate);
    format!("{lines} lines of the access log dropped: over access-log-rate = {rate}")
}

impl Severity {
    fn is_logged(self) -> bool {
        match self {
            Severity::Error => tracing::enabled!(tracing::Level::ERROR),
            Severity::Warn => tracing::enabled!(tracing::Level::WARN),
            Severity::Info => tracing::enabled!(tracing::Level::INFO),
            Severity::Debug => tracing::enabled!(tracing::Level::DEBUG),
        }
    }
}

fn emit(severity: Severity, line: &str) {
    match severity {
        Severity::Error => tracing::error!("{line}"),
        Severity::Warn => tracing::warn!("{line}"),
        Severity::Info => tracing::info!("{line}"),
        Severity::Debug => tracing::debug!("{line}"),
    }
}
