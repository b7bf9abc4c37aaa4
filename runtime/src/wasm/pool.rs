//! Instances that wait for their next request, when an app reuses them.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::instance::Instance;
use crate::tenant::{Reserve, Tenant, oldest};

/// The idle instances of one app.
pub(super) struct Pool {
    /// Requests that one instance serves; 1 is fresh.
    reuse: u32,
    /// One that waited longer serves no other: what it keeps is memory, and old.
    longest: Duration,
    tenant: Arc<Tenant>,
    /// With the time since when each waits, the longest waiting first.
    idle: Mutex<VecDeque<(Instant, Instance)>>,
}

impl Pool {
    pub(super) fn new(reuse: u32, longest: Duration, tenant: Arc<Tenant>) -> Pool {
        Pool { reuse, longest, tenant, idle: Mutex::default() }
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
        if instance.served >= self.reuse || instance.store.data().memory.is_high() {
            return;
        }
        if self.tenant.running.idle.fetch_add(1, Relaxed) >= self.tenant.limits.concurrency {
            self.tenant.running.idle.fetch_sub(1, Relaxed);
            return;
        }
        self.idle().push_back((Instant::now(), instance));
    }

    /// Drops what has waited for too long.
    fn retire(&self) {
        let Some(before) = Instant::now().checked_sub(self.longest) else { return };
        let mut idle = self.idle();
        let old = idle.iter().take_while(|(since, _)| *since < before).count();
        let retired: Vec<(Instant, Instance)> = idle.drain(..old).collect();
        drop(idle);
        self.tenant.running.idle.fetch_sub(retired.len(), Relaxed);
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
