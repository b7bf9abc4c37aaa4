//! Where guests go on that have used up their first slice of CPU time: threads
//! of the lowest priority, so that short requests do not wait behind long ones.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinError, JoinHandle};

/// The threads and their queue. Tasks yield at every tick of the epoch and then
/// queue again behind all others, so each gets an equal share.
pub(super) struct Background {
    /// Present until the drop, which must not wait for a guest.
    runtime: Option<Runtime>,
}

impl Background {
    pub(super) fn start(threads: usize) -> io::Result<Background> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("background")
            .on_thread_start(lower_priority)
            .enable_time()
            .build()?;
        Ok(Background { runtime: Some(runtime) })
    }

    /// Goes on with a task; it is dropped when the returned future is.
    pub(super) fn go_on<F>(&self, task: F) -> AbortOnDrop<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        AbortOnDrop(self.runtime.as_ref().map(|runtime| runtime.spawn(task)))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The result of a task, `None` if it panicked.
pub(super) struct AbortOnDrop<T>(Option<JoinHandle<T>>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(handle) = &mut self.0 else { return Poll::Ready(None) };
        let result: Result<T, JoinError> = ready!(Pin::new(handle).poll(cx));
        Poll::Ready(result.ok())
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}

/// Linux has priorities of single threads; elsewhere the threads stay equal.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19) {
        tracing::debug!("the background threads keep their priority: {error}");
    }
}
