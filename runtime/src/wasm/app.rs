//! A component with its tenant, grants and limits, and a request's way through
//! one of its instances.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::component::Component;
use super::convert;
use super::instance::Instance;
use super::meter::{self, Single};
use super::pool::Pool;
use super::service::Rooms;
use super::usual::Usual;
use super::world::World;
use crate::capability::Grants;
use crate::config::plan::Reuse;
use crate::error::GuestError;
use crate::limits::Limits;
use crate::request::Request;
use crate::respond::Response;
use crate::router::Found;
use crate::tenant::{Bound, Permit, Tenant, Turn};

/// A component with its tenant, grants and limits.
pub(crate) struct App {
    pub(super) component: Arc<Component>,
    pub(crate) tenant: Arc<Tenant>,
    pub(super) limits: Arc<Limits>,
    pub(super) grants: Arc<Grants>,
    pub(super) pool: Arc<Pool>,
    pub(super) rooms: Rooms,
    pub(super) usual: Arc<Usual>,
}

impl App {
    /// Mounts a component.
    pub(crate) fn new(
        component: Arc<Component>,
        limits: Arc<Limits>,
        grants: Arc<Grants>,
        reuse: Reuse,
        tenant: Arc<Tenant>,
    ) -> App {
        let rooms = Rooms::new(reuse.at_once);
        let reuse = reuse.requests.unwrap_or(component.usual_reuse);
        let pool =
            component.engine.pools.add(Pool::new(reuse, limits.instance_idle, tenant.clone()));
        let usual = Arc::new(Usual::new(reuse == 1));
        App { component, tenant, limits, grants, pool, rooms, usual }
    }

    /// Whether requests and answers are streams: then [`App::serve`] answers.
    pub(crate) fn streams(&self) -> bool {
        matches!(self.component.world, World::Proxy | World::Service)
    }

    /// Answers a request with an instance of this app, within its limits.
    pub(crate) async fn answer(
        self: &Arc<App>,
        request: &Arc<Request>,
        body: Bytes,
        found: Found,
        permit: Permit,
        route: &Arc<str>,
    ) -> Result<Response, GuestError> {
        let (app, of_guest, route) = (self.clone(), request.clone(), route.clone());
        let run = Box::pin(async move {
            let answer = app.run(&of_guest, &body, &found, route).await?;
            convert::response(answer, &of_guest, &app)
        });
        self.within_limits(request, permit, run).await
    }

    /// Runs a guest of this app within its limits of CPU and wall time. It comes in a
    /// box: it is large, and is not to be moved from here to there on its way.
    pub(super) async fn within_limits<T: Send + 'static>(
        &self,
        request: &Arc<Request>,
        permit: Permit,
        guest: Pin<Box<impl Future<Output = Result<T, GuestError>> + Send + 'static>>,
    ) -> Result<T, GuestError> {
        let engine = &self.component.engine;
        let held = (permit, engine.clock.tick());
        let (cpu, wall) = (self.limits.cpu, self.limits.wall);
        let account = Single::new(request.clone(), cpu, held);
        let run = meter::run(guest, account, &engine.background, &self.tenant, &self.usual);
        let left = wall.saturating_sub(request.spent.loading());
        tokio::time::timeout(left, run).await.unwrap_or(Err(GuestError::WallExceeded(wall)))
    }

    /// Runs one instance. It goes back to the pool only if all went well and it
    /// keeps nothing of the request: a store that trapped or was cancelled is
    /// never entered again.
    async fn run(
        &self,
        request: &Arc<Request>,
        body: &[u8],
        found: &Found,
        route: Arc<str>,
    ) -> Result<super::bindings::Answer, GuestError> {
        let mut instance = self.instance(request, &route).await?;
        let answer = instance.answer(request, body, found, self, &route).await?;
        if instance.store.data_mut().end() {
            self.pool.put(instance);
        }
        Ok(answer)
    }

    /// An instance that waits, or a new one.
    pub(super) async fn instance(
        &self,
        request: &Arc<Request>,
        route: &Arc<str>,
    ) -> Result<Instance, GuestError> {
        match self.pool.get(self.component.engine.background.threads).await {
            Some(instance) => Ok(instance),
            None => self.instantiate(request, route).await,
        }
    }

    /// Makes an instance. If there is no slot left for it, idle ones of all apps
    /// make room. If its tenant has no memory left, it waits for what others of the
    /// tenant give back, as long as for a place and behind those that wait already:
    /// interpreters take so much that fewer have room than may run at the same time.
    async fn instantiate(
        &self,
        request: &Arc<Request>,
        route: &Arc<str>,
    ) -> Result<Instance, GuestError> {
        let memory = &self.tenant.memory;
        let until = Instant::now() + self.tenant.limits.queue_time;
        let mut turn = None;
        let mut waits = memory.is_waited_for();
        loop {
            if waits
                && let Ok(Some(free)) = timeout_at(until, self.wait_for_memory(&mut turn)).await
            {
                return Ok(free);
            }
            let made = Instance::new(self, request, route).await;
            match &made {
                Err(GuestError::PoolExhausted(_)) if self.component.engine.pools.evict() => {
                    waits = false;
                }
                Err(GuestError::Memory(lack))
                    if lack.of == Bound::Tenant && Instant::now() < until =>
                {
                    waits = true;
                }
                Ok(instance) => {
                    self.pool.note_size(instance.store.data().memory.all());
                    return made;
                }
                Err(_) => return made,
            }
        }
    }

    /// Waits until it is its turn and there is memory for an instance, or one that
    /// has become free. To try in vain takes memory and gives it back: so it looks
    /// first.
    async fn wait_for_memory<'a>(&'a self, turn: &mut Option<Turn<'a>>) -> Option<Instance> {
        let memory = &self.tenant.memory;
        let turn = match turn {
            // It has tried in vain.
            Some(turn) => {
                memory.freed(turn).await;
                turn
            }
            None => turn.insert(memory.turn().await),
        };
        loop {
            if let Some(instance) = self.pool.take() {
                return Some(instance);
            }
            if memory.has(self.pool.size()) {
                return None;
            }
            memory.freed(turn).await;
        }
    }
}
