//! Who owns routes and limits, and what it uses of them.

mod budget;
mod debt;
mod places;
mod uploads;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::config::plan::{Clock, TenantPlan};
use crate::error::Refusal;
use crate::limits::Limits;
use crate::limits::rate::{Buckets, Metered, network};
use crate::observe::{Sink, Spent, Totals};
use crate::site::TenantSite;
pub(crate) use budget::{Bound, Budget, Lack, Reserve, Taken, Turn, Waits, oldest};
pub(crate) use debt::Debt;
use places::Places;
pub(crate) use uploads::UploadMemory;
use uploads::Uploads;

/// What is shorter holds up nobody.
pub(crate) const NOTICED: Duration = Duration::from_micros(100);

/// An owner of hosts, routes and limits. What it may is replaced by a reload;
/// what it uses outlasts it.
pub(crate) struct Tenant {
    pub(crate) name: Arc<str>,
    pub(crate) limits: Arc<Limits>,
    /// What time its guests see.
    pub(crate) clock: Clock,
    /// Where the output of its guests goes, if not to the server's log.
    pub(crate) log: Option<Sink>,
    log_path: Option<PathBuf>,
    /// Memory of its instances, and of the bodies that it holds.
    pub(crate) memory: Arc<Budget>,
    pub(crate) totals: Arc<Totals>,
    pub(crate) running: Arc<Running>,
}

/// What a tenant has running.
pub(crate) struct Running {
    /// Its requests that go on in the background.
    pub(crate) in_background: AtomicUsize,
    /// Those that stay with the connections for the shortness of their polls.
    pub(crate) short: AtomicUsize,
    /// Its instances that wait for their next request.
    pub(crate) idle: AtomicUsize,
    /// Its routes of now, for calls between its apps.
    site: Mutex<Weak<TenantSite>>,
    places: Places,
    uploads: Arc<Uploads>,
    buckets: Mutex<Buckets>,
    logged: Mutex<Metered>,
    /// Its lines of the access log.
    access: Mutex<Metered>,
    debt: Debt,
    /// What it owes for polls in turn that did not yield.
    unyielding: Debt,
    since: Instant,
}

/// Held by what runs, until it is gone: a guest whose client has left may have
/// to be stopped first.
pub(crate) struct Permit {
    running: Arc<Running>,
    _memory: Option<Taken>,
}

impl Running {
    fn take(&self, lines: &Mutex<Metered>, bytes: usize, a_second: usize) -> Option<u64> {
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.take(bytes, a_second, self.since.elapsed())
    }

    fn is_deep(&self, debt: &Debt) -> bool {
        !debt.is_none() && debt.is_deep(self.since.elapsed())
    }
}

impl Tenant {
    /// A tenant that has nothing running. Its memory is a part of `all`.
    pub(crate) fn new(
        plan: &TenantPlan,
        log: Option<(PathBuf, Sink)>,
        all: &Arc<Budget>,
    ) -> Tenant {
        let (log_path, log) = log.unzip();
        let memory = Budget::part_of(all.clone(), plan.limits.tenant_memory);
        let running = Running {
            in_background: AtomicUsize::new(0),
            short: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            site: Mutex::default(),
            places: Places::new(plan.limits.concurrency),
            uploads: Arc::default(),
            buckets: Mutex::default(),
            logged: Mutex::default(),
            access: Mutex::default(),
            debt: Debt::default(),
            unyielding: Debt::default(),
            since: Instant::now(),
        };
        Tenant {
            name: plan.name.as_str().into(),
            limits: Arc::new(plan.limits.clone()),
            clock: plan.clock,
            log,
            log_path,
            memory: Arc::new(memory),
            totals: Arc::default(),
            running: Arc::new(running),
        }
    }

    /// The same tenant as a plan has it now, with what it uses.
    pub(crate) fn changed(&self, plan: &TenantPlan, log: Option<(PathBuf, Sink)>) -> Tenant {
        let (log_path, log) = log.unzip();
        Tenant {
            name: self.name.clone(),
            limits: Arc::new(plan.limits.clone()),
            clock: plan.clock,
            log,
            log_path,
            memory: self.memory.clone(),
            totals: self.totals.clone(),
            running: self.running.clone(),
        }
    }

    /// The file that the output of its guests goes to.
    pub(crate) fn log_file(&self) -> Option<(PathBuf, Sink)> {
        self.log_path.clone().zip(self.log.clone())
    }

    /// Whether a plan has it as it is.
    pub(crate) fn is_as(&self, plan: &TenantPlan) -> bool {
        *self.limits == plan.limits && self.clock == plan.clock && self.log_path == plan.log
    }

    /// From now on its limits are those of what it uses, too. What is in use is
    /// not taken away.
    pub(crate) fn take_effect(&self) {
        self.memory.resize(self.limits.tenant_memory);
        self.running.places.resize(self.limits.concurrency);
    }

    /// Its routes, as long as they are served.
    pub(crate) fn site(&self) -> Option<Arc<TenantSite>> {
        self.running.site.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// It has these routes from now on.
    pub(crate) fn set_site(&self, site: &Arc<TenantSite>) {
        let mut current = self.running.site.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::downgrade(site);
    }

    /// One of its guests kept a thread that serves connections for so long.
    pub(crate) fn owes(&self, used: Duration) {
        self.running.debt.add(used, self.running.since.elapsed());
    }

    /// A guest of it did not yield for so long, in its turn where connections are
    /// served.
    pub(crate) fn did_not_yield(&self, used: Duration) {
        self.running.unyielding.add(used, self.running.since.elapsed());
    }

    /// The server itself worked for so long on a request of it, where connections
    /// are served. SECURITY: many short pieces together hold up others, too.
    pub(crate) fn charge(&self, spent: &Spent, used: Duration) {
        spent.add_for_answer(used);
        self.owes(used);
    }

    /// Whether its guests have kept those threads for longer than its share.
    pub(crate) fn is_in_debt(&self) -> bool {
        self.running.is_deep(&self.running.debt)
    }

    /// Whether its guests take turns that are none, since they do not end.
    pub(crate) fn is_unyielding(&self) -> bool {
        self.running.is_deep(&self.running.unyielding)
    }

    /// Counts a request against the rates.
    ///
    /// # Errors
    /// There were too many in too short a time.
    pub(crate) fn check_rate(&self, client: IpAddr) -> Result<(), Refusal> {
        let (all, one) = (self.limits.rate, self.limits.client_rate);
        if all.is_none() && one.is_none() {
            return Ok(());
        }
        let Running { buckets, since, .. } = &*self.running;
        let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = buckets.take(all, one, client, since.elapsed());
        taken.map_err(Refusal::TooManyRequests)
    }

    /// Counts a line of so many bytes against `log-rate`. With a line that may be
    /// written comes the number of dropped lines to report.
    pub(crate) fn may_log(&self, bytes: usize) -> Option<u64> {
        self.running.take(&self.running.logged, bytes, self.limits.log_rate)
    }

    /// Does the same for a line of the access log, against `access-log-rate`.
    pub(crate) fn may_write_access(&self, bytes: usize) -> Option<u64> {
        self.running.take(&self.running.access, bytes, self.limits.access_log_rate)
    }

    /// The memory of a body that a client sends, until its request runs.
    pub(crate) fn upload(&self, client: IpAddr) -> UploadMemory {
        UploadMemory::new(self.running.uploads.clone(), self.memory.clone(), network(client))
    }

    /// Whether more than 7/8 of its memory is used, by other things than uploads:
    /// idle instances do not go for those.
    pub(crate) fn memory_is_nearly_used(&self) -> bool {
        self.memory.is_nearly_used(self.running.uploads.bytes())
    }

    /// Lets a request run, at once or after a short wait in a bounded queue.
    ///
    /// # Errors
    /// The queue is full, or the wait was too long.
    pub(crate) async fn admit(&self) -> Result<Permit, Refusal> {
        let Limits { queue, queue_time, concurrency, .. } = *self.limits;
        let places = &self.running.places;
        if !places.take() && !Box::pin(places.wait(queue, queue_time)).await {
            return Err(Refusal::Overloaded { limit: concurrency });
        }
        Ok(Permit { running: self.running.clone(), _memory: None })
    }
}

impl Permit {
    /// With memory that is taken for as long.
    pub(crate) fn with(mut self, memory: Taken) -> Permit {
        self._memory = Some(memory);
        self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.running.places.give_back();
    }
}
