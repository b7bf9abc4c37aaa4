//! Connections that wait for their next request. SECURITY: each belongs to one
//! tenant and one origin; none is ever shared between tenants.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use crate::config::origins::Origin;

/// All idle connections, by their tenants' names.
#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The oldest first.
    tenants: HashMap<Arc<str>, Vec<Idle>>,
    count: usize,
    /// Whether a task ends those that are too old.
    swept: bool,
}

struct Idle {
    origin: Origin,
    connection: Connection,
    since: Instant,
}

/// Idle connections: of a tenant to one origin, of a tenant, of all.
const OF_ORIGIN: usize = 8;
const OF_TENANT: usize = 32;
const ALL: usize = 512;
/// How long they wait. Many servers close theirs after a little more.
const WAIT: Duration = Duration::from_secs(15);
const SWEEP: Duration = Duration::from_secs(5);

impl Pool {
    /// A connection of a tenant to an origin, at an address that may be dialled.
    pub(super) fn take(
        &self,
        tenant: &str,
        origin: &Origin,
        allowed: impl Fn(SocketAddr) -> bool,
    ) -> Option<Connection> {
        let mut state = self.lock();
        let State { tenants, count, .. } = &mut *state;
        let idle = tenants.get_mut(tenant)?;
        let before = idle.len();
        idle.retain(|idle| !idle.connection.is_closed());
        *count -= before - idle.len();
        let fits = |idle: &Idle| idle.origin == *origin && allowed(idle.connection.peer);
        let at = idle.iter().rposition(fits)?;
        if let Some(idle) = idle.get_mut(at)
            && let Some(another) = idle.connection.another()
        {
            idle.since = Instant::now();
            return Some(another);
        }
        *count -= 1;
        Some(idle.remove(at).connection)
    }

    /// Keeps a connection for the next request, if there is room.
    pub(super) fn put(self: &Arc<Self>, tenant: &Arc<str>, origin: Origin, connection: Connection) {
        let mut state = self.lock();
        let State { tenants, count, swept } = &mut *state;
        let idle = tenants.entry(tenant.clone()).or_default();
        let same = |idle: &Idle| idle.origin == origin;
        // One connection of HTTP/2 is enough.
        let enough = connection.another().is_some() && idle.iter().any(same);
        if enough || *count >= ALL {
            return;
        }
        let oldest = if idle.iter().filter(|idle| same(idle)).count() >= OF_ORIGIN {
            idle.iter().position(same)
        } else {
            (idle.len() >= OF_TENANT).then_some(0)
        };
        if let Some(oldest) = oldest {
            idle.remove(oldest);
            *count -= 1;
        }
        idle.push(Idle { origin, connection, since: Instant::now() });
        *count += 1;
        if !std::mem::replace(swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Ends the idle connections of a tenant to an origin.
    pub(super) fn forget(&self, tenant: &str, origin: &Origin) {
        let mut state = self.lock();
        let State { tenants, count, .. } = &mut *state;
        if let Some(idle) = tenants.get_mut(tenant) {
            let before = idle.len();
            idle.retain(|idle| idle.origin != *origin);
            *count -= before - idle.len();
        }
    }

    /// Ends the oldest idle connection of a tenant that has so many connections, else
    /// of the tenant that has most idle ones, if these are more; false if none is ended.
    pub(super) fn end_oldest(&self, tenant: &str, connections: usize) -> bool {
        let mut state = self.lock();
        let State { tenants, count, .. } = &mut *state;
        tenants.retain(|_, idle| !idle.is_empty());
        let idle = match tenants.contains_key(tenant) {
            true => tenants.get_mut(tenant),
            false => {
                let most = tenants.values_mut().max_by_key(|idle| idle.len());
                most.filter(|idle| idle.len() > connections)
            }
        };
        let Some(oldest) = idle.map(|idle| idle.remove(0)) else { return false };
        *count -= 1;
        // The connection's place is free once it is gone.
        drop(state);
        drop(oldest);
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what has waited too long; false if nothing is left.
    fn expire(&self) -> bool {
        let mut state = self.lock();
        let keeps = |idle: &Idle| idle.since.elapsed() < WAIT && !idle.connection.is_closed();
        state.tenants.values_mut().for_each(|idle| idle.retain(keeps));
        state.tenants.retain(|_, idle| !idle.is_empty());
        state.count = state.tenants.values().map(Vec::len).sum();
        state.swept = state.count > 0;
        state.swept
    }
}

/// Runs while there are idle connections.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if !pool.upgrade().is_some_and(|pool| pool.expire()) {
            return;
        }
    }
}
