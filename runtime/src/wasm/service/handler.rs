//! A call of `wasi:http/handler@0.3`. The guest's streams and futures move only
//! while its store runs, so its answer is pumped out of there.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::{Accessor, Func, Resource};
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{Request as GuestRequest, Response as GuestResponse};
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView};

use super::eager::Eager;
use super::{Given, Set, incoming};
use crate::error::GuestError;
use crate::request::{Request, Upload};
use crate::wasm::app::App;
use crate::wasm::host::Host;
use crate::wasm::output::Logging;

type Params = (Resource<GuestRequest>,);
type Results = (Result<Resource<GuestResponse>, ErrorCode>,);

/// What became of a request's body.
type Received = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Frames that wait for the client, beside one on its way out of the store; each
/// is as large as `capability/fetch.rs` says. Two: they leave in one write, and
/// the guest need not have its turn between them. A small answer has room, so
/// that its guest need not wait.
const FRAMES: usize = 2;

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
    let function = instance.function;
    let run = instance
        .store
        .run_concurrent(async |store| handle(store, function, request, upload, set).await);
    let handled = Eager::new(run).await;
    handled.flatten().map_err(|error| instance.explain(&error))?;
    let reusable = instance.store.data_mut().end();
    running.end();
    if reusable {
        app.pool.put(instance);
    }
    Ok(())
}

async fn handle(
    store: &Accessor<Host>,
    function: Func,
    request: &Request,
    upload: Upload,
    set: oneshot::Sender<Set>,
) -> wasmtime::Result<()> {
    let (handle, guest_request, received) = store.with(|mut store| {
        let handle = function.typed::<Params, Results>(&store)?;
        let http = store.data_mut().http();
        let (guest_request, received) =
            GuestRequest::from_http(http.hooks, incoming(request, upload));
        let received: Received = Box::pin(received);
        wasmtime::error::Ok((handle, http.table.push(guest_request)?, received))
    })?;
    let (answer,) = handle.call_concurrent(store, (guest_request,)).await?;
    let answer = match answer {
        Ok(answer) => store.with(|mut store| {
            let answer = store.data_mut().http().table.delete(answer)?;
            wasmtime::error::Ok(Ok(answer.into_http(store, received)?))
        })?,
        Err(code) => Err(format!("{code:?}")),
    };
    let idle = poll_fn(|cx| store.poll_no_interesting_tasks(cx));
    match answer {
        Ok(answer) => {
            let (head, body) = answer.into_parts();
            let (pump, pumped) = pump();
            // Nobody waits for the answer to a request that is refused.
            let _ = set.send(Ok(http::Response::from_parts(head, pumped.boxed_unsync())));
            tokio::join!(pump.run(body), idle);
        }
        Err(code) => {
            let _ = set.send(Err(code));
            idle.await;
        }
    }
    Ok(())
}

/// Moves a body to whoever takes it, with its end.
struct Pump {
    frames: mpsc::Sender<Result<Frame<Bytes>, Error>>,
    ended: Arc<AtomicBool>,
}

/// What comes out. It ends only if the body did: a store that is dropped closes
/// what its guest wrote to as if that were the end.
struct Pumped {
    frames: mpsc::Receiver<Result<Frame<Bytes>, Error>>,
    ended: Arc<AtomicBool>,
}

fn pump() -> (Pump, Pumped) {
    let (sender, frames) = mpsc::channel(FRAMES);
    let ended = Arc::new(AtomicBool::new(false));
    (Pump { frames: sender, ended: ended.clone() }, Pumped { frames, ended })
}

impl Pump {
    async fn run(self, mut body: WasiBody) {
        // None is taken before there is room for it: it would be one more that waits.
        // When the client has left, the guest is told: its stream is dropped.
        while let Ok(room) = self.frames.reserve().await {
            let Some(frame) = body.frame().await else {
                self.ended.store(true, SeqCst);
                return;
            };
            let broken = frame.is_err();
            room.send(frame);
            if broken {
                return;
            }
        }
    }
}

impl Body for Pumped {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match ready!(self.frames.poll_recv(cx)) {
            None if self.ended.load(SeqCst) => Poll::Ready(None),
            None => Poll::Ready(Some(Err(Error::HttpResponseIncomplete))),
            frame => Poll::Ready(frame),
        }
    }
}
