//! A call of `wasi:http/incoming-handler@0.2`.

use std::sync::Arc;

use tokio::sync::oneshot;
use wasmtime::component::{Resource, TypedFunc};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};

use super::{Given, Set, incoming};
use crate::error::GuestError;
use crate::request::{Request, Upload};
use crate::wasm::app::App;
use crate::wasm::cause;
use crate::wasm::instance::Instance;
use crate::wasm::output::Logging;

/// The function that is called.
pub(in crate::wasm) type Function = TypedFunc<Params, ()>;

type Params = (Resource<HostIncomingRequest>, Resource<HostResponseOutparam>);

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
    let handled = handle(&mut instance, request, upload, set).await;
    handled.map_err(|error| instance.explain(&error))?;
    let reusable = instance.store.data_mut().end();
    running.end();
    if reusable {
        app.pool.put(instance);
    }
    Ok(())
}

async fn handle(
    instance: &mut Instance,
    request: &Request,
    upload: Upload,
    set: oneshot::Sender<Set>,
) -> wasmtime::Result<()> {
    instance.begin();
    let mut http = instance.store.data_mut().http();
    let scheme = if request.secure { Scheme::Https } else { Scheme::Http };
    let incoming = http.new_incoming_request(scheme, incoming(request, upload))?;
    let outparam = http.new_response_outparam_from_callback(move |answer| {
        // Nobody waits for the answer to a request that is refused.
        let _ = set.send(answer.map_err(|code| cause::debug(&code)));
    })?;
    let handle = instance.export.proxy()?;
    handle.call_async(&mut instance.store, (incoming, outparam)).await
}
