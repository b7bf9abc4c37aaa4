//! One connection, in numbered steps: who it is from, whether there is room for
//! it, TLS, and which HTTP it speaks.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Version;
use http::header::{self, HeaderValue};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

use super::activity::{Running, Tracked};
use super::addresses::Addresses;
use super::frames::PREFACE;
use super::rewound::Rewound;
use super::stream::Stream;
use super::timed::Timed;
use super::{http1, http2, proxy};
use crate::app::{Answering, Shared};
use crate::error::Refusal;
use crate::limits::Limits;
use crate::peer::{Peer, Tls};

/// What connections need to know.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    pub(super) addresses: Arc<Addresses>,
    pub(super) draining: watch::Receiver<bool>,
}

/// A connection on which HTTP begins.
pub(super) struct Begun<S> {
    pub(super) stream: S,
    /// What was read of it already.
    pub(super) before: Bytes,
    pub(super) peer: Peer,
    pub(super) context: Context,
    pub(super) limits: Limits,
    /// When the head of the first request must be there.
    pub(super) first_head: Instant,
}

/// How long a connection that is not used stays open when the server drains: a
/// request may be on its way.
pub(super) const DRAIN_IDLE: Duration = Duration::from_secs(1);

/// Room for what a client sends first, in bytes: most requests.
const FIRST_READ: usize = 2_048;

/// Serves a connection until it ends, or until its running requests end once
/// the server is draining.
pub(super) async fn serve(stream: Stream, tls: Option<TlsAcceptor>, context: Context) {
    let remote = stream.peer().ok().flatten();
    if let Err(error) = try_serve(stream, tls, context).await {
        let remote = remote.map_or("unix".to_owned(), |remote| remote.to_string());
        tracing::debug!("{remote}: {error}");
    }
}

async fn try_serve(
    mut stream: Stream,
    tls: Option<TlsAcceptor>,
    context: Context,
) -> io::Result<()> {
    let limits = context.shared.limits.clone();
    // 1. Who is there: a proxy says whom it speaks for.
    let mut address = stream.peer()?;
    let proxies = &context.shared.started.proxies;
    let trusted = proxies.forwarded.contain(address);
    let mut before = BytesMut::with_capacity(FIRST_READ);
    if proxies.protocol.contain(address) {
        let named = proxy::read(&mut stream, &mut before);
        let named = context.in_time(limits.header_time, named).await?;
        address = named.or(address);
    }
    // 2. Whether there is room for one more of its address.
    let counted = address.filter(|_| !trusted);
    let Some(_place) = context.addresses.take(counted, limits.client_connections) else {
        return Err(io::Error::other("too many connections from one address"));
    };
    stream.prepare(limits.send_time)?;
    let stream = Timed::new(stream, limits.send_time, limits.transfer_rate);
    // 3. TLS, with a deadline of its own. Each step is boxed: what a connection
    //    needs for a step is not kept while it waits in the next.
    let Some(tls) = tls else {
        let peer = Peer { address, tls: None, trusted };
        return Box::pin(by_first_bytes(stream, before, true, peer, context, limits)).await;
    };
    let stream = Rewound::new(stream, before.freeze());
    let handshake = Box::pin(context.in_time(limits.handshake_time, tls.accept(stream)));
    let stream = Box::new(handshake.await?);
    let (_, session) = stream.get_ref();
    let server_name = session.server_name().map(str::to_ascii_lowercase);
    let protocol = session.alpn_protocol().map(<[u8]>::to_vec);
    let peer = Peer { address, tls: Some(Tls { server_name }), trusted };
    // 4. HTTP, by the protocol that was agreed on, or by the first bytes.
    if protocol.as_deref() == Some(b"h2") {
        let (before, first_head) = (Bytes::new(), Instant::now() + limits.header_time);
        let begun = Begun { stream, before, peer, context, limits, first_head };
        return Box::pin(http2::serve(begun)).await;
    }
    let before = BytesMut::with_capacity(FIRST_READ);
    Box::pin(by_first_bytes(stream, before, protocol.is_none(), peer, context, limits)).await
}

/// Serves HTTP/2 to clients that start with its preface (RFC 9113 section 3.3)
/// where they may, else HTTP/1.1.
async fn by_first_bytes<S>(
    mut stream: S,
    mut before: BytesMut,
    may_be_http2: bool,
    peer: Peer,
    context: Context,
    limits: Limits,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let first_head = Instant::now() + limits.header_time;
    let first = async {
        // One byte is enough to tell that it is no preface.
        while before.is_empty()
            || may_be_http2 && before.len() < PREFACE.len() && PREFACE.starts_with(&before)
        {
            if stream.read_buf(&mut before).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    context.in_time(limits.header_time, first).await?;
    let before = before.freeze();
    let http2 = may_be_http2 && before.starts_with(PREFACE);
    let begun = Begun { stream, before, peer, context, limits, first_head };
    match http2 {
        true => Box::pin(http2::serve(begun)).await,
        false => Box::pin(http1::serve(begun)).await,
    }
}

impl Context {
    /// Takes a step before the first request: in its time, and in less once the
    /// server drains.
    async fn in_time<T>(
        &self,
        time: Duration,
        step: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let mut draining = self.draining.clone();
        let drained = async {
            drop(draining.wait_for(|draining| *draining).await);
            sleep(DRAIN_IDLE).await;
        };
        tokio::select! {
            taken = step => taken,
            () = sleep(time) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the connection is too slow"))
            }
            () = drained => Err(io::Error::other("ended by the server: it stops")),
        }
    }
}

/// Answers the requests of a connection.
pub(super) struct Answers {
    peer: Peer,
    shared: Arc<Shared>,
    draining: watch::Receiver<bool>,
}

/// A request's answer, followed until it is sent.
pub(super) struct Answer {
    answering: Answering,
    running: Option<Running>,
    /// Of HTTP/1.1: an answer may say that it is the connection's last.
    closing: Option<Arc<Answers>>,
}

impl Answers {
    pub(super) fn new(peer: Peer, context: &Context) -> Arc<Answers> {
        let (shared, draining) = (context.shared.clone(), context.draining.clone());
        Arc::new(Answers { peer, shared, draining })
    }

    /// Answers a request, or refuses it for what is known of it already.
    pub(super) fn answer(
        self: &Arc<Self>,
        request: http::Request<Incoming>,
        running: Running,
        refused: Option<Refusal>,
    ) -> Answer {
        let http1 = request.version() != Version::HTTP_2;
        let answering = self.shared.handle(request, &self.peer, refused);
        Answer { answering, running: Some(running), closing: http1.then(|| self.clone()) }
    }
}

impl Future for Answer {
    type Output = Result<http::Response<Tracked>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let mut answer = ready!(Pin::new(&mut self.answering).poll(cx));
        if self.closing.as_ref().is_some_and(|answers| *answers.draining.borrow()) {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let running = self.running.take();
        Poll::Ready(Ok(answer.map(|body| Tracked::new(body, running))))
    }
}
