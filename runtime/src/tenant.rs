//! Who owns routes and limits, and what it uses of them.

mod budget;
mod debt;

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::plan::Clock;
use crate::error::Refusal;
use crate::limits::Limits;
use crate::limits::rate::Buckets;
use crate::observe::{Sink, Totals};
use crate::site::TenantSite;
pub(crate) use budget::{Budget, Reserve, Taken, oldest};
use debt::Debt;

/// An owner of hosts, routes and limits.
pub(crate) struct Tenant {
    pub(crate) name: Arc<str>,
    pub(crate) limits: Arc<Limits>,
    /// What time its guests see.
    pub(crate) clock: Clock,
    /// Memory of its instances, and of the bodies that it holds.
    pub(crate) memory: Arc<Budget>,
    pub(crate) totals: Totals,
    /// Where the output of its guests goes, if not to the server's log.
    pub(crate) log: Option<Sink>,
    /// Its requests that go on in the background.
    pub(crate) in_background: AtomicUsize,
    /// Those that stay with the connections for the shortness of their polls.
    pub(crate) short: AtomicUsize,
    /// Its instances that wait for their next request.
    pub(crate) idle: AtomicUsize,
    /// Places for its apps' connections to other servers.
    pub(crate) connections: Arc<Semaphore>,
    /// Places for the names that are looked up for them.
    pub(crate) lookups: Arc<Semaphore>,
    /// Its routes of now, for calls between its apps.
    site: Mutex<Weak<TenantSite>>,
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    buckets: Mutex<Buckets>,
    debt: Debt,
    since: Instant,
}

/// Connections of a tenant's apps to other servers, and names that are looked up
/// for them at the same time.
const CONNECTIONS: usize = 256;
const LOOKUPS: usize = 8;

/// Held while a request runs.
pub(crate) struct Permit {
    _running: OwnedSemaphorePermit,
}

impl Tenant {
    pub(crate) fn new(name: &str, limits: Limits, clock: Clock, log: Option<Sink>) -> Tenant {
        Tenant {
            name: name.into(),
            clock,
            memory: Arc::new(Budget::new(limits.tenant_memory)),
            running: Arc::new(Semaphore::new(limits.concurrency)),
            limits: Arc::new(limits),
            totals: Totals::default(),
            log,
            in_background: AtomicUsize::new(0),
            short: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            site: Mutex::default(),
            buckets: Mutex::default(),
            debt: Debt::default(),
            since: Instant::now(),
        }
    }

    /// Its routes, as long as they are served.
    pub(crate) fn site(&self) -> Option<Arc<TenantSite>> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// It has these routes from now on.
    pub(crate) fn set_site(&self, site: &Arc<TenantSite>) {
        *self.site.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(site);
    }

    /// One of its guests kept a thread that serves connections for so long.
    pub(crate) fn owes(&self, used: Duration) {
        self.debt.add(used, self.since.elapsed());
    }

    /// Whether its guests have kept those threads for longer than its share.
    pub(crate) fn is_in_debt(&self) -> bool {
        !self.debt.is_none() && self.debt.is_deep(self.since.elapsed())
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
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = buckets.take(all, one, client, self.since.elapsed());
        taken.map_err(Refusal::TooManyRequests)
    }

    /// Lets a request run, at once or after a short wait in a bounded queue.
    ///
    /// # Errors
    /// The queue is full, or the wait was too long.
    pub(crate) async fn admit(&self) -> Result<Permit, Refusal> {
        if let Ok(permit) = self.running.clone().try_acquire_owned() {
            return Ok(Permit { _running: permit });
        }
        Box::pin(self.wait()).await
    }

    async fn wait(&self) -> Result<Permit, Refusal> {
        let overloaded = || Refusal::Overloaded { limit: self.limits.concurrency };
        let place = Place::take(&self.waiting, self.limits.queue);
        let _place = place.ok_or_else(overloaded)?;
        let turn = self.running.clone().acquire_owned();
        match tokio::time::timeout(self.limits.queue_time, turn).await {
            Ok(Ok(permit)) => Ok(Permit { _running: permit }),
            Ok(Err(_)) | Err(_) => Err(overloaded()),
        }
    }
}

/// A place in the queue, given back also when the client leaves.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Option<Place<'a>> {
        let place = Place(waiting);
        (waiting.fetch_add(1, Relaxed) < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
