//! A request's body that is read while it arrives: bounded, and no slower than
//! its client may be.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};

use super::Request;
use super::payload::Arriving;
use crate::error::Refusal;
use crate::limits::Limits;
use crate::server::GRACE;

/// A body that is read while it arrives. What is not read stays with the client.
pub(crate) struct Upload {
    body: Arriving,
    /// Told what was read.
    request: Arc<Request>,
    had: usize,
    most: usize,
    pace: Pace,
    /// Told why the rest is not read.
    refused: Option<oneshot::Sender<Refusal>>,
}

/// How long the client has kept its reader waiting: the time in which nobody
/// reads is not the client's.
struct Pace {
    /// The least that it sends, in bytes a second.
    rate: usize,
    most: Duration,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Upload {
    pub(super) fn new(
        body: Arriving,
        limits: &Limits,
        request: Arc<Request>,
    ) -> (Upload, oneshot::Receiver<Refusal>) {
        let (refused, refusal) = oneshot::channel();
        let pace = Pace {
            rate: limits.transfer_rate,
            most: limits.body_time,
            waited: Duration::ZERO,
            waiting: None,
        };
        let refused = Some(refused);
        (Upload { body, request, had: 0, most: limits.body, pace, refused }, refusal)
    }

    fn refuse<T>(&mut self, refusal: Refusal) -> Poll<Option<io::Result<T>>> {
        let error = io::Error::other(refusal.to_string());
        if let Some(refused) = self.refused.take() {
            // Nobody listens any more once the answer has begun.
            let _ = refused.send(refusal);
        }
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let upload = &mut *self;
        if upload.refused.is_none() {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut upload.body).poll_frame(cx);
        if polled.is_pending() {
            ready!(upload.pace.poll_late(upload.had, cx));
            return upload.refuse(Refusal::BodyTooSlow);
        }
        upload.pace.came();
        match ready!(polled) {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                upload.had += length;
                upload.request.spent.add_received(length);
                if upload.had > upload.most {
                    return upload.refuse(Refusal::BodyTooLarge(upload.most));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(_)) => upload.refuse(Refusal::BodyBroken),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Pace {
    /// Ready when the client has been too slow with the rest.
    fn poll_late(&mut self, had: usize, cx: &mut Context<'_>) -> Poll<()> {
        // What is there has had its time.
        let earned = Duration::try_from_secs_f64(had as f64 / self.rate as f64);
        let earned = GRACE.saturating_add(earned.unwrap_or(Duration::MAX));
        let left = earned.min(self.most).saturating_sub(self.waited);
        let (_, late) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        late.as_mut().poll(cx)
    }

    fn came(&mut self) {
        if let Some((since, _)) = self.waiting.take() {
            self.waited += since.elapsed();
        }
    }
}
