//! A call of `wasi:http/handler@0.3`. The guest's streams and futures move only
//! while its store runs, so its answer is pumped out of there.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;

use http_body_util::BodyExt;
use tokio::sync::oneshot;
use wasmtime::component::{Accessor, GuestTaskId, Resource, TypedFunc, TypedFuncCallConcurrent};
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{Request as GuestRequest, Response as GuestResponse};
use wasmtime_wasi_http::{Error, WasiHttpView};

use super::eager::Eager;
use super::{Given, Set, incoming, pump};
use crate::error::GuestError;
use crate::request::{Request, Upload};
use crate::wasm::app::App;
use crate::wasm::cause;
use crate::wasm::host::Host;
use crate::wasm::output::Logging;

/// The function that is called.
pub(in crate::wasm) type Function = TypedFunc<Params, Results>;

type Params = (Resource<GuestRequest>,);
type Results = (Result<Resource<GuestResponse>, ErrorCode>,);

/// What became of a request's body.
type Received = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Serves a request with an instance. It goes back to the pool only if all went
/// well and it keeps nothing of the request.
pub(super) async fn run(
    app: &App,
    request: &Arc<Request>,
    route: &Arc<str>,
    given: Given,
) -> Result<(), GuestError> {
    let Given { upload, set, fate } = given;
    let mut instance = app.instance(request, route).await?;
    let mut running = fate.running();
    instance.store.data_mut().start(request);
    let output = instance.store.data().output.clone();
    let _logging = Logging::start(&output, app, route, request);
    instance.begin();
    let call = instance.export.service().map_err(|error| instance.explain(&error))?;
    let handled = {
        let run = instance
            .store
            .run_concurrent(async |store| handle(store, call, request, upload, set).await);
        Eager::new(pin!(run)).await
    };
    handled.flatten().map_err(|error| instance.explain(&error))?;
    let reusable = instance.store.data_mut().end();
    running.end();
    if reusable {
        app.pool.put(instance);
    }
    Ok(())
}

/// Has a guest answer, until nothing of it goes on.
async fn handle(
    store: &Accessor<Host>,
    call: Function,
    request: &Request,
    upload: Upload,
    set: oneshot::Sender<Set>,
) -> wasmtime::Result<()> {
    Called::begin(store, call, request, upload)?.answer(store, set).await?;
    poll_fn(|cx| store.poll_no_interesting_tasks(cx)).await;
    Ok(())
}

/// A call that has begun.
pub(super) struct Called {
    handle: Function,
    call: TypedFuncCallConcurrent<Host, Params, Results>,
    received: Received,
}

impl Called {
    /// Calls the guest, once its store runs.
    pub(super) fn begin(
        store: &Accessor<Host>,
        handle: Function,
        request: &Request,
        upload: Upload,
    ) -> wasmtime::Result<Called> {
        store.with(|mut store| {
            let http = store.data_mut().http();
            let (guest_request, received) =
                GuestRequest::from_http(http.hooks, incoming(request, upload));
            let received: Received = Box::pin(received);
            let guest_request = http.table.push(guest_request)?;
            let call = handle.start_call_concurrent(&mut store, (guest_request,))?;
            Ok(Called { handle, call, received })
        })
    }

    /// The guest's task that answers.
    pub(super) fn task(&self) -> GuestTaskId {
        self.call.task()
    }

    /// Hands over the answer, and its body as it comes.
    pub(super) async fn answer(
        self,
        store: &Accessor<Host>,
        set: oneshot::Sender<Set>,
    ) -> wasmtime::Result<()> {
        let Called { handle, call, received } = self;
        let (answer,) = handle.finish_call_concurrent(store, call).await?;
        let answer = match answer {
            Ok(answer) => store.with(|mut store| {
                let answer = store.data_mut().http().table.delete(answer)?;
                answer.into_http(store, received)
            })?,
            Err(code) => {
                let _ = set.send(Err(cause::debug(&code)));
                return Ok(());
            }
        };
        let (head, body) = answer.into_parts();
        let (pump, pumped) = pump::new();
        // Nobody waits for the answer to a request that is refused.
        let _ = set.send(Ok(http::Response::from_parts(head, pumped.boxed_unsync())));
        pump.run(body).await;
        Ok(())
    }
}
