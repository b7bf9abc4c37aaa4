//! CPU time of one request, measured around each poll of its future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::background::Background;
use super::fair::TenantKey;
use crate::error::GuestError;
use crate::request::Request;
use crate::tenant::Tenant;

/// The CPU time that a request may use after its first poll where the
/// connections are served; what needs more goes on in the background. Half a
/// tick: nearly every request ends within its first poll. That one does not
/// count: by the monotonic clock, it may have stood still for most of its time.
const FIRST_SLICE: Duration = Duration::from_micros(500);

/// A first poll that takes longer is its tenant's debt: one that does not yield,
/// in a host call or in `memory.fill`, holds up everyone.
const HELD_UP: Duration = Duration::from_micros(100);

/// A guest whose polls are all shorter than this may stay beyond its slice: it
/// moves what its client sends or takes, and each change of threads would cost
/// more than the poll. Of a tenant, as many may as there are threads, so that
/// all of them together hold up others no longer than a slice does.
const SHORT: Duration = Duration::from_micros(250);

/// A guest's future that ends when its CPU time is used up. It is boxed so that
/// it can move between threads while it is half-way.
struct Metered<F> {
    guest: Pin<Box<F>>,
    used: Option<Duration>,
    /// Of that, what was used after the first poll.
    after_first: Duration,
    /// In the last poll.
    last: Duration,
    limit: Duration,
    /// Told what was used.
    request: Arc<Request>,
    tenant: Arc<Tenant>,
}

/// Runs a guest here for its first slice, then in the background; at once in the
/// background if its tenant has so many there already, or used so much here, that
/// this one may well be long, too: sixteen loops that begin together must not hold
/// up everyone else for their first slices. The returned future is small, so that those around
/// it are, too: they move.
pub(super) fn run<F, T>(
    guest: F,
    limit: Duration,
    request: Arc<Request>,
    background: &Background,
    tenant: &Arc<Tenant>,
) -> impl Future<Output = Result<T, GuestError>>
where
    F: Future<Output = Result<T, GuestError>> + Send + 'static,
    T: Send + 'static,
{
    let long = tenant.clone();
    let crowded = long.in_background.load(Relaxed) >= background.threads || long.is_in_debt();
    // In the background only the thread's own time says what was used.
    let used = crowded.then_some(Duration::ZERO);
    let (guest, after_first, last) = (Box::pin(guest), Duration::ZERO, Duration::ZERO);
    let owing = tenant.clone();
    let mut metered = Metered { guest, used, after_first, last, limit, request, tenant: owing };
    let tenant = Arc::as_ptr(tenant) as TenantKey;
    async move {
        let mut stays = None;
        let here = std::future::poll_fn(|cx| match Pin::new(&mut metered).poll(cx) {
            Poll::Pending if metered.after_first < FIRST_SLICE => Poll::Pending,
            Poll::Pending if metered.last < SHORT => {
                stays = stays.take().or_else(|| Counted::below(&long.short, background.threads));
                if stays.is_some() { Poll::Pending } else { Poll::Ready(None) }
            }
            Poll::Pending => Poll::Ready(None),
            Poll::Ready(result) => Poll::Ready(Some(result)),
        });
        let ended = if crowded { None } else { here.await };
        drop(stays);
        match ended {
            Some(result) => result,
            None => {
                let _counted = Counted::count(&long.in_background);
                background.go_on(metered, tenant).await.unwrap_or(Err(GuestError::Panicked))
            }
        }
    }
}

/// Counts a request among its tenant's until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl Counted<'_> {
    fn count(count: &AtomicUsize) -> Counted<'_> {
        count.fetch_add(1, Relaxed);
        Counted(count)
    }

    /// Counts it unless there are so many already.
    fn below(count: &AtomicUsize, most: usize) -> Option<Counted<'_>> {
        let counted = Counted(count);
        (count.fetch_add(1, Relaxed) < most).then_some(counted)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl<F, T> Future for Metered<F>
where
    F: Future<Output = Result<T, GuestError>>,
{
    type Output = Result<T, GuestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = match self.used {
            None => self.poll_first(cx),
            Some(used) => self.poll_again(cx, used),
        };
        self.request.spent.set_cpu(self.used());
        match polled {
            // The first poll alone ends nobody: it may have stood still.
            Poll::Pending
                if counted(self.used(), self.after_first) >= self.limit
                    && !self.after_first.is_zero() =>
            {
                Poll::Ready(Err(GuestError::CpuExceeded { used: self.used(), limit: self.limit }))
            }
            polled => polled,
        }
    }
}

impl<F: Future> Metered<F> {
    fn used(&self) -> Duration {
        self.used.unwrap_or_default()
    }

    /// Nearly every request ends within its first poll. That one is measured by
    /// the monotonic clock, which costs a twentieth of the thread's (no system
    /// call) and never shows less.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let before = Instant::now();
        let polled = self.guest.as_mut().poll(cx);
        let used = before.elapsed();
        if used > HELD_UP {
            self.tenant.owes(used);
        }
        self.used = Some(used);
        polled
    }

    fn poll_again(&mut self, cx: &mut Context<'_>, used: Duration) -> Poll<F::Output> {
        let before = thread_time();
        let polled = self.guest.as_mut().poll(cx);
        let polled_for = thread_time().saturating_sub(before);
        self.last = polled_for;
        self.after_first += polled_for;
        self.used = Some(used + polled_for);
        polled
    }
}

/// What of a request's first poll counts against its limit. It yields after a
/// tick; what took longer by the monotonic clock may have stood still, and nobody
/// is to be stopped for that. It is charged all the same.
const FIRST_COUNTED: Duration = Duration::from_millis(5);

/// What counts of what was used, so much of it after the first poll.
fn counted(used: Duration, after_first: Duration) -> Duration {
    used.saturating_sub(after_first).min(FIRST_COUNTED) + after_first
}

/// The CPU time that this thread has used.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_poll_that_stood_still_does_not_use_up_the_limit() {
        let ms = Duration::from_millis;
        for (used, after_first, expected) in [(1, 0, 1), (900, 0, 5), (901, 1, 6), (300, 299, 300)]
        {
            assert_eq!(counted(ms(used), ms(after_first)), ms(expected));
        }
        assert_eq!(counted(ms(50), ms(50)), ms(50), "all of it in the background");
    }
}
