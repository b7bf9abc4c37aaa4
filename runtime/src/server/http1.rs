//! HTTP/1.1 on a connection.

use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::timeout;

use super::activity::Activity;
use super::checked::Checked;
use super::connection::{Answers, Begun, DRAIN_IDLE};
use super::rewound::Rewound;

/// hyper's smallest buffer, in bytes (it panics below it).
const MIN_BUFFER: usize = 8_192;

/// How long a client may still send what nobody reads any more.
const LINGER: Duration = Duration::from_secs(2);

/// What is read of that at once, in bytes.
const LINGER_READ: usize = 16 << 10;

/// Serves a connection until it ends.
pub(super) async fn serve<S>(begun: Begun<S>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Begun { stream, before, peer, context, limits, first_head } = begun;
    let activity = Activity::new();
    let stream = Rewound::new(stream, before);
    let checked = Checked::http1(stream, &limits, first_head, activity.clone());
    let answers = Answers::new(peer, &context);
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // `checked` has the deadlines.
        .header_read_timeout(None)
        .max_headers(limits.header_count)
        // The request line stands in the same buffer.
        .max_buf_size(limits.headers.saturating_add(limits.uri).max(MIN_BUFFER))
        .serve_connection(
            TokioIo::new(checked),
            service_fn(|request| answers.answer(request, activity.begin(0), None)),
        );
    let mut draining = context.draining;
    let mut stop = pin!(async {
        drop(draining.wait_for(|draining| *draining).await);
        activity.quiet(DRAIN_IDLE).await;
    });
    let ended = tokio::select! {
        // First: a request that is there is answered.
        biased;
        ended = &mut connection => Some(ended),
        () = &mut stop => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    // What hyper could not read it has answered; anything else broke off.
    match ended {
        Err(error) if !error.is_parse() => return Err(io::Error::other(error)),
        _ => {}
    }
    let parts = connection.into_parts();
    let checked = parts.io.into_inner();
    if !parts.read_buf.is_empty() || checked.is_within_request() {
        linger(checked.into_stream()).await;
    }
    Ok(())
}

/// Throws away what a client still sends, for a while: if the connection were
/// closed at once, the system would answer with a reset, on which clients lose
/// the last answer (RFC 9112 section 9.6).
async fn linger(mut stream: impl AsyncRead + Unpin) {
    let mut buffer = vec![0; LINGER_READ];
    let read = async { while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {} };
    // Too late, or broken off: it has ended one way or the other.
    let _ = timeout(LINGER, read).await;
}
