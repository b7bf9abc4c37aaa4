//! The body of another server's answer while a guest reads it: within its times,
//! and back to the pool with its connection only if it ended as it should.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use wasmtime_wasi_http::Error;

use super::connection::Connection;
use super::pool::Pool;
use crate::config::origins::Origin;
use crate::wasm::check_trailers;

/// A body that arrives. What is not read stays with its server.
pub(super) struct Answer {
    body: Incoming,
    /// When all must be there.
    until: Instant,
    /// The longest pause.
    between: Duration,
    late: Option<Pin<Box<Sleep>>>,
    /// Told how the body has ended; then the connection is idle, or of no more use.
    ended: Option<oneshot::Sender<bool>>,
    over: bool,
}

/// What an answer holds until it has ended.
pub(super) struct Held {
    pub(super) connection: Connection,
    pub(super) pool: Arc<Pool>,
    pub(super) tenant: Arc<str>,
    pub(super) origin: Origin,
    pub(super) slot: OwnedSemaphorePermit,
}

impl Answer {
    pub(super) fn new(body: Incoming, until: Instant, between: Duration, held: Held) -> Answer {
        let (ended, told) = oneshot::channel();
        tokio::spawn(held.wait(until, told));
        let mut answer =
            Answer { body, until, between, late: None, ended: Some(ended), over: false };
        if answer.body.is_end_stream() {
            answer.end(true);
        }
        answer
    }

    fn end(&mut self, is_whole: bool) {
        self.over = true;
        if let Some(ended) = self.ended.take() {
            // Nobody waits any more once the time is over.
            let _ = ended.send(is_whole);
        }
    }

    /// What came cannot be used, nor what could come behind it.
    fn fail<T>(&mut self, error: Error) -> Poll<Option<Result<T, Error>>> {
        self.end(false);
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let answer = &mut *self;
        if answer.over {
            return Poll::Ready(None);
        }
        loop {
            let polled = Pin::new(&mut answer.body).poll_frame(cx);
            let now = Instant::now();
            if now >= answer.until && !matches!(polled, Poll::Ready(None)) {
                return answer.fail(Error::HttpResponseTimeout);
            }
            if polled.is_pending() {
                let until = now.checked_add(answer.between).unwrap_or(answer.until);
                let late = || Box::pin(sleep_until(until.min(answer.until)));
                ready!(answer.late.get_or_insert_with(late).as_mut().poll(cx));
                return answer.fail(Error::ConnectionReadTimeout);
            }
            answer.late = None;
            match ready!(polled) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if bytes.is_empty() => {}
                    Ok(bytes) => {
                        // A guest need not ask for the end that is there already.
                        if answer.body.is_end_stream() {
                            answer.end(true);
                        }
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                    Err(frame) => {
                        let mut trailers = frame.into_trailers().unwrap_or_default();
                        if check_trailers(&mut trailers).is_err() {
                            return answer.fail(Error::HttpResponseTrailerSectionSize(None));
                        }
                        answer.end(true);
                        return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                    }
                },
                Some(Err(_)) => return answer.fail(Error::HttpResponseIncomplete),
                None => {
                    answer.end(true);
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }

    fn size_hint(&self) -> SizeHint {
        if self.over { SizeHint::with_exact(0) } else { self.body.size_hint() }
    }
}

impl Held {
    /// Keeps all until the body has ended, or nobody reads it any more, and no longer
    /// than until its time is over: a guest may have an answer that it does not read.
    async fn wait(self, until: Instant, ended: oneshot::Receiver<bool>) {
        let Held { mut connection, pool, tenant, origin, slot } = self;
        match timeout_at(until, ended).await {
            Ok(Ok(true)) => {}
            Ok(Err(_)) => return,
            Ok(Ok(false)) | Err(_) => return pool.forget(&tenant, &origin),
        }
        // The request's own body may still be on its way.
        let ready = timeout_at(until, connection.ready()).await;
        drop(slot);
        if ready == Ok(true) {
            pool.put(&tenant, origin, connection);
        }
    }
}
