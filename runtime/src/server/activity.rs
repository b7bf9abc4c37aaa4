//! What goes on on a connection: when it may be ended.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep};

use crate::body::Observed;

/// What goes on on a connection.
pub(super) struct Activity {
    started: Instant,
    /// Requests from their heads to the ends of their answers.
    running: AtomicUsize,
    /// Answers that are being sent, and wait for nobody but their clients.
    sending: AtomicUsize,
    /// When something happened last, in milliseconds after the start.
    last: AtomicU64,
}

/// Why a connection may be ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Quiet {
    /// Nobody waits for anything.
    Idle,
    /// A client takes none of its answers.
    Stalled,
}

/// A request, from its head to the end of its answer.
pub(super) struct Running(Arc<Activity>);

impl Activity {
    pub(super) fn new() -> Arc<Activity> {
        Arc::new(Activity {
            started: Instant::now(),
            running: AtomicUsize::new(0),
            sending: AtomicUsize::new(0),
            last: AtomicU64::new(0),
        })
    }

    /// A request began.
    pub(super) fn begin(self: &Arc<Activity>) -> Running {
        self.touch();
        self.running.fetch_add(1, Relaxed);
        Running(self.clone())
    }

    /// Ready once nothing has run for `idle`, or no answer went on for `stalled`.
    pub(super) async fn quiet(&self, idle: Duration, stalled: Duration) -> Quiet {
        let look = (idle.min(stalled) / 4).max(Duration::from_millis(10));
        loop {
            let last = Duration::from_millis(self.last.load(Relaxed));
            let quiet = self.started.elapsed().saturating_sub(last);
            if self.running.load(Relaxed) == 0 && quiet >= idle {
                return Quiet::Idle;
            }
            if self.sending.load(Relaxed) > 0 && quiet >= stalled {
                return Quiet::Stalled;
            }
            sleep(look).await;
        }
    }

    fn touch(&self) {
        let now = self.started.elapsed().as_millis();
        self.last.store(u64::try_from(now).unwrap_or(u64::MAX), Relaxed);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.touch();
        self.0.running.fetch_sub(1, Relaxed);
    }
}

/// An answer's body, whose way is followed.
pub(super) struct Tracked {
    body: Observed,
    running: Running,
    /// Whether it is counted among those that are sent: what a guest has yet to
    /// make is not kept waiting by the client.
    sending: bool,
}

impl Tracked {
    pub(super) fn new(body: Observed, running: Running) -> Tracked {
        running.0.touch();
        running.0.sending.fetch_add(1, Relaxed);
        Tracked { body, running, sending: true }
    }

    fn set_sending(&mut self, sending: bool) {
        let count = &self.running.0.sending;
        match (self.sending, sending) {
            (false, true) => count.fetch_add(1, Relaxed),
            (true, false) => count.fetch_sub(1, Relaxed),
            _ => return,
        };
        self.sending = sending;
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.set_sending(false);
    }
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.running.0.touch();
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.set_sending(polled.is_ready());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
