//! What goes on on a connection: when it may be ended.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::connection::Left;
use crate::body::Observed;
use crate::coarse;

/// How long a connection on which nothing goes on stays open once it is to end: a
/// request may be on its way.
pub(super) const BRIEF: Duration = Duration::from_secs(1);

/// What a client that has closed its side still gets of an app: what is answered
/// within a tick of a guest's clock.
const AT_ONCE: Duration = Duration::from_millis(1);

/// What goes on on a connection.
#[derive(Debug)]
pub(super) struct Activity {
    /// By [`coarse::now`].
    started: Duration,
    /// Requests from their heads to the ends of their answers.
    running: AtomicUsize,
    /// The headers of those, in bytes.
    heads: AtomicUsize,
    /// Requests that apps began to answer, and those of them that have ended.
    apps_begun: AtomicUsize,
    apps_ended: AtomicUsize,
    /// Whether a part of a request's head is there, and not all of it.
    head_begun: AtomicBool,
    /// When something happened last, in milliseconds after the start.
    last: AtomicU64,
    /// Whether it is to end, and whether all others are, too.
    ending: AtomicBool,
    draining: AtomicBool,
    told: Notify,
}

/// A request, from its head to the end of its answer.
pub(super) struct Running {
    activity: Arc<Activity>,
    head: usize,
    of_app: bool,
}

impl Activity {
    pub(super) fn new() -> Arc<Activity> {
        Arc::new(Activity {
            started: coarse::now(),
            running: AtomicUsize::new(0),
            heads: AtomicUsize::new(0),
            apps_begun: AtomicUsize::new(0),
            apps_ended: AtomicUsize::new(0),
            head_begun: AtomicBool::new(false),
            last: AtomicU64::new(0),
            ending: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            told: Notify::new(),
        })
    }

    /// A request began, with so many bytes of headers.
    pub(super) fn begin(self: &Arc<Activity>, head: usize) -> Running {
        self.running.fetch_add(1, Relaxed);
        self.heads.fetch_add(head, Relaxed);
        Running { activity: self.clone(), head, of_app: false }
    }

    /// Ready once `left` is while an app answers: a guest is not kept running for a
    /// client that may be gone. Nothing else is waited for: what is there is sent,
    /// since a client may close its side once it has asked.
    pub(super) async fn abandoned(&self, mut left: Left) {
        let mut has_left = false;
        loop {
            poll_fn(|cx| match self.apps() {
                None => Poll::Pending,
                Some(_) if has_left => Poll::Ready(()),
                Some(_) => left.as_mut().poll(cx),
            })
            .await;
            has_left = true;
            let before = self.apps();
            sleep(AT_ONCE).await;
            if before.is_some() && before == self.apps() {
                return;
            }
        }
    }

    /// The number of the latest request of an app, if any runs.
    fn apps(&self) -> Option<usize> {
        let begun = self.apps_begun.load(Relaxed);
        (begun != self.apps_ended.load(Relaxed)).then_some(begun)
    }

    /// The server drains: what runs is the last.
    pub(super) fn drain(&self) {
        self.draining.store(true, Relaxed);
        self.end();
    }

    /// Tells the connection to end when nothing goes on on it.
    pub(super) fn end(&self) {
        self.ending.store(true, Relaxed);
        self.told.notify_waiters();
    }

    /// Ready once it is to end.
    pub(super) async fn told(&self) {
        loop {
            // Made before the look: nothing is missed in between.
            let told = self.told.notified();
            if self.ending.load(Relaxed) {
                return;
            }
            told.await;
        }
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

    /// Something happened.
    pub(super) fn touch(&self) {
        let now = coarse::now().saturating_sub(self.started).as_millis();
        self.last.store(u64::try_from(now).unwrap_or(u64::MAX), Relaxed);
    }
}

impl Running {
    /// It is an app that answers.
    pub(super) fn of_app(mut self) -> Running {
        if !std::mem::replace(&mut self.of_app, true) {
            self.activity.apps_begun.fetch_add(1, Relaxed);
        }
        self
    }

    /// Whether the server drains.
    pub(super) fn is_last(&self) -> bool {
        self.activity.draining.load(Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.activity.touch();
        if self.of_app {
            self.activity.apps_ended.fetch_add(1, Relaxed);
        }
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
