//! One running copy of a component, and a request's way through it.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::component::Func;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, UpdateDeadline};

use super::bindings::{Answer, Env, Params, Results};
use super::component::App;
use super::convert;
use super::host::Host;
use super::meter;
use crate::capability::log::escape;
use crate::error::GuestError;
use crate::request::Request;
use crate::respond::Response;
use crate::router::Found;

/// Component-model handles that an instance may hold at the same time.
const HANDLES: usize = 4_096;
/// What a guest may hand over in one call beside an answer's body, in bytes:
/// headers, output, names.
const HANDED_OVER: usize = 4 << 20;
/// Frames of a guest's stack that the log shows.
const FRAMES: usize = 12;

/// A store and the function in it that answers.
pub(super) struct Instance {
    store: Store<Host>,
    application: Func,
    /// Requests that it has answered.
    pub(super) served: u32,
}

impl App {
    /// Answers a request with an instance of this app, within its limits.
    pub(crate) async fn answer(
        self: &Arc<App>,
        request: Box<Request>,
        body: Bytes,
        found: Found,
    ) -> Result<Response, GuestError> {
        let _ticking = self.engine.clock.tick();
        let app = self.clone();
        let (cpu, wall) = (self.limits.cpu, self.limits.wall);
        let run = async move {
            let answer = app.run(&request, &body, &found).await?;
            convert::response(answer, &request, &app)
        };
        let run = meter::run(run, cpu, &self.engine.background);
        tokio::time::timeout(wall, run).await.unwrap_or(Err(GuestError::WallExceeded(wall)))
    }

    /// Runs one instance. It goes back to the pool only if all went well: a
    /// store that trapped or was cancelled is never entered again.
    async fn run(
        &self,
        request: &Request,
        body: &[u8],
        found: &Found,
    ) -> Result<Answer, GuestError> {
        let mut instance = match self.pool.take() {
            Some(instance) => instance,
            None => self.instantiate().await?,
        };
        let output = instance.store.data().output.clone();
        output.log().start(request.id.clone(), self.limits.log);
        let answer = instance.call(request, body, found).await;
        output.log().end();
        let answer = answer.map_err(|error| instance.explain(&error, self.limits.response))?;
        self.pool.put(instance);
        Ok(answer)
    }

    async fn instantiate(&self) -> Result<Instance, GuestError> {
        let host = Host::new(&self.limits, self.files.clone());
        let mut store = Store::new(&self.engine.wasm, host);
        store.limiter(|host| &mut host.memory);
        store.set_hostcall_fuel(self.limits.response.saturating_add(HANDED_OVER));
        store.set_max_component_handles(HANDLES);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1)));
        store.set_epoch_deadline(1);
        let instance = self.instance_pre.instantiate_async(&mut store).await;
        let application = instance.map(|instance| instance.get_func(&mut store, self.export));
        match application {
            Ok(Some(application)) => Ok(Instance { store, application, served: 0 }),
            Ok(None) => Err(GuestError::Trapped("its export is gone".to_owned())),
            Err(error) => Err(explain(&error, store.data(), self.limits.response)),
        }
    }
}

impl Instance {
    async fn call(
        &mut self,
        request: &Request,
        body: &[u8],
        found: &Found,
    ) -> wasmtime::Result<Answer> {
        self.served += 1;
        self.store.set_epoch_deadline(1);
        let params: Vec<(&str, &str)> =
            found.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let headers: Vec<(&str, &[u8])> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let remote_addr = request.remote.ip().to_string();
        let env = Env {
            method: request.method.as_str(),
            scheme: "http",
            host: &request.host,
            port: request.port,
            script_name: found.script_name(&request.path),
            path_info: found.path_info(&request.path),
            query_string: request.uri.query().unwrap_or_default(),
            uri: request.uri.path_and_query().map_or("/", |uri| uri.as_str()),
            protocol: request.protocol(),
            remote_addr: &remote_addr,
            request_id: &request.id,
            params: &params,
            headers: &headers,
            body,
        };
        let application = self.application.typed::<Params<'_>, Results>(&self.store)?;
        let (answer,) = application.call_async(&mut self.store, (env,)).await?;
        Ok(answer)
    }

    fn explain(&self, error: &wasmtime::Error, response: usize) -> GuestError {
        explain(error, self.store.data(), response)
    }
}

/// Why a guest did not answer.
fn explain(error: &wasmtime::Error, host: &Host, response: usize) -> GuestError {
    if error.is::<PoolConcurrencyLimitError>() {
        return GuestError::PoolExhausted(error.to_string());
    }
    if error.to_string().contains("fuel allocated for hostcalls has been exhausted") {
        return GuestError::AnswerTooLarge(response);
    }
    let trap = trap_text(error);
    if host.memory.refused {
        return GuestError::OutOfMemory { limit: host.memory.most, trap };
    }
    GuestError::Trapped(trap)
}

/// The trap and the functions it happened in, innermost first, on one line.
fn trap_text(error: &wasmtime::Error) -> String {
    let cause = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let Some(backtrace) = error.downcast_ref::<wasmtime::WasmBacktrace>() else {
        return escape(cause.as_bytes());
    };
    let frames: Vec<String> = backtrace
        .frames()
        .iter()
        .take(FRAMES)
        .map(|frame| match frame.func_name() {
            Some(name) => escape(format!("{:#}", demangle(name)).as_bytes()),
            None => format!("function {}", frame.func_index()),
        })
        .collect();
    format!("{}, in {}", escape(cause.as_bytes()), frames.join(" < "))
}

/// Rust's names without their hashes.
fn demangle(name: &str) -> rustc_demangle::Demangle<'_> {
    rustc_demangle::demangle(name)
}
