//! What sends requests of apps to other servers: one for the whole server, with
//! its connections.

use std::future::ready;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::unconstrained;
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::answer::{Answer, Held};
use super::connection::{Connection, is_lost, told};
use super::places::{Place, Places};
use super::pool::Pool;
use super::resolve::{Resolver, may_dial};
use super::sending::Sending;
use super::target::strip;
use super::trust::Trust;
use crate::config::origins::{Origin, Origins};
use crate::tenant::Tenant;

/// Connections to other servers, and what they need.
pub(crate) struct Client {
    resolver: Resolver,
    trust: Trust,
    pool: Arc<Pool>,
    /// Places for connections of all tenants.
    connections: Arc<Places>,
    /// Where connections are served: not where long guests run.
    runtime: OnceLock<Handle>,
}

/// A request that was checked, and what it may take.
pub(super) struct Call {
    pub(super) tenant: Arc<Tenant>,
    pub(super) granted: Arc<Origins>,
    pub(super) origin: Origin,
    pub(super) path: PathAndQuery,
    pub(super) times: Times,
}

/// One of the places for requests at the same time, once it is free.
pub(super) type Slot =
    Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// Stands in line for one of the slots from now on, not from when it is asked again: a
/// guest may take answers in the order in which it sent, and hold the slots meanwhile.
pub(super) fn stand_in_line(slots: Arc<Semaphore>) -> Slot {
    // Unconstrained: it must be in line however much its task has done.
    let mut slot: Slot = Box::pin(unconstrained(slots.acquire_owned()));
    match slot.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(taken) => Box::pin(ready(taken)),
        Poll::Pending => slot,
    }
}

/// How long a request may take: in all, to connect, to the head of its answer,
/// and between pieces of its body.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) until: Instant,
    connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
}

/// Connections to other servers: of all tenants, and of one.
const CONNECTIONS: usize = 2_048;
const OF_TENANT: usize = 256;
/// Heads of status 1xx before an answer's own.
const INFORMATIONAL: usize = 16;

impl Times {
    /// What the limit allows; a guest may ask for less.
    pub(super) fn new(most: Duration, options: Option<RequestOptions>) -> Times {
        let options = options.unwrap_or_default();
        let within = |asked: Option<Duration>| asked.unwrap_or(most).min(most);
        Times {
            until: Instant::now() + most,
            connect: within(options.connect_timeout),
            first_byte: within(options.first_byte_timeout),
            between_bytes: within(options.between_bytes_timeout),
        }
    }

    fn until(&self, most: Duration) -> Instant {
        self.until.min(Instant::now() + most)
    }
}

impl Client {
    /// Trusts the system's authorities, and those of a file.
    ///
    /// # Errors
    /// A sentence: what is wrong with the file.
    pub(crate) fn new(authorities: Option<&Path>) -> Result<Arc<Client>, String> {
        Ok(Arc::new(Client {
            resolver: Resolver::default(),
            trust: Trust::with(authorities)?,
            pool: Arc::default(),
            connections: Places::new(CONNECTIONS, OF_TENANT),
            runtime: OnceLock::new(),
        }))
    }

    /// Serves its connections on this runtime from now on.
    pub(crate) fn start(&self, runtime: Handle) {
        let _ = self.runtime.set(runtime);
    }

    /// Where connections are served.
    pub(super) fn runtime(&self) -> Result<&Handle, Error> {
        self.runtime.get().ok_or(Error::InternalError(None))
    }

    /// Sends a request when it has its slot; its answer's body follows while it is read.
    pub(super) async fn send(
        self: Arc<Self>,
        slot: Slot,
        call: Call,
        request: Request<Sending>,
    ) -> Result<Response<WasiBody>, Error> {
        let times = call.times;
        let slot = timeout_at(times.until, slot).await;
        let slot = slot.ok().and_then(Result::ok).ok_or(Error::ConnectionLimitReached)?;
        let exchanged = self.exchange(&call, request).await;
        if exchanged.is_err() {
            // Also one of HTTP/2 that others could use is not to be trusted.
            self.pool.forget(&call.tenant.name, &call.origin);
        }
        let (connection, answer) = exchanged?;
        let (mut head, body) = answer.into_parts();
        if head.status.is_informational() {
            return Err(Error::HttpUpgradeFailed);
        }
        let length = head.headers.remove(http::header::CONTENT_LENGTH);
        strip(&mut head.headers);
        head.headers.extend(length.map(|length| (http::header::CONTENT_LENGTH, length)));
        let held = Held {
            connection,
            pool: self.pool.clone(),
            tenant: call.tenant.name.clone(),
            origin: call.origin,
            slot,
        };
        let body = Answer::new(body, times.until, times.between_bytes, held).boxed_unsync();
        Ok(Response::from_parts(head, body))
    }

    /// Sends a request over an idle connection, or a new one. What an idle one
    /// did not take goes over a new one: it may have been closed meanwhile.
    async fn exchange(
        &self,
        call: &Call,
        mut request: Request<Sending>,
    ) -> Result<(Connection, Response<Incoming>), Error> {
        if request.method().is_safe() {
            let until = call.times.until(call.times.first_byte);
            let known = timeout_at(until, request.body_mut().peek()).await;
            known.map_err(|_| Error::ConnectionWriteTimeout)?;
        }
        let allowed = |peer| may_dial(peer, &call.granted);
        let mut idle = self.pool.take(&call.tenant.name, &call.origin, allowed);
        loop {
            let reused = idle.is_some();
            let mut connection = match idle.take() {
                Some(connection) => connection,
                None => self.connect(call).await?,
            };
            let again = Again::of(&request).filter(|_| reused);
            let too_many = limit_informational(&mut request);
            let until = call.times.until(call.times.first_byte);
            let sent = connection.send(request, &call.origin, &call.path);
            let answered = tokio::select! {
                answered = timeout_at(until, sent) => answered,
                () = too_many.notified() => return Err(Error::HttpProtocolError),
            };
            let mut failed = match answered.map_err(|_| Error::ConnectionReadTimeout)? {
                Ok(answer) => return Ok((connection, answer)),
                Err(failed) => failed,
            };
            let unsent = failed.take_message().filter(|_| reused);
            let again = || again.filter(|_| is_lost(failed.error())).map(Again::request);
            request = unsent.or_else(again).ok_or_else(|| told(failed.error()))?;
        }
    }

    async fn connect(&self, call: &Call) -> Result<Connection, Error> {
        let until = call.times.until(call.times.connect);
        let (tenant, granted) = (&call.tenant, &call.granted);
        let place = timeout_at(until, self.place(&tenant.name)).await.ok().flatten();
        let place = place.ok_or(Error::ConnectionLimitReached)?;
        let addresses = self.resolver.addresses(&call.origin, granted, &tenant.name, until).await?;
        let opened = Connection::open(&call.origin, &addresses, &self.trust, place, until).await?;
        if let Some(another) = opened.another() {
            self.pool.put(&tenant.name, call.origin.clone(), another);
        }
        Ok(opened)
    }

    /// A place for a connection of a tenant. Idle connections make room: the tenant's
    /// own first, then those of the tenant that has most.
    async fn place(&self, tenant: &Arc<str>) -> Option<Place> {
        loop {
            if let Some(place) = self.connections.try_take(tenant) {
                return Some(place);
            }
            if !self.pool.end_oldest(tenant, self.connections.held(tenant)) {
                return self.connections.take(tenant).await;
            }
        }
    }
}

/// Notified when an answer has more heads of status 1xx than it may.
fn limit_informational(request: &mut Request<Sending>) -> Arc<Notify> {
    let too_many = Arc::new(Notify::new());
    let (notify, count) = (too_many.clone(), AtomicUsize::new(0));
    hyper::ext::on_informational(request, move |_| {
        if count.fetch_add(1, Relaxed) >= INFORMATIONAL {
            notify.notify_one();
        }
    });
    too_many
}

/// A request that may be sent twice: it has no body and changes nothing
/// (RFC 9110 section 9.2.1).
struct Again {
    method: Method,
    headers: HeaderMap,
}

impl Again {
    fn of(request: &Request<Sending>) -> Option<Again> {
        let safe = request.method().is_safe() && request.body().is_empty();
        let headers = || request.headers().clone();
        safe.then(|| Again { method: request.method().clone(), headers: headers() })
    }

    fn request(self) -> Request<Sending> {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let mut request = Request::new(Sending::new(body, None, Arc::default()));
        *request.method_mut() = self.method;
        *request.headers_mut() = self.headers;
        request
    }
}
