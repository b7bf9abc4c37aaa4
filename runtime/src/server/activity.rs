//! What goes on on a connection: when it may be ended.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::sleep;

use crate::body::Observed;
use crate::coarse;

/// What goes on on a connection.
pub(super) struct Activity {
    /// By [`coarse::now`].
    started: Duration,
    /// Requests from their heads to the ends of their answers.
    running: AtomicUsize,
    /// The headers of those, in bytes.
    heads: AtomicUsize,
    /// Whether a part of a request's head is there, and not all of it.
    head_begun: AtomicBool,
    /// When something happened last, in milliseconds after the start.
    last: AtomicU64,
}

/// A request, from its head to the end of its answer.
pub(super) struct Running {
    activity: Arc<Activity>,
    head: usize,
}

impl Activity {
    pub(super) fn new() -> Arc<Activity> {
        Arc::new(Activity {
            started: coarse::now(),
            running: AtomicUsize::new(0),
            heads: AtomicUsize::new(0),
            head_begun: AtomicBool::new(false),
            last: AtomicU64::new(0),
        })
    }

    /// A request began, with so many bytes of headers.
    pub(super) fn begin(self: &Arc<Activity>, head: usize) -> Running {
        self.running.fetch_add(1, Relaxed);
        self.heads.fetch_add(head, Relaxed);
        Running { activity: self.clone(), head }
    }

    /// The headers of all requests that run, in bytes.
    pub(super) fn heads(&self) -> usize {
        self.heads.load(Relaxed)
    }

    /// Tells whether a part of a request's head is there, and not all of it.
    pub(super) fn set_head_begun(&self, begun: bool) {
        self.head_begun.store(begun, Relaxed);
    }

    /// Ready once nothing has run for so long.
    pub(super) async fn quiet(&self, idle: Duration) {
        loop {
            let quiet = self.quiet_for();
            if quiet >= idle {
                return;
            }
            // What runs may end now at the earliest.
            sleep(idle - quiet).await;
        }
    }

    /// How long nothing has run.
    pub(super) fn quiet_for(&self) -> Duration {
        if self.running.load(Relaxed) > 0 || self.head_begun.load(Relaxed) {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last.load(Relaxed));
        coarse::now().saturating_sub(self.started + last)
    }

    fn touch(&self) {
        let now = coarse::now().saturating_sub(self.started).as_millis();
        self.last.store(u64::try_from(now).unwrap_or(u64::MAX), Relaxed);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.activity.touch();
        self.activity.heads.fetch_sub(self.head, Relaxed);
        self.activity.running.fetch_sub(1, Relaxed);
    }
}

/// An answer's body, whose way is followed.
pub(super) struct Tracked {
    body: Observed,
    _running: Option<Running>,
}

impl Tracked {
    pub(super) fn new(body: Observed, running: Option<Running>) -> Tracked {
        Tracked { body, _running: running }
    }
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
