//! Where guests go on that have used up their first slice of CPU time: threads
//! of the lowest priority, so that short requests do not wait behind long ones.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinError, JoinHandle};

use super::clock::TICK;
use super::fair::{TenantKey, Ticket, Turns};
use super::stalled::Stalled;
use super::used::thread_time;
use crate::tenant::Running;

/// The threads and their queue. Tasks yield at every tick of the epoch and then
/// wait for their tenant's next turn, so each tenant gets an equal share.
pub(crate) struct Background {
    pub(super) threads: usize,
    /// All guests that are here.
    pub(super) guests: Arc<AtomicUsize>,
    /// Guests of all tenants that are not here for the shortness of their polls.
    pub(super) short: AtomicUsize,
    turns: Arc<Turns>,
    /// Of guests that run in turn where connections are served, on so many threads.
    pub(super) here: Arc<Turns>,
    /// CPU time that was used here, in nanoseconds.
    used: Arc<AtomicU64>,
    /// Whether the machine lets these threads run.
    pub(super) stalled: Stalled,
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
        let [turns, here] = [Turns::new(threads), Turns::of_short(threads)].map(Arc::new);
        let (short, guests) = (AtomicUsize::new(0), Arc::default());
        let (used, stalled) = (Arc::default(), Stalled::default());
        let runtime = Some(runtime);
        Ok(Background { threads, guests, short, turns, here, used, stalled, runtime })
    }

    /// Whether guests of other tenants are here.
    pub(super) fn has_others(&self, than: &Running) -> bool {
        self.guests.load(Relaxed) > than.in_background.load(Relaxed)
    }

    /// Goes on with a task; it is dropped when the returned future is.
    pub(super) fn go_on<F>(&self, task: F, tenant: TenantKey) -> AbortOnDrop<F::Output>
    where
        F: Future<Output: Send> + Send + Unpin + 'static,
    {
        self.spawn(task, self.turns.ticket(tenant))
    }

    /// Does work of the server for a tenant, behind the tenant's new requests; the work is
    /// dropped when the returned future is.
    pub(super) fn work<F>(&self, task: F, tenant: TenantKey) -> AbortOnDrop<F::Output>
    where
        F: Future<Output: Send> + Send + Unpin + 'static,
    {
        self.spawn(task, self.turns.ticket_of_work(tenant))
    }

    fn spawn<F>(&self, task: F, ticket: Ticket) -> AbortOnDrop<F::Output>
    where
        F: Future<Output: Send> + Send + Unpin + 'static,
    {
        let task = InTurn { task, ticket, all_used: self.used.clone() };
        AbortOnDrop(self.runtime.as_ref().map(|runtime| runtime.spawn(task)))
    }

    /// The CPU time that all tasks have used here.
    pub(super) fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Relaxed))
    }
}

/// A task that runs only in its tenant's turns.
struct InTurn<F> {
    task: F,
    ticket: Ticket,
    /// What all tasks have used, in nanoseconds.
    all_used: Arc<AtomicU64>,
}

impl<F: Future + Unpin> Future for InTurn<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let InTurn { task, ticket, all_used } = &mut *self;
        let mut turn = ready!(ticket.poll_turn(cx));
        let before = thread_time();
        let polled = Pin::new(task).poll(cx);
        let used = thread_time().saturating_sub(before);
        turn.took(used);
        all_used.fetch_add(u64::try_from(used.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        // It has yielded rather than that it waits for something. To ask again one
        // that does wait costs next to nothing.
        if polled.is_pending() && used >= TICK / 2 {
            turn.again(cx.waker());
        }
        polled
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
    {
        use thread_priority::unix::{
            NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
            thread_native_id,
        };
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let priority = thread_priority::ThreadPriority::Min;
        let set = set_thread_priority_and_policy(thread_native_id(), priority, idle);
        if let Err(error) = set {
            tracing::debug!("the background threads keep their priority: {error:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A guest that does not yield until it is told to, and what it holds.
    struct Busy {
        began: Sender<()>,
        go_on: Receiver<()>,
        _held: Sender<()>,
    }

    impl Future for Busy {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            let _ = self.began.send(());
            let _ = self.go_on.recv();
            Poll::Pending
        }
    }

    #[test]
    fn what_a_guest_holds_is_held_until_it_is_gone() {
        let background = Background::start(1).unwrap();
        let ((began, begins), (goes_on, go_on), (held, gone)) = (channel(), channel(), channel());
        let waits = background.go_on(Busy { began, go_on, _held: held }, 0);
        begins.recv().unwrap();
        drop(waits);
        assert!(gone.try_recv().is_err_and(|why| why == std::sync::mpsc::TryRecvError::Empty));
        goes_on.send(()).unwrap();
        assert!(gone.recv().is_err(), "it is dropped when it yields");
    }
}
