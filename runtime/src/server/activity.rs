//! What goes on on a connection: when it may be ended.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::connection::Left;
use super::memory::{Account, Held};
use super::waiting::Waiting;
use crate::body::Observed;
use crate::coarse;
use crate::request::Watch;

/// How long a connection on which nothing goes on stays open once it is to end: a
/// request may be on its way.
pub(super) const BRIEF: Duration = Duration::from_secs(1);

/// What a client that has closed its side still gets of an app: what is answered
/// within a tick of a guest's clock.
const AT_ONCE: Duration = Duration::from_millis(1);

/// What goes on on a connection.
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
    /// Whether it is to end at once.
    killed: AtomicBool,
    told: Notify,
    waiting: Waiting,
    /// Its memory, once it is known whose it is.
    account: OnceLock<Arc<Account>>,
    /// What bodies of requests may have in its buffers together, in bytes.
    windows: AtomicUsize,
}

/// A request, from its head to the end of its answer.
pub(super) struct Running {
    activity: Arc<Activity>,
    head: usize,
    of_app: bool,
    /// The memory of its head and its stream.
    held: Option<Held>,
}

/// The body of a request that arrives, until its end or until nobody reads it.
pub(super) struct Arrival {
    activity: Arc<Activity>,
    is_waited_for: bool,
    /// The memory of its window.
    held: Held,
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
            killed: AtomicBool::new(false),
            told: Notify::new(),
            waiting: Waiting::default(),
            account: OnceLock::new(),
            windows: AtomicUsize::new(0),
        })
    }

    /// A request began, with so many bytes of headers.
    pub(super) fn begin(self: &Arc<Activity>, head: usize) -> Running {
        self.running.fetch_add(1, Relaxed);
        self.heads.fetch_add(head, Relaxed);
        Running { activity: self.clone(), head, of_app: false, held: None }
    }

    /// Its memory is of this account from now on.
    pub(super) fn set_account(&self, account: Arc<Account>) {
        // It is set once, before anything is held.
        let _ = self.account.set(account);
    }

    /// Holds memory for something of the connection; `None` if there is none.
    pub(super) fn hold(&self, bytes: usize) -> Option<Held> {
        self.account.get()?.hold(bytes)
    }

    /// The memory that it holds, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.account.get().map_or(0, |account| account.bytes())
    }

    /// Holds memory that the connection cannot do without.
    ///
    /// # Errors
    /// There is none: the connection ends.
    pub(super) fn must_hold(&self, bytes: usize) -> io::Result<Held> {
        let lack = "the connections of this network have used all their memory";
        self.hold(bytes).ok_or_else(|| io::Error::new(io::ErrorKind::OutOfMemory, lack))
    }

    /// A body begins to arrive of which `window` bytes may be there unread, or as many as
    /// the body announces, and `most` of all bodies. `None` if there is no memory for them.
    pub(super) fn arrive(
        self: &Arc<Activity>,
        body: &Incoming,
        window: usize,
        most: usize,
    ) -> Option<Arrival> {
        let announced = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
        let window = window.min(announced.unwrap_or(window));
        let held = self.hold(window.min(most.saturating_sub(self.windows.load(Relaxed))))?;
        self.windows.fetch_add(held.bytes(), Relaxed);
        Some(Arrival { activity: self.clone(), is_waited_for: false, held })
    }

    /// The server waits for the client, or no longer does.
    pub(super) fn wait(&self, waits: bool) {
        match waits {
            true => self.waiting.begin(coarse::now()),
            false => self.waiting.end(coarse::now()),
        }
    }

    /// So many bytes came, or went.
    pub(super) fn moved(&self, bytes: usize) {
        self.waiting.moved(bytes, coarse::now());
    }

    /// How long its client has been slow, or nothing has run, if that is long.
    pub(super) fn idle_or_slow_for(&self) -> Option<Duration> {
        let slow = self.waiting.slow_for(coarse::now());
        slow.or_else(|| Some(self.quiet_for()).filter(|quiet| *quiet >= BRIEF))
    }

    /// Ends it: gracefully if nothing runs, at once if its client is slow.
    pub(super) fn make_room(&self) {
        if self.waiting.slow_for(coarse::now()).is_some() {
            self.killed.store(true, Relaxed);
        }
        self.end();
    }

    fn is_killed(&self) -> bool {
        self.killed.load(Relaxed)
    }

    /// # Errors
    /// The connection is to end at once.
    pub(super) fn check_killed(&self) -> io::Result<()> {
        match self.is_killed() {
            true => Err(io::Error::other("ended by the server: the client is slow")),
            false => Ok(()),
        }
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
        if self.head_begun.swap(begun, Relaxed) != begun {
            self.wait(begun);
        }
    }

    /// Ready once nothing has run for so long.
    pub(super) async fn quiet(&self, idle: Duration) {
        loop {
            let told = self.told.notified();
            let quiet = self.quiet_for();
            if quiet >= idle || self.is_killed() {
                return;
            }
            // What runs may end now at the earliest.
            tokio::select! {
                () = sleep(idle - quiet) => {}
                () = told => {}
            }
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

    /// With memory that is held for as long.
    pub(super) fn holding(mut self, held: Held) -> Running {
        self.held = Some(held);
        self
    }

    /// The headers are no longer in memory: it holds no more than so much.
    pub(super) fn forget_head(&mut self, bytes: usize) {
        self.held.iter_mut().for_each(|held| held.shrink(bytes));
        self.activity.heads.fetch_sub(std::mem::take(&mut self.head), Relaxed);
    }

    /// The memory that it holds, which is held for longer than it runs.
    pub(super) fn take_held(&mut self) -> Option<Held> {
        self.held.take()
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

impl Watch for Arrival {
    fn waits(&mut self, waits: bool) {
        if self.is_waited_for != waits {
            self.is_waited_for = waits;
            self.activity.wait(waits);
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.waits(false);
        self.activity.windows.fetch_sub(self.held.bytes(), Relaxed);
    }
}

/// An answer's body, whose way is followed.
pub(super) struct Tracked {
    body: Observed,
    running: Option<Running>,
}

impl Tracked {
    pub(super) fn new(body: Observed, running: Option<Running>) -> Tracked {
        Tracked { body, running }
    }

    /// Its connection, as long as it runs.
    pub(super) fn activity(&self) -> Option<&Arc<Activity>> {
        self.running.as_ref().map(|running| &running.activity)
    }

    /// The memory of its stream, which lasts until the last piece is sent.
    pub(super) fn take_held(&mut self) -> Option<Held> {
        self.running.as_mut()?.take_held()
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
