//! One connection, in numbered steps: who it is from, whether there is room for
//! it, TLS, and which HTTP it speaks.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use http::Version;
use http::header::{self, HeaderValue};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

use super::activity::{Activity, Arrival, BRIEF, Running, Tracked};
use super::addresses::Addresses;
use super::frames::PREFACE;
use super::memory::{self, Account};
use super::rewound::Rewound;
use super::stream::{Stream, Unsent};
use super::timed::Timed;
use super::{http1, http2, proxy};
use crate::app::{Answering, Shared};
use crate::error::Refusal;
use crate::limits::rate::network;
use crate::observe::Severity;
use crate::peer::{Peer, Tls};
use crate::request::Watch;

/// What connections need to know.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    pub(super) addresses: Arc<Addresses>,
}

/// A connection on which HTTP begins.
pub(super) struct Begun<S> {
    pub(super) stream: S,
    /// What was read of it already.
    pub(super) before: BytesMut,
    pub(super) peer: Peer,
    pub(super) context: Context,
    pub(super) activity: Arc<Activity>,
    /// When the head of the first request must be there.
    pub(super) first_head: Instant,
    pub(super) left: Left,
    pub(super) unsent: Arc<Unsent>,
}

/// Ready once the client has closed its side.
pub(super) type Left = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The memory of a stream without its head, in bytes. Measured: 4.2 KiB while its answer
/// waits.
pub(super) const STREAM: usize = 6 << 10;

/// Room for what a client sends first, in bytes: most requests.
const FIRST_READ: usize = 2_048;

/// Serves a connection until it ends, or until its running requests end once
/// the server is draining.
pub(super) async fn serve(stream: Stream, tls: Option<TlsAcceptor>, context: Context) {
    // Boxed: only a server with a debug log needs this value, and each connection has
    // room for it.
    let log = context.shared.common.server_log.for_debug();
    let told = log.map(|log| Box::new((log, stream.peer().ok().flatten())));
    let ended = try_serve(stream, tls, context).await;
    if let (Err(error), Some((log, remote))) = (ended, told.map(|told| *told)) {
        let remote = remote.map_or("unix".to_owned(), |remote| remote.to_string());
        log.report(Severity::Debug, &format_args!("{remote}: {error}"));
    }
}

async fn try_serve(
    mut stream: Stream,
    tls: Option<TlsAcceptor>,
    context: Context,
) -> io::Result<()> {
    // Borrowed each time: every step would hold a copy, for as long as it lasts.
    let shared = context.shared.clone();
    let limits = &shared.limits;
    // 1. Who is there: a proxy says whom it speaks for.
    let mut address = stream.peer()?;
    let proxies = &shared.started.proxies;
    let trusted = proxies.forwarded.contain(address).then_some(proxies.naming);
    let mut before = BytesMut::with_capacity(FIRST_READ);
    let activity = Activity::new();
    if proxies.protocol.contain(address) {
        let _place = context.addresses.take(None, 0, &activity);
        let named = proxy::read(&mut stream, &mut before);
        let named = activity.in_time(limits.header_time, named).await?;
        address = named.or(address);
    }
    // 2. Whether there is room for one more of its address.
    let counted = address.filter(|_| trusted.is_none());
    let most = limits.client_connections;
    let Some(_place) = context.addresses.take(counted, most, &activity) else {
        return Err(io::Error::other("too many connections from one address"));
    };
    let network = counted.map(|address| network(address.ip()));
    activity.set_account(Account::new(context.addresses.memory(), network));
    context.addresses.make_room();
    let size = memory::PLAIN + if tls.is_some() { memory::TLS } else { 0 };
    let _held = activity.must_hold(size)?;
    stream.prepare(limits.send_time)?;
    let left: Left = Box::pin(stream.left());
    let unsent = Arc::new(stream.unsent());
    let stream = Timed::new(stream, limits.send_time, limits.transfer_rate, activity.clone());
    // 3. TLS, with a deadline of its own. Each step is boxed: what a connection
    //    needs for a step is not kept while it waits in the next.
    let first_head = || Instant::now() + limits.header_time;
    let Some(tls) = tls else {
        let peer = Peer { address, tls: None, trusted };
        let first_head = first_head();
        let begun = Begun { stream, before, peer, context, activity, first_head, left, unsent };
        return Box::pin(by_first_bytes(begun, true)).await;
    };
    let stream = Rewound::new(stream, before.freeze());
    let handshake = Box::pin(activity.in_time(limits.handshake_time, tls.accept(stream)));
    let stream = Box::new(handshake.await?);
    let (_, session) = stream.get_ref();
    let server_name = session.server_name().map(str::to_ascii_lowercase);
    let protocol = session.alpn_protocol().map(<[u8]>::to_vec);
    let peer = Peer { address, tls: Some(Tls { server_name }), trusted };
    // 4. HTTP, by the protocol that was agreed on, or by the first bytes.
    let http2 = protocol.as_deref() == Some(b"h2");
    let before = BytesMut::with_capacity(if http2 { 0 } else { FIRST_READ });
    let first_head = first_head();
    let begun = Begun { stream, before, peer, context, activity, first_head, left, unsent };
    match http2 {
        true => Box::pin(http2::serve(begun)).await,
        false => Box::pin(by_first_bytes(begun, protocol.is_none())).await,
    }
}

/// Serves HTTP/2 to clients that start with its preface (RFC 9113 section 3.3)
/// where they may, else HTTP/1.1.
async fn by_first_bytes<S>(mut begun: Begun<S>, may_be_http2: bool) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Begun { stream, before, activity, context, .. } = &mut begun;
    let first = async {
        // One byte is enough to tell that it is no preface.
        while before.is_empty()
            || may_be_http2 && before.len() < PREFACE.len() && PREFACE.starts_with(before)
        {
            if stream.read_buf(before).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    activity.in_time(context.shared.limits.header_time, first).await?;
    match may_be_http2 && begun.before.starts_with(PREFACE) {
        true => Box::pin(http2::serve(begun)).await,
        false => Box::pin(http1::serve(begun)).await,
    }
}

impl Activity {
    /// Takes a step before the first request: in its time, and in less once the
    /// connection is to end.
    async fn in_time<T>(
        &self,
        time: Duration,
        step: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let told = async {
            self.told().await;
            sleep(BRIEF).await;
        };
        tokio::select! {
            taken = step => taken,
            () = sleep(time) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the connection is too slow"))
            }
            () = told => Err(io::Error::other("ended by the server: nothing came in time")),
        }
    }
}

/// Answers the requests of a connection.
pub(super) struct Answers {
    peer: Peer,
    shared: Arc<Shared>,
    unsent: Option<Arc<Unsent>>,
}

/// A request's answer, followed until it is sent.
pub(super) struct Answer {
    answering: Answering,
    unsent: Option<Arc<Unsent>>,
    running: Option<Running>,
    /// Of HTTP/1.1: it may say that it is the connection's last.
    may_be_last: bool,
}

impl Answers {
    pub(super) fn new(peer: Peer, context: &Context, unsent: Option<Arc<Unsent>>) -> Answers {
        Answers { peer, shared: context.shared.clone(), unsent }
    }

    /// A request that could not be read was answered so.
    pub(super) fn note_refused(&self, refusal: &Refusal) {
        self.shared.note_refused(&self.peer, refusal);
    }

    /// Answers a request, or refuses it for what is known of it already.
    pub(super) fn answer(
        &self,
        request: http::Request<Incoming>,
        running: Running,
        refused: Option<Refusal>,
        arrival: Option<Arrival>,
    ) -> Answer {
        let may_be_last = request.version() != Version::HTTP_2;
        let watch = arrival.map(|arrival| Box::new(arrival) as Box<dyn Watch>);
        let answering = self.shared.handle(request, &self.peer, refused, watch);
        let running = if answering.is_of_app() { running.of_app() } else { running };
        Answer { answering, unsent: self.unsent.clone(), running: Some(running), may_be_last }
    }
}

impl Future for Answer {
    type Output = Result<http::Response<Tracked>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let mut answer = ready!(Pin::new(&mut self.answering).poll(cx));
        if let Some(unsent) = &self.unsent {
            unsent.fit(answer.body().is_of_guest());
        }
        let mut running = self.running.take();
        if answer.body().has_no_head() {
            running.iter_mut().for_each(|running| running.forget_head(STREAM));
        }
        if self.may_be_last && running.as_ref().is_some_and(Running::is_last) {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(answer.map(|body| Tracked::new(body, running))))
    }
}
