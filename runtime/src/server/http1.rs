//! HTTP/1.1 on a connection.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::timeout;

use super::activity::{Activity, BRIEF};
use super::checked::Checked;
use super::connection::{Answer, Answers, Begun};
use super::rewound::Rewound;
use crate::error::Refusal;
use crate::limits::Limits;

/// hyper's smallest buffer, in bytes (it panics below it).
const MIN_BUFFER: usize = 8_192;

/// What is read of a body before its reader wants it, in bytes.
const BODY: usize = 64 << 10;

/// How long a client may still send what nobody reads any more.
const LINGER: Duration = Duration::from_secs(2);

/// What is read of that at once, in bytes.
const LINGER_READ: usize = 16 << 10;

/// Serves a connection until it ends.
pub(super) async fn serve<S>(begun: Begun<S>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Begun { stream, before, peer, context, activity, first_head, left, unsent } = begun;
    let limits = &context.shared.limits;
    activity.touch();
    let stream = Rewound::new(stream, before.freeze());
    let checked = Checked::http1(stream, limits, first_head, activity.clone());
    let answers = Answers::new(peer, &context, Some(unsent));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // `checked` has the deadlines.
        .header_read_timeout(None)
        // A client that has closed its side may wait for its answer; whether it
        // does, `abandoned` decides.
        .half_close(true)
        .max_headers(limits.header_count)
        // The request line stands in the same buffer.
        .max_buf_size(limits.headers.saturating_add(limits.uri).max(MIN_BUFFER))
        .serve_connection(
            TokioIo::new(checked),
            service_fn(|request| answers.of_http1(request, &activity)),
        );
    let mut stop = pin!(async {
        activity.told().await;
        activity.quiet(BRIEF).await;
    });
    // hyper does not look for the end while there are bytes that it does not want
    // yet, such as the next request.
    let mut abandoned = pin!(activity.abandoned(left));
    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            // First: a request that is there is answered.
            biased;
            ended = &mut connection => break ended,
            () = &mut abandoned => return Err(io::Error::other("the client has left")),
            () = &mut stop, if !stopping => stopping = true,
        }
        activity.check_killed()?;
        Pin::new(&mut connection).graceful_shutdown();
    };
    // What hyper could not read it has answered; anything else broke off.
    match ended {
        Ok(()) => {}
        Err(error) if error.is_parse() => answers.note_refused(&refusal(&error, limits)),
        Err(error) => return Err(io::Error::other(error)),
    }
    let parts = connection.into_parts();
    let checked = parts.io.into_inner();
    if !parts.read_buf.is_empty() || checked.is_within_request() {
        linger(checked.into_stream()).await;
    }
    Ok(())
}

impl Answers {
    /// Answers a request, with memory for its body while that arrives.
    fn of_http1(&self, request: http::Request<Incoming>, activity: &Arc<Activity>) -> Answer {
        let (mut arrival, mut refused) = (None, None);
        if !request.body().is_end_stream() {
            arrival = activity.arrive(request.body(), BODY, BODY);
            refused = arrival.is_none().then_some(Refusal::ConnectionMemory);
        }
        self.answer(request, activity.begin(0), refused, arrival)
    }
}

/// What hyper found wrong with a head.
fn refusal(error: &hyper::Error, limits: &Limits) -> Refusal {
    if !error.is_parse_too_large() {
        return Refusal::BadRequest("the head cannot be read");
    }
    // hyper tells these two apart in words only.
    match error.to_string().contains("URI") {
        true => Refusal::UriTooLong(limits.uri),
        false => Refusal::HeadersTooLarge(limits.headers),
    }
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
