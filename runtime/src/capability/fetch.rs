//! Requests that an app sends to other servers and to other apps of its tenant,
//! where it was granted. And what bodies of `wasi:http` may hold of the server's
//! memory.

mod address;
mod answer;
mod client;
mod connection;
mod near;
mod places;
mod pool;
mod resolve;
mod sending;
mod target;
mod trust;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, ready};

use http::HeaderName;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

use crate::capability::log::{SharedLog, excerpt};
use crate::config::origins::Origins;
use crate::limits::Limits;
use crate::request::Request;
use crate::tenant::Tenant;
pub(crate) use client::Client;
use client::{Call, Times, stand_in_line};
use sending::Sending;

/// Where an app may send requests, and what sends them.
pub(crate) struct Reach {
    pub(crate) client: Arc<Client>,
    pub(crate) granted: Arc<Origins>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) tenant: Arc<Tenant>,
}

/// What one store of an app fetches.
pub(crate) struct Fetch {
    reach: Arc<Reach>,
    log: SharedLog,
    serving: Serving,
    /// Whether the store is gone: what its bodies have then is not all.
    gone: Option<Arc<AtomicBool>>,
}

/// What is of the request that a store serves.
#[derive(Default)]
pub(crate) struct Serving {
    /// Bodies that the guest began for it.
    bodies: usize,
    /// Requests that it sent for it.
    sent: usize,
    request: Option<Arc<Request>>,
    /// Places for requests at the same time.
    slots: Option<Arc<Semaphore>>,
}

impl Serving {
    /// This request, of which nothing was done yet.
    pub(crate) fn new(request: &Arc<Request>) -> Serving {
        Serving { request: Some(request.clone()), ..Serving::default() }
    }
}

/// What a body may hold that nobody has taken yet: chunks, beside the one that
/// wasi:http adds, and their bytes. An answer's is the first; then there are
/// those of requests at the same time.
const FIRST_BODY: (usize, usize) = (1, 64 << 10);
const BODIES: usize = 6;
const BODY: (usize, usize) = (1, 8 << 10);
/// SECURITY: a guest may begin as many as it has handles for, and leave them.
const FURTHER_BODY: (usize, usize) = (1, 256);

/// What is taken at once of a body of 0.3, which holds only what is on its way:
/// three of these.
const CHUNK: usize = 64 << 10;

impl Fetch {
    pub(crate) fn new(reach: Arc<Reach>, log: SharedLog) -> Fetch {
        Fetch { reach, log, serving: Serving::default(), gone: None }
    }

    /// A request is served from now on.
    pub(crate) fn start(&mut self, request: &Arc<Request>) {
        self.serving = Serving::new(request);
    }

    /// Serves another of the store's requests.
    pub(crate) fn turn_to(&mut self, serving: Serving) -> Serving {
        std::mem::replace(&mut self.serving, serving)
    }

    /// The store ends: what the guest had not ended breaks off.
    pub(crate) fn end(&self) {
        if let Some(gone) = &self.gone {
            gone.store(true, SeqCst);
        }
    }

    /// What the body that is begun may hold. Its chunks are asked for first.
    fn room(&self) -> (usize, usize) {
        match self.serving.bodies {
            0 | 1 => FIRST_BODY,
            count if count <= BODIES => BODY,
            _ => FURTHER_BODY,
        }
    }

    /// Checks a request and has it sent.
    fn send(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<Running> {
        let reach = self.reach.clone();
        self.serving.sent += 1;
        if self.serving.sent > reach.limits.outbound {
            return Err(Error::ConnectionLimitReached);
        }
        if reach.granted.is_empty() {
            self.note(&request.uri().to_string(), NOT_GRANTED);
            return Err(Error::HttpRequestDenied);
        }
        let (mut head, body) = request.into_parts();
        let (origin, path, declared) = target::check(&mut head, &reach.limits)?;
        if !reach.granted.allow(&origin) {
            self.note(&origin.to_string(), NOT_GRANTED);
            return Err(Error::HttpRequestDenied);
        }
        let gone = self.gone.get_or_insert_default().clone();
        let request = http::Request::from_parts(head, Sending::new(body, declared, gone));
        let times = Times::new(reach.limits.outbound_time, options);
        let caller = self.serving.request.clone().ok_or(Error::InternalError(None))?;
        caller.spent.add_outbound();
        let runtime = reach.client.runtime()?;
        let tenant = reach.tenant.clone();
        if origin.app().is_some() {
            let call = near::call(tenant, caller, (origin, path), times, request);
            return Ok(Running(runtime.spawn(call)));
        }
        let most = reach.limits.outbound_concurrency;
        let slots = self.serving.slots.get_or_insert_with(|| Arc::new(Semaphore::new(most)));
        let slot = stand_in_line(slots.clone());
        let granted = reach.granted.clone();
        let call = Call { tenant, granted, origin: origin.clone(), path, times };
        let (sent, log) = (reach.client.clone().send(slot, call, request), self.log.clone());
        Ok(Running(runtime.spawn(async move {
            let answered = sent.await;
            if matches!(answered, Err(Error::DestinationIpProhibited)) {
                note(&log, &origin.to_string(), NOT_PUBLIC);
            }
            answered
        })))
    }

    fn note(&self, what: &str, why: &str) {
        note(&self.log, what, why);
    }
}

const NOT_GRANTED: &str =
    "not granted; add its origin to the route's grants.outbound, or to --outbound";
const NOT_PUBLIC: &str = "its address is not public; grant it by address, too";

/// Tells the app's author what the code of the error does not say.
fn note(log: &SharedLog, what: &str, why: &str) {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.note(&format!("a request to {} was refused: {why}", excerpt(what)));
}

/// A request that is under way; it ends when this is dropped.
struct Running(JoinHandle<Result<http::Response<WasiBody>>>);

impl Future for Running {
    type Output = Result<Answered>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Answered>> {
        let answer = ready!(Pin::new(&mut self.0).poll(cx));
        let answer = answer.unwrap_or(Err(Error::InternalError(None)));
        let ended: Ended = Box::new(std::future::ready(Ok(())));
        Poll::Ready(answer.map(|answer| (answer, ended)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Answered = (http::Response<WasiBody>, Ended);
type Ended = Box<dyn Future<Output = Result<()>> + Send>;

impl WasiHttpHooks for Fetch {
    /// Headers of the connection are the server's own, in both directions. Guests
    /// see this list; answers are checked against a longer one.
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> wasmtime_wasi_http::ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _received: Ended,
    ) -> Box<dyn Future<Output = Result<Answered>> + Send> {
        match self.send(request, options) {
            Ok(running) => Box::new(running),
            Err(error) => Box::new(std::future::ready(Err(error))),
        }
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        self.serving.bodies += 1;
        self.room().0
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        self.room().1
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }
}

fn is_forbidden(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "host"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "transfer-encoding"
            | "upgrade"
    )
}
