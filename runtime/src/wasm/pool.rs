//! Instances that wait for their next request, when an app reuses them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::instance::Instance;
use crate::tenant::{Reserve, Tenant, Waits, oldest};

/// Instances of an app for each thread that keep it busy, and how long a request
/// waits for one of them where there are so many. Of an app in Python, 64 clients
/// would else have as many as there is memory for, 16, where four do as much.
const ENOUGH: usize = 4;
const MOMENT: Duration = Duration::from_millis(20);

/// How long an instance has waited before it goes for memory that is nearly used.
const MAY_GO: Duration = Duration::from_secs(1);

/// An instance serves fewer requests than it may, by at most such a part of them;
/// the next one by so many more or less, which is no divisor of any usual number.
const SPREAD: u32 = 4;
const STEP: u32 = 83;

/// The idle instances of one app.
pub(super) struct Pool {
    /// Requests that one instance serves; 1 is fresh.
    reuse: u32,
    /// One that waited longer serves no other: what it keeps is memory, and old.
    longest: Duration,
    tenant: Arc<Tenant>,
    /// Tells instances apart: a number that grows with each.
    made: AtomicU32,
    /// Each instance holds one of these: how many there are.
    alive: Arc<()>,
    /// Told when an instance comes back, and how many wait for that.
    returned: Notify,
    waiting: AtomicUsize,
    /// What the latest took when it was new, in bytes.
    size: AtomicUsize,
    /// With the time since when each waits, the longest waiting first.
    idle: Mutex<VecDeque<(Instant, Instance)>>,
}

impl Pool {
    pub(super) fn new(reuse: u32, longest: Duration, tenant: Arc<Tenant>) -> Pool {
        let (made, size) = (AtomicU32::new(0), AtomicUsize::new(0));
        let (alive, returned, waiting) = (Arc::default(), Notify::new(), AtomicUsize::new(0));
        let idle = Mutex::default();
        Pool { reuse, longest, tenant, made, alive, returned, waiting, size, idle }
    }

    /// An instance that waits. If there is none, and as many run as keep `threads`
    /// busy, it waits for a moment: more of them would be slower together, each with
    /// memory of its own that is in no cache, and an interpreter takes long to start.
    pub(super) async fn get(&self, threads: usize) -> Option<Instance> {
        if self.reuse == 1 {
            return None;
        }
        if self.waiting.load(Relaxed) == 0
            && let Some(instance) = self.take()
        {
            return Some(instance);
        }
        if Arc::strong_count(&self.alive) <= ENOUGH * threads {
            return None;
        }
        let _waits = Waits::one_of(&self.waiting);
        let returned = async {
            loop {
                self.returned.notified().await;
                if let Some(instance) = self.take() {
                    return instance;
                }
            }
        };
        tokio::time::timeout(MOMENT, returned).await.ok()
    }

    /// What an instance holds as long as there is it.
    pub(super) fn alive(&self) -> Arc<()> {
        self.alive.clone()
    }

    /// The instance that waited least: its memory is still in the caches.
    pub(super) fn take(&self) -> Option<Instance> {
        if self.reuse == 1 {
            return None;
        }
        let (since, instance) = self.idle().pop_back()?;
        self.tenant.running.idle.fetch_sub(1, Relaxed);
        (since.elapsed() <= self.longest).then_some(instance)
    }

    /// Keeps an instance that answered properly, until it has served its share.
    /// A tenant keeps no more than may run at the same time.
    pub(super) fn put(&self, instance: Instance) {
        if instance.served >= instance.share || instance.store.data().memory.is_high() {
            return;
        }
        if self.tenant.running.idle.fetch_add(1, Relaxed) >= self.tenant.limits.concurrency {
            self.tenant.running.idle.fetch_sub(1, Relaxed);
            return;
        }
        self.idle().push_back((Instant::now(), instance));
        if self.waiting.load(Relaxed) > 0 {
            self.returned.notify_one();
        }
        self.tenant.memory.tell_freed();
    }

    /// How many requests the next instance serves. Not all of them end at once: then
    /// all requests would wait for new ones.
    pub(super) fn share(&self) -> u32 {
        let spread = (self.reuse / SPREAD).max(1);
        let number = self.made.fetch_add(STEP, Relaxed);
        self.reuse - number % spread
    }

    /// A new instance has so many bytes.
    pub(super) fn note_size(&self, bytes: usize) {
        self.size.store(bytes, Relaxed);
    }

    pub(super) fn size(&self) -> usize {
        self.size.load(Relaxed)
    }

    /// Drops what has waited for too long.
    fn retire(&self) {
        let Some(before) = Instant::now().checked_sub(self.longest) else { return };
        let mut idle = self.idle();
        let old = idle.iter().take_while(|(since, _)| *since < before).count();
        let retired: Vec<(Instant, Instance)> = idle.drain(..old).collect();
        drop(idle);
        self.tenant.running.idle.fetch_sub(retired.len(), Relaxed);
        // Uploads take free memory only: idle instances must not keep all of it.
        while self.tenant.memory_is_nearly_used()
            && self.waits_since().is_some_and(|since| since.elapsed() > MAY_GO)
            && self.give_up()
        {}
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<(Instant, Instance)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserve for Pool {
    fn waits_since(&self) -> Option<Instant> {
        self.idle().front().map(|(since, _)| *since)
    }

    fn give_up(&self) -> bool {
        let oldest = self.idle().pop_front();
        self.tenant.running.idle.fetch_sub(usize::from(oldest.is_some()), Relaxed);
        oldest.is_some()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let left = self.idle().len();
        self.tenant.running.idle.fetch_sub(left, Relaxed);
    }
}

/// The pools of all apps that reuse instances. No app's idle instances keep
/// another from running.
#[derive(Default)]
pub(super) struct Pools(Mutex<Vec<Weak<Pool>>>);

impl Pools {
    pub(super) fn add(&self, pool: Pool) -> Arc<Pool> {
        let pool = Arc::new(pool);
        if pool.reuse > 1 {
            let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            pools.retain(|pool| pool.strong_count() > 0);
            pools.push(Arc::downgrade(&pool));
            let reserve: Weak<Pool> = Arc::downgrade(&pool);
            pool.tenant.memory.add_reserve(reserve);
        }
        pool
    }

    /// Drops the instances that have waited for long.
    pub(super) fn retire_idle(&self) {
        let pools = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        pools.iter().filter_map(Weak::upgrade).for_each(|pool| pool.retire());
    }

    /// Drops the instance that waits longest of all; false if none waits.
    pub(super) fn evict(&self) -> bool {
        let pools = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        oldest(pools.iter().filter_map(Weak::upgrade)).is_some_and(|oldest| oldest.give_up())
    }
}
