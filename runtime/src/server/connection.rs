//! One connection, in numbered steps.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Version;
use http::header::{self, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::activity::{Activity, Quiet, Tracked};
use super::addresses::Addresses;
use super::checked::Checked;
use super::frames::PREFACE;
use super::proxy;
use super::stream::Stream;
use super::timed::Timed;
use crate::app::Shared;
use crate::limits::Limits;
use crate::peer::{Peer, Tls};

/// What connections need to know.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    pub(super) addresses: Arc<Addresses>,
    pub(super) draining: watch::Receiver<bool>,
}

/// How long a connection that is not used stays open when the server drains: a
/// request may be on its way.
const DRAIN_IDLE: Duration = Duration::from_secs(1);

/// Streams of an HTTP/2 connection at the same time.
const STREAMS: u32 = 100;

/// What an HTTP/2 stream and connection may have on their way to us, and a
/// stream from us, in bytes.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
const SEND_BUFFER: usize = 64 << 10;

/// Serves a connection until it ends, or until its running requests end once
/// the server is draining.
pub(super) async fn serve(stream: Stream, tls: Option<TlsAcceptor>, context: Context) {
    let remote = stream.peer().ok().flatten();
    if let Err(error) = try_serve(stream, tls, context).await {
        let remote = remote.map_or("unix".to_owned(), |remote| remote.to_string());
        tracing::debug!("{remote}: {error}");
    }
}

/// Each stage is a box of its own: all of them together, of which one is used, are
/// larger than what a connection needs while it waits.
async fn try_serve(
    mut stream: Stream,
    tls: Option<TlsAcceptor>,
    context: Context,
) -> io::Result<()> {
    let limits = context.shared.limits.clone();
    // 1. Who is there: a proxy says whom it speaks for.
    let mut address = stream.peer()?;
    let proxies = &context.shared.proxies;
    let trusted = proxies.forwarded.contain(address);
    let mut before = BytesMut::with_capacity(FIRST_READ);
    if proxies.protocol.contain(address) {
        let named = proxy::read(&mut stream, &mut before);
        let named = in_time(limits.header_time, named).await?;
        address = named.or(address);
    }
    // 2. Whether there is room for one more of its address.
    let counted = address.filter(|_| !trusted);
    let Some(_place) = context.addresses.take(counted, limits.client_connections) else {
        return Err(io::Error::other("too many connections from one address"));
    };
    // 3. TLS, with a deadline of its own.
    let Some(tls) = tls else {
        // Answers are written whole; waiting for more to send only delays them.
        set_nodelay(&stream)?;
        let peer = Peer { address, tls: None, trusted };
        return Box::pin(sniff(stream, before, peer, context, &limits)).await;
    };
    set_nodelay(&stream)?;
    let stream = Timed::new(stream, before.freeze(), limits.send_time, 0);
    let handshake = Box::pin(in_time(limits.handshake_time, tls.accept(stream)));
    let stream = Box::new(handshake.await?);
    let (_, session) = stream.get_ref();
    let server_name = session.server_name().map(str::to_ascii_lowercase);
    let http2 = session.alpn_protocol() == Some(b"h2");
    let peer = Peer { address, tls: Some(Tls { server_name }), trusted };
    // 4. HTTP, by the protocol that was agreed on, or by the first bytes.
    if http2 {
        return Box::pin(serve_http2(stream, Bytes::new(), peer, context, &limits)).await;
    }
    let before = BytesMut::with_capacity(FIRST_READ);
    Box::pin(sniff(stream, before, peer, context, &limits)).await
}

/// Room for what a client sends first, in bytes: most requests.
const FIRST_READ: usize = 2_048;

fn set_nodelay(stream: &Stream) -> io::Result<()> {
    match stream {
        Stream::Tcp(stream) => stream.set_nodelay(true),
        Stream::Unix(_) => Ok(()),
    }
}

/// Serves HTTP/2 to clients that start with its preface (RFC 9113 section 3.3),
/// else HTTP/1.1.
async fn sniff<S>(
    mut stream: S,
    mut before: BytesMut,
    peer: Peer,
    context: Context,
    limits: &Limits,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let first = async {
        while before.len() < PREFACE.len() && PREFACE.starts_with(&before) {
            if stream.read_buf(&mut before).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    in_time(limits.header_time, first).await?;
    let before = before.freeze();
    if before.starts_with(PREFACE) {
        return Box::pin(serve_http2(stream, before, peer, context, limits)).await;
    }
    Box::pin(serve_http1(stream, before, peer, context, limits)).await
}

async fn serve_http1<S>(
    stream: S,
    before: Bytes,
    peer: Peer,
    context: Context,
    limits: &Limits,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let timed = Timed::new(stream, before, limits.send_time, limits.transfer_rate);
    let io = TokioIo::new(Checked::http1(timed, limits.header_time));
    let activity = Activity::new();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_time)
        .max_headers(limits.header_count)
        // The request line stands in the same buffer.
        .max_buf_size(limits.headers.saturating_add(limits.uri).max(MIN_BUFFER))
        .serve_connection(io, service_fn(answer(peer, &context, &activity)));
    let mut connection = pin!(connection);
    let mut draining = context.draining;
    let mut stop = pin!(async {
        drop(draining.wait_for(|draining| *draining).await);
        activity.quiet(DRAIN_IDLE, Duration::MAX).await
    });
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = &mut stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    ended.map_err(io::Error::other)
}

async fn serve_http2<S>(
    stream: S,
    before: Bytes,
    peer: Peer,
    context: Context,
    limits: &Limits,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let timed = Timed::new(stream, before, limits.send_time, limits.transfer_rate);
    let io = TokioIo::new(Checked::http2(timed));
    let activity = Activity::new();
    let head = limits.headers.saturating_add(limits.uri);
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .serve_connection(io, service_fn(answer(peer, &context, &activity)));
    let mut connection = pin!(connection);
    let mut draining = context.draining;
    let stop = async {
        tokio::select! {
            _ = draining.wait_for(|draining| *draining) => Quiet::Idle,
            quiet = activity.quiet(limits.idle_time, limits.send_time) => quiet,
        }
    };
    let quiet = tokio::select! {
        ended = connection.as_mut() => return ended.map_err(io::Error::other),
        quiet = stop => quiet,
    };
    if quiet == Quiet::Stalled {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no answer"));
    }
    // GOAWAY; what runs goes on, a client that does not leave is left.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection.as_mut() => ended.map_err(io::Error::other),
        quiet = activity.quiet(limits.header_time, limits.send_time) => {
            Err(io::Error::other(format!("ended by the server: {quiet:?}")))
        }
    }
}

/// hyper's smallest buffer, in bytes (it panics below it).
const MIN_BUFFER: usize = 8_192;

type Answering = Pin<Box<dyn Future<Output = Result<http::Response<Tracked>, Infallible>> + Send>>;

/// Answers the requests of a connection, and follows them.
fn answer(
    peer: Peer,
    context: &Context,
    activity: &Arc<Activity>,
) -> impl Fn(http::Request<Incoming>) -> Answering + use<> {
    let peer = Arc::new(peer);
    let (shared, activity) = (context.shared.clone(), activity.clone());
    let draining = context.draining.clone();
    move |request| {
        let (shared, peer, draining) = (shared.clone(), peer.clone(), draining.clone());
        let running = activity.begin();
        Box::pin(async move {
            let http1 = request.version() != Version::HTTP_2;
            let mut answer = shared.handle(request, peer).await;
            if http1 && *draining.borrow() {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(header::CONNECTION, close);
            }
            Ok(answer.map(|body| Tracked::new(body, running)))
        })
    }
}

async fn in_time<T>(time: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the connection is too slow");
    timeout(time, step).await.map_err(late)?
}
