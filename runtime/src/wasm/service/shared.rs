//! Calls of `wasi:http/handler@0.3` in an instance that serves several requests at
//! the same time. One task runs the instance for all of them: what it uses is
//! divided among those that are in it. Nothing can stop one of its guests alone: when
//! a client has left, its instance takes no more requests, and ends when
//! the others have been served.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, AccessorTask};

use super::eager::Eager;
use super::handler::{Called, Function};
use super::room::{Entry, Room, Served};
use super::{Given, Place};
use crate::capability::log::Log;
use crate::error::GuestError;
use crate::tenant::Permit;
use crate::wasm::app::App;
use crate::wasm::host::Host;
use crate::wasm::meter::{self, Account};
use crate::wasm::used::{Part, Used};

impl Place {
    /// Has a request served by an instance that others may be in, until its guest has
    /// ended.
    pub(super) async fn share(self, given: Given, permit: Permit) -> Result<(), GuestError> {
        let app = self.app.clone();
        let wall = app.limits.wall;
        let left = wall.saturating_sub(self.request.spent.loading());
        let held = (permit, app.component.engine.clock.tick());
        let (told, ended) = oneshot::channel();
        enter(&app, Entry::new(self, given, held, told), &Handle::current());
        let ended = tokio::time::timeout(left, ended).await;
        ended.map_err(|_| GuestError::WallExceeded(wall))?.unwrap_or(Err(GuestError::Panicked))
    }
}

/// Finds an instance for a request, or has a new one run.
fn enter(app: &Arc<App>, entry: Entry, front: &Handle) {
    let threads = app.component.engine.background.threads;
    let Some(room) = app.rooms.enter(entry, threads) else { return };
    let account = Together { app: app.clone(), room: room.clone(), front: front.clone() };
    let app = app.clone();
    front.spawn(async move {
        let background = app.component.engine.background.clone();
        let guests = Box::pin(run(app.clone(), room));
        // Those who are in it have been told.
        let _ = meter::run(guests, account, &background, &app.tenant, &app.usual).await;
    });
}

/// Those who have an instance together.
struct Together {
    app: Arc<App>,
    room: Arc<Room>,
    /// Where connections are served.
    front: Handle,
}

impl Together {
    fn elsewhere(&self, entries: impl IntoIterator<Item = Entry>) {
        entries.into_iter().for_each(|entry| enter(&self.app, entry, &self.front));
    }
}

impl Account for Together {
    fn begin(&mut self, cx: &mut Context<'_>) -> u32 {
        self.room.poll(cx)
    }

    fn charge(&mut self, _: &Used, part: Part) -> Option<GuestError> {
        let over = self.room.charge(part);
        self.elsewhere(self.room.turned_away());
        over
    }

    fn leave_front(&mut self) {
        self.elsewhere(self.room.close());
    }

    fn present(&self) -> u32 {
        u32::try_from(self.room.present()).unwrap_or(u32::MAX)
    }

    fn requests(&self) -> u32 {
        self.room.entered()
    }

    fn has_new_instance(&self) -> bool {
        self.room.is_new()
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        self.elsewhere(self.room.clear());
    }
}

/// Runs an instance until nobody is in it. It goes back to the pool only if all
/// went well and it keeps nothing of the requests.
async fn run(app: Arc<App>, room: Arc<Room>) -> Result<(), GuestError> {
    let ended = serve_all(&app, &room).await;
    ended.inspect_err(|why| room.fail(why.clone()))
}

async fn serve_all(app: &App, room: &Arc<Room>) -> Result<(), GuestError> {
    let Some(Place { request, route, .. }) = room.opener() else { return Ok(()) };
    let mut instance = app.instance(&request, &route).await?;
    room.begin(instance.share.saturating_sub(instance.served));
    instance.begin();
    let call = instance.export.service().map_err(|error| instance.explain(&error))?;
    let most = instance.most;
    let served = {
        let all = instance.store.run_concurrent(async |store| {
            poll_fn(|cx| poll_all(store, room, (call, most), cx)).await
        });
        Eager::new(pin!(all)).await
    };
    served.flatten().map_err(|error| instance.explain(&error))?;
    instance.served += room.entered().saturating_sub(1);
    if instance.store.data_mut().end() {
        app.pool.put(instance);
    }
    Ok(())
}

/// Lets everyone come in who waits; ready when nobody is in there, and nothing goes on.
fn poll_all(
    store: &Accessor<Host>,
    room: &Arc<Room>,
    (call, most): (Function, usize),
    cx: &mut Context<'_>,
) -> Poll<wasmtime::Result<()>> {
    while let Some(served) = room.come_in(cx) {
        store.with(|mut store| store.as_context_mut().set_hostcall_fuel(most));
        store.spawn(Serving { room: room.clone(), call, served })?;
    }
    let serves = room.serves();
    let goes_on = !serves && store.poll_no_interesting_tasks(cx).is_pending();
    for task in room.leave(goes_on) {
        store.with(|mut store| store.get().dismiss(task));
    }
    if serves || goes_on || !room.close_if_empty() {
        return Poll::Pending;
    }
    Poll::Ready(Ok(()))
}

/// A request while it is served.
struct Serving {
    room: Arc<Room>,
    call: Function,
    served: Served,
}

impl AccessorTask<Host> for Serving {
    async fn run(self, store: &Accessor<Host>) -> wasmtime::Result<()> {
        let Serving { room, call, served } = self;
        let Served { place: Place { app, request, route }, given, number } = served;
        let Given { upload, set, fate } = given;
        let mut running = fate.running();
        let called = Called::begin(store, call, &request, upload)?;
        let task = called.task();
        let mut log = Log::default();
        log.start(&app.tenant, &route, request.id, app.limits.log);
        store.with(|mut store| store.get().attend(task, &request, log));
        called.answer(store, set).await?;
        running.end();
        room.end(number, task);
        Ok(())
    }
}
