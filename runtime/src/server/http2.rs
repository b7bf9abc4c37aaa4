//! HTTP/2 on a connection.

use std::io;
use std::pin::pin;

use http::HeaderMap;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::checked::Checked;
use super::connection::{Answers, Begun};
use super::rewound::Rewound;
use super::streams::{Pieces, Streams};
use crate::error::Refusal;

/// Streams of a connection at the same time.
const STREAMS: u32 = 100;

/// What a stream and the connection may have on their way to us, and a stream
/// from us, in bytes.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
const SEND_BUFFER: usize = 64 << 10;

/// Headers of all requests that run on a connection, in bytes as they are kept:
/// they may have been much smaller on their way.
const HEADERS: usize = 1 << 20;

/// Streams that end because of what the client sent that no client may send.
const FAULTS: usize = 100;

/// Serves a connection until it ends.
pub(super) async fn serve<S>(begun: Begun<S>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Begun { stream, before, peer, context, activity, first_head, .. } = begun;
    let limits = &context.shared.limits;
    activity.touch();
    let stream = Rewound::new(stream, before.freeze());
    let io = TokioIo::new(Checked::http2(stream, limits.header_time, first_head));
    let streams = Streams::new(limits.send_time);
    let answers = Answers::new(peer, &context, None);
    let service = service_fn(|request: http::Request<Incoming>| {
        let running = activity.begin(size(request.headers()));
        let refused = (activity.heads() > HEADERS).then_some(Refusal::HeadersTogether(HEADERS));
        let (answering, progress) = (answers.answer(request, running, refused), streams.begin());
        async move { answering.await.map(|answer| answer.map(|body| Pieces::new(body, progress))) }
    });
    let head = limits.headers.saturating_add(limits.uri);
    let connection = http2::Builder::new(streams.clone())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_local_error_reset_streams(FAULTS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(io::Error::other),
        () = activity.told() => {}
        () = activity.quiet(limits.idle_time) => {}
    }
    // GOAWAY; what runs goes on, a client that does not leave is left.
    connection.as_mut().graceful_shutdown();
    activity.touch();
    tokio::select! {
        biased;
        ended = connection.as_mut() => ended.map_err(io::Error::other),
        () = activity.quiet(limits.header_time) => {
            Err(io::Error::other("ended by the server: the client does not leave"))
        }
    }
}

/// The size of headers as they are kept, in bytes, with what each costs beside
/// (RFC 9113 section 6.5.2).
fn size(headers: &HeaderMap) -> usize {
    const EACH: usize = 32;
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + EACH).sum()
}
