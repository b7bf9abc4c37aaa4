//! CPU time of one request, measured around each poll of its future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::background::Background;
use super::clock::Ticking;
use super::fair::TenantKey;
use crate::error::GuestError;
use crate::request::Request;
use crate::tenant::{Permit, Running, Tenant};

/// The CPU time that a request may use after its first poll where the
/// connections are served; what needs more goes on in the background. Half a
/// tick: nearly every request ends within its first poll. That one does not
/// count: by the monotonic clock, it may have stood still for most of its time.
const FIRST_SLICE: Duration = Duration::from_micros(500);

/// What a request may use there that has a new instance: an interpreter that runs
/// for the first time takes 2 ms, for a thousand requests. In the background it
/// would wait for those that have an instance.
const FIRST_RUN: Duration = Duration::from_millis(4);

/// A first poll that takes longer is its tenant's debt, as is a later one that is
/// not `SHORT`: one that does not yield, in a host call or in `memory.fill`, holds
/// up everyone.
const HELD_UP: Duration = Duration::from_micros(100);

/// A guest whose polls are all shorter than this may stay beyond its slice: it
/// moves what its client sends or takes, and each change of threads would cost
/// more than the poll. Of a tenant, as many may as there are threads, and of all
/// tenants `MANY` times as many: all of them together hold up others for 2 ms.
const SHORT: Duration = Duration::from_micros(250);
const MANY: usize = 4;

/// A guest's future that ends when its CPU time is used up. It is boxed so that
/// it can move between threads while it is half-way.
struct Metered<F> {
    guest: Pin<Box<F>>,
    used: Used,
    limit: Duration,
    /// Told what was used.
    request: Arc<Request>,
    tenant: Arc<Tenant>,
    /// Set once it goes on there.
    in_background: Option<InBackground>,
    _held: Held,
}

/// What a guest holds. Dropped after the guest, as is what it counts among: one
/// that nobody waits for any more runs until it next yields; until then it has its
/// place, and the clock must tick for it.
type Held = (Permit, Ticking);

/// Runs a guest here for its first slice, then in the background; at once in the
/// background if its tenant has so many there already, or used so much here, that
/// this one may well be long, too: sixteen loops that begin together must not hold
/// up everyone else for their first slices. The returned future is small, so that
/// those around it are, too: they move.
pub(super) fn run<F, T>(
    guest: F,
    held: Held,
    limit: Duration,
    request: Arc<Request>,
    background: &Background,
    tenant: &Arc<Tenant>,
) -> impl Future<Output = Result<T, GuestError>>
where
    F: Future<Output = Result<T, GuestError>> + Send + 'static,
    T: Send + 'static,
{
    let running = tenant.running.clone();
    let crowded = running.in_background.load(Relaxed) >= background.threads || tenant.is_in_debt();
    let mut metered = Metered {
        guest: Box::pin(guest),
        used: Used::default(),
        limit,
        request,
        tenant: tenant.clone(),
        in_background: None,
        _held: held,
    };
    async move {
        let mut stays = None;
        let here = std::future::poll_fn(|cx| {
            // While it waited, others of its tenant may have used up the share.
            if metered.used.polls > 0 && metered.tenant.is_in_debt() {
                return Poll::Ready(None);
            }
            match Pin::new(&mut metered).poll(cx) {
                Poll::Pending if metered.used.after_first < metered.slice() => Poll::Pending,
                Poll::Pending if metered.used.last < SHORT => {
                    stays = stays.take().or_else(|| Stays::among(&running, background));
                    if stays.is_some() { Poll::Pending } else { Poll::Ready(None) }
                }
                Poll::Pending => Poll::Ready(None),
                Poll::Ready(result) => Poll::Ready(Some(result)),
            }
        });
        let ended = if crowded { None } else { here.await };
        drop(stays);
        match ended {
            Some(result) => result,
            None => {
                let tenant = Arc::as_ptr(&running) as TenantKey;
                metered.in_background = Some(InBackground::one_of(running));
                background.go_on(metered, tenant).await.unwrap_or(Err(GuestError::Panicked))
            }
        }
    }
}

/// A request among its tenant's in the background, until it is dropped.
struct InBackground(Arc<Running>);

impl InBackground {
    fn one_of(running: Arc<Running>) -> InBackground {
        running.in_background.fetch_add(1, Relaxed);
        InBackground(running)
    }
}

impl Drop for InBackground {
    fn drop(&mut self) {
        self.0.in_background.fetch_sub(1, Relaxed);
    }
}

/// A request among those that stay for the shortness of their polls.
struct Stays<'a> {
    of_tenant: &'a AtomicUsize,
    of_all: &'a AtomicUsize,
}

impl Stays<'_> {
    /// One more, unless there are so many already.
    fn among<'a>(running: &'a Running, background: &'a Background) -> Option<Stays<'a>> {
        let stays = Stays { of_tenant: &running.short, of_all: &background.short };
        let of_tenant = stays.of_tenant.fetch_add(1, Relaxed);
        let of_all = stays.of_all.fetch_add(1, Relaxed);
        let few = of_tenant < background.threads && of_all < MANY * background.threads;
        few.then_some(stays)
    }
}

impl Drop for Stays<'_> {
    fn drop(&mut self) {
        self.of_tenant.fetch_sub(1, Relaxed);
        self.of_all.fetch_sub(1, Relaxed);
    }
}

impl<F, T> Future for Metered<F>
where
    F: Future<Output = Result<T, GuestError>>,
{
    type Output = Result<T, GuestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // In the background only the thread's own time says what was used.
        let by_wall = self.in_background.is_none() && !self.used.is_in_doubt;
        let polled = if by_wall { self.poll_by_wall(cx) } else { self.poll_by_thread(cx) };
        self.request.spent.set_cpu(self.used.all);
        match polled {
            Poll::Pending if self.used.is_over(self.limit) => {
                Poll::Ready(Err(GuestError::CpuExceeded { used: self.used.all, limit: self.limit }))
            }
            polled => polled,
        }
    }
}

impl<F: Future> Metered<F> {
    /// What it may use where connections are served, after its first poll.
    fn slice(&self) -> Duration {
        if self.request.spent.has_new_instance() { FIRST_RUN } else { FIRST_SLICE }
    }

    /// A poll that held up others for longer than `most` is a debt.
    fn owe(&self, used: Duration, most: Duration) {
        if used > most && self.in_background.is_none() {
            self.tenant.owes(used);
        }
    }

    /// By the monotonic clock, which costs a twentieth of the thread's (no system
    /// call) and never shows less.
    fn poll_by_wall(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let before = Instant::now();
        let polled = self.guest.as_mut().poll(cx);
        let used = before.elapsed();
        self.owe(used, if self.used.polls == 0 { HELD_UP } else { SHORT });
        self.used.add_by_wall(used);
        polled
    }

    fn poll_by_thread(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let before = thread_time();
        let polled = self.guest.as_mut().poll(cx);
        let used = thread_time().saturating_sub(before);
        self.owe(used, SHORT);
        self.used.add_by_thread(used);
        polled
    }
}

/// What of one poll counts against a request's limit, by the monotonic clock. It
/// yields after a tick; what took longer may have stood still, and nobody is to be
/// stopped for that. It is charged all the same.
const COUNTED: Duration = Duration::from_millis(5);

/// What a request has used, poll by poll.
#[derive(Default)]
struct Used {
    polls: u64,
    all: Duration,
    after_first: Duration,
    /// What counts against the limit.
    counted: Duration,
    /// In the last poll, as far as that is known.
    last: Duration,
    /// Whether the last poll was long, or stood still: only the thread's own time
    /// can tell, by which the next one is measured.
    is_in_doubt: bool,
}

impl Used {
    fn add_by_wall(&mut self, used: Duration) {
        self.add(used);
        self.counted += used.min(COUNTED);
        self.is_in_doubt = used >= SHORT;
        self.last = if self.is_in_doubt { Duration::ZERO } else { used };
    }

    fn add_by_thread(&mut self, used: Duration) {
        self.add(used);
        self.counted += used;
        self.is_in_doubt = used >= SHORT;
        self.last = used;
    }

    fn add(&mut self, used: Duration) {
        self.all += used;
        if self.polls > 0 {
            self.after_first += used;
        }
        self.polls += 1;
    }

    /// The first poll alone ends nobody: it may have stood still.
    fn is_over(&self, limit: Duration) -> bool {
        self.polls > 1 && self.counted >= limit
    }
}

/// The CPU time that this thread has used.
pub(super) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_poll_that_stood_still_is_charged_and_does_not_use_up_the_limit() {
        let mut used = Used::default();
        used.add_by_wall(ms(900));
        assert!(!used.is_over(ms(5)), "the first poll ends nobody");
        used.add_by_wall(ms(900));
        assert_eq!((used.all, used.after_first, used.counted), (ms(1_800), ms(900), ms(10)));
        used.add_by_thread(ms(90));
        assert!(used.is_over(ms(100)) && !used.is_over(ms(101)));
    }

    #[test]
    fn the_threads_time_tells_whether_a_long_poll_stood_still() {
        let mut used = Used::default();
        used.add_by_wall(ms(1));
        assert!(used.is_in_doubt && used.last < SHORT);
        used.add_by_thread(ms(0));
        assert!(!used.is_in_doubt && used.last < SHORT, "it stood still");
        used.add_by_wall(ms(1));
        used.add_by_thread(ms(1));
        assert!(used.is_in_doubt && used.last >= SHORT, "it computes");
    }
}
