//! Work of the server itself for a tenant's request: compression, digests, listings.
//! Short work is done where connections are served, up to the tenant's share; other work
//! takes turns with guests in the background. Request and tenant are charged for both.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::background::{AbortOnDrop, Background};
use super::fair::TenantKey;
use super::meter::InBackground;
use super::used::thread_time;
use crate::coarse;
use crate::request::Request;
use crate::tenant::{Running, Tenant};

/// Where the work for a tenant is done.
#[derive(Clone)]
pub(crate) struct Work {
    background: Arc<Background>,
    tenant: Arc<Tenant>,
}

/// A piece of work that is done, or under way in the background; the work is dropped
/// with the job.
pub(crate) enum Job<T> {
    Done(Option<T>),
    Away(Away<T>),
}

/// A piece of work in the background.
pub(crate) struct Away<T> {
    handle: AbortOnDrop<T>,
    background: Arc<Background>,
    began: Instant,
    /// What all background tasks had used then.
    before: Duration,
}

impl Work {
    pub(crate) fn new(background: Arc<Background>, tenant: Arc<Tenant>) -> Work {
        Work { background, tenant }
    }

    /// Whether the tenant has some of its share left for work where connections are
    /// served.
    pub(crate) fn may_run_here(&self) -> bool {
        !self.tenant.is_in_debt()
    }

    /// Does a short piece of work at once, and charges it.
    pub(crate) fn here<T>(&self, request: &Request, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = work();
        self.tenant.charge(&request.spent, began.elapsed());
        done
    }

    /// Does a piece of work that takes less than a tick: at once while the tenant has some
    /// of its share left, then in turn with the short requests of all tenants, or in the
    /// background if others wait there. None if it panicked.
    pub(crate) async fn short<T: Send + 'static>(
        &self,
        request: &Arc<Request>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.may_run_here() {
            return Some(self.here(request, work));
        }
        let running = &self.tenant.running;
        if self.tenant.is_unyielding() || self.background.has_others(running) {
            return self.start(request, work).await;
        }
        let mut ticket = self.background.here.ticket(key_of(running));
        let mut turn = ticket.turn().await;
        if turn.waits_for_others {
            tokio::task::yield_now().await;
        }
        let began = Instant::now();
        let done = work();
        let used = began.elapsed();
        request.spent.add_for_answer(used);
        turn.took(used);
        Some(done)
    }

    /// Starts a piece of work in the background: one turn of about a tick, or two.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        request: &Arc<Request>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Job<T> {
        let background = &self.background;
        if background.stalled.may_work_in_place(coarse::now()) {
            let began = Instant::now();
            let done = self.here(request, work);
            background.stalled.worked_in_place(began.elapsed(), coarse::now());
            return Job::Done(Some(done));
        }
        let running = &self.tenant.running;
        let among = InBackground::one_of(running.clone(), background);
        let (work, request) =
            (Some(Box::new(work) as Box<dyn FnOnce() -> T + Send>), request.clone());
        let handle = background.work(Once { work, request, _among: among }, key_of(running));
        let (began, before) = (Instant::now(), background.used());
        Job::Away(Away { handle, background: background.clone(), began, before })
    }
}

/// The key of a tenant where tenants take turns.
pub(crate) fn key_of(running: &Arc<Running>) -> TenantKey {
    Arc::as_ptr(running) as TenantKey
}

/// Work that is done in one poll.
struct Once<T> {
    work: Option<Box<dyn FnOnce() -> T + Send>>,
    request: Arc<Request>,
    _among: InBackground,
}

impl<T> Future for Once<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        let Some(work) = self.work.take() else { return Poll::Pending };
        let before = thread_time();
        let done = work();
        self.request.spent.add_for_answer(thread_time().saturating_sub(before));
        Poll::Ready(done)
    }
}

impl<T> Unpin for Job<T> {}

impl<T> Future for Job<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        match &mut *self {
            Job::Done(done) => Poll::Ready(done.take()),
            Job::Away(away) => {
                let done = ready!(Pin::new(&mut away.handle).poll(cx));
                let used = away.background.used().saturating_sub(away.before);
                away.background.stalled.note(away.began.elapsed(), used, coarse::now());
                Poll::Ready(done)
            }
        }
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Work").field(&self.tenant.name).finish()
    }
}
