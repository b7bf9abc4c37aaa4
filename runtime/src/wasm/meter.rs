//! CPU time of one request, measured around each poll of its future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::background::Background;
use crate::error::GuestError;

/// The CPU time that a request may use where the connections are served; what
/// needs more goes on in the background. Two ticks: nearly every request ends
/// within it.
const FIRST_SLICE: Duration = Duration::from_millis(2);

/// A guest's future that ends when its CPU time is used up. It is boxed so that
/// it can move between threads while it is half-way.
struct Metered<F> {
    guest: Pin<Box<F>>,
    used: Duration,
    limit: Duration,
}

/// Runs a guest here for its first slice, then in the background.
pub(super) async fn run<F, T>(
    guest: F,
    limit: Duration,
    background: &Background,
) -> Result<T, GuestError>
where
    F: Future<Output = Result<T, GuestError>> + Send + 'static,
    T: Send + 'static,
{
    let mut metered = Metered { guest: Box::pin(guest), used: Duration::ZERO, limit };
    let ended = std::future::poll_fn(|cx| match Pin::new(&mut metered).poll(cx) {
        Poll::Pending if metered.used < FIRST_SLICE => Poll::Pending,
        Poll::Pending => Poll::Ready(None),
        Poll::Ready(result) => Poll::Ready(Some(result)),
    });
    match ended.await {
        Some(result) => result,
        None => background.go_on(metered).await.unwrap_or(Err(GuestError::Panicked)),
    }
}

impl<F, T> Future for Metered<F>
where
    F: Future<Output = Result<T, GuestError>>,
{
    type Output = Result<T, GuestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let before = thread_time();
        let polled = self.guest.as_mut().poll(cx);
        self.used += thread_time().saturating_sub(before);
        match polled {
            Poll::Pending if self.used >= self.limit => {
                Poll::Ready(Err(GuestError::CpuExceeded(self.limit)))
            }
            polled => polled,
        }
    }
}

/// The CPU time that this thread has used.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
