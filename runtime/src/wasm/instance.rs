//! One running copy of a component, and a call into it.

use std::sync::Arc;

use wasmtime::component::{ComponentNamedList, Lift, Lower};
use wasmtime::{PoolConcurrencyLimitError, Store};

use super::app::App;
use super::bindings::{Answer, Env, Params, Results};
use super::export::Export;
use super::hook::{self, Calls};
use super::host::Host;
use super::output::Logging;
use super::world::World;
use super::{cause, javascript, script, wsgi};
use crate::error::GuestError;
use crate::request::Request;
use crate::router::Found;
use crate::tenant::Bound;

/// Component-model handles that an instance may hold at the same time.
const HANDLES: usize = 4_096;
/// What a guest may hand over in one call beside a value of key-value data, in
/// bytes: output, headers, names. An answer has its own bound.
const HANDED_OVER: usize = 4 << 20;

/// A store and the function in it that answers.
pub(super) struct Instance {
    pub(super) store: Store<Host>,
    pub(super) export: Export,
    /// What the guest may hand over in one call, in bytes.
    pub(super) most: usize,
    /// Requests that it has answered, and may answer.
    pub(super) served: u32,
    pub(super) share: u32,
    _alive: Arc<()>,
}

impl Instance {
    /// Makes an instance for a request of an app.
    pub(super) async fn new(
        app: &App,
        request: &Arc<Request>,
        route: &Arc<str>,
    ) -> Result<Instance, GuestError> {
        let component = &app.component;
        let most = HANDED_OVER.saturating_add(app.limits.value);
        let mut host = Host::new(&app.limits, app.grants.clone(), &app.tenant);
        host.memory.make_room(component.beside()).map_err(GuestError::Memory)?;
        host.start(request);
        let output = host.output.clone();
        let _logging = Logging::start(&output, app, route, request);
        let mut store = Store::new(&component.engine.wasm, host);
        store.limiter(|host| &mut host.memory);
        store.set_hostcall_fuel(most);
        store.call_hook(hook::called);
        store.set_max_component_handles(HANDLES);
        store.epoch_deadline_callback(|mut store| store.data_mut().memory.tick());
        store.set_epoch_deadline(1);
        let instance = component.instance_pre.instantiate_async(&mut store).await;
        let export = instance.and_then(|instance| Export::of(component, &instance, &mut store));
        match export {
            Ok(export) => {
                request.spent.add_instance();
                let (share, alive) = (app.pool.share(), app.pool.alive());
                Ok(Instance { store, export, most, served: 0, share, _alive: alive })
            }
            Err(error) => Err(match explain(&error, store.data(), most) {
                // It has not run yet: the request is told to come again.
                GuestError::OutOfMemory { lack, .. } if lack.of != Bound::Instance => {
                    GuestError::Memory(lack)
                }
                error => error,
            }),
        }
    }

    /// Answers a request. What the guest writes is logged with it.
    pub(super) async fn answer(
        &mut self,
        request: &Arc<Request>,
        body: &[u8],
        found: &Found,
        app: &App,
        route: &Arc<str>,
    ) -> Result<Answer, GuestError> {
        self.store.data_mut().start(request);
        let output = self.store.data().output.clone();
        let _logging = Logging::start(&output, app, route, request);
        let text = match app.component.world {
            World::Wsgi => wsgi::environ(request, body.len(), found),
            World::JavaScript => javascript::request(request, found),
            _ => {
                let answer = self.application(request, body, found).await;
                return answer.map_err(|error| self.explain(&error));
            }
        };
        let params: script::Params<'_> = (&text, body);
        let said = self.call(script::VALUES, params).await;
        let ((text, body),): script::Results = said.map_err(|error| self.explain(&error))?;
        script::answer(&text, body)
    }

    /// Why the guest did not answer.
    pub(super) fn explain(&self, error: &wasmtime::Error) -> GuestError {
        explain(error, self.store.data(), self.most)
    }

    /// One more request is answered from now on.
    pub(super) fn begin(&mut self) {
        self.store.data_mut().memory.begin(self.served == 0);
        self.served += 1;
        self.store.set_epoch_deadline(1);
        self.store.set_hostcall_fuel(self.most);
    }

    async fn application(
        &mut self,
        request: &Request,
        body: &[u8],
        found: &Found,
    ) -> wasmtime::Result<Answer> {
        let params: Vec<(&str, &str)> =
            found.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let headers: Vec<(&str, &[u8])> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let remote_addr = request.remote.ip().to_string();
        let env = Env {
            method: request.method.as_str(),
            scheme: request.scheme(),
            host: &request.host,
            port: request.port,
            script_name: found.script_name(&request.path),
            path_info: found.path_info(&request.path),
            query_string: request.uri.query().unwrap_or_default(),
            uri: request.target(),
            protocol: request.protocol(),
            remote_addr: &remote_addr,
            request_id: &request.id,
            params: &params,
            headers: &headers,
            body,
        };
        let (answer,): Results = self.call::<Params<'_>, _>(env.values(), (env,)).await?;
        Ok(answer)
    }

    /// Calls the function with a whole request, in which there are so many texts and
    /// lists.
    async fn call<P, R>(&mut self, values: usize, params: P) -> wasmtime::Result<R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        self.begin();
        let function = self.export.whole()?.typed::<P, R>(&self.store)?;
        let host = self.store.data_mut();
        host.calls = Calls::begin(values, host.largest);
        let answer = function.call_async(&mut self.store, params).await?;
        self.store.data_mut().memory.let_answer_go();
        Ok(answer)
    }
}

/// Why a guest did not answer. SECURITY: the type of an error tells, or the text of its
/// root cause; to format the whole chain would print names that the guest chose.
fn explain(error: &wasmtime::Error, host: &Host, most: usize) -> GuestError {
    if let Some(limit) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return GuestError::PoolExhausted(limit.to_string());
    }
    if cause::is_fuel_exhausted(error) {
        return match host.memory.reads_answer() {
            true => GuestError::AnswerTooLarge(host.largest),
            false => GuestError::HandedOver(most),
        };
    }
    let trap = cause::of_trap(error);
    match host.memory.refused() {
        Some(lack) => GuestError::OutOfMemory { lack, trap },
        None => GuestError::Trapped(trap),
    }
}
