//! HTTP/2 on a connection.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use http::{HeaderMap, Request};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::activity::Activity;
use super::checked::Checked;
use super::connection::{Answer, Answers, Begun, STREAM};
use super::frames::FIELD;
use super::memory;
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
    let _held = activity.must_hold(memory::HTTP2)?;
    let io = TokioIo::new(Checked::http2(stream, limits, first_head, activity.clone()));
    let streams = Streams::new(limits.send_time);
    let answers = Answers::new(peer, &context, None);
    let service = service_fn(|request: Request<Incoming>| {
        let progress = streams.begin();
        let answering = answers.of_http2(request, &activity);
        if answering.is_none() {
            context.addresses.make_room();
        }
        async move {
            // The client may ask again (RFC 9113 section 8.7).
            let answering = answering.ok_or_else(|| h2::Error::from(h2::Reason::REFUSED_STREAM))?;
            let Ok(answer) = answering.await;
            Ok::<_, h2::Error>(answer.map(|body| Pieces::new(body, progress)))
        }
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
    activity.check_killed()?;
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

impl Answers {
    /// Answers a request; `None` if there is no memory for its head, its stream and
    /// its body.
    fn of_http2(&self, request: Request<Incoming>, activity: &Arc<Activity>) -> Option<Answer> {
        let (uri, headers) = (request.uri(), request.headers());
        let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
        let kept = size(headers);
        let head = kept + headers.len() * (FIELD - EACH) + target;
        let held = activity.hold(STREAM + head)?;
        let arrival = match request.body().is_end_stream() {
            true => None,
            false => {
                let (window, most) = (STREAM_WINDOW as usize, CONNECTION_WINDOW as usize);
                Some(activity.arrive(request.body(), window, most)?)
            }
        };
        let running = activity.begin(kept).holding(held);
        let refused = (activity.heads() > HEADERS).then_some(Refusal::HeadersTogether(HEADERS));
        Some(self.answer(request, running, refused, arrival))
    }
}

/// A field beside its text, as it is counted for a connection, in bytes.
const EACH: usize = 32;

/// The size of headers as they are kept, in bytes, with what each costs beside
/// (RFC 9113 section 6.5.2).
fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + EACH).sum()
}
