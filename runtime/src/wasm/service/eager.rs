//! A future that goes on at once when it has woken itself: a store of 0.3 does so
//! several times for each answer, and every way through the scheduler costs more
//! than what is done between two.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// How long it may go on before others have their turn: a guest that computes
/// wakes itself after each tick.
const AT_ONCE: Duration = Duration::from_micros(200);

/// Polls a future again while it wakes itself.
pub(super) struct Eager<'a, F> {
    future: Pin<&'a mut F>,
    flag: Arc<Flag>,
}

/// Whether the future was woken, and whom else to wake unless it is being polled.
#[derive(Default)]
struct Flag {
    woken: AtomicBool,
    outer: Mutex<Option<Waker>>,
}

impl<'a, F: Future> Eager<'a, F> {
    pub(super) fn new(future: Pin<&'a mut F>) -> Eager<'a, F> {
        Eager { future, flag: Arc::default() }
    }
}

impl<F: Future> Future for Eager<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Eager { future, flag } = &mut *self;
        flag.set_outer(None);
        let waker = Waker::from(flag.clone());
        let begun = Instant::now();
        loop {
            flag.woken.store(false, SeqCst);
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(output);
            }
            if !flag.woken.load(SeqCst) || begun.elapsed() > AT_ONCE {
                break;
            }
        }
        flag.set_outer(Some(cx.waker().clone()));
        // Who woke it before that was heard by nobody.
        if flag.woken.load(SeqCst) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Flag {
    fn set_outer(&self, waker: Option<Waker>) {
        *self.outer.lock().unwrap_or_else(PoisonError::into_inner) = waker;
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, SeqCst);
        let outer = self.outer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(outer) = outer {
            outer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn what_wakes_itself_goes_on_and_what_waits_is_woken_later() {
        let mut polls = 0;
        let inner: Arc<Mutex<Option<Waker>>> = Arc::default();
        let kept = inner.clone();
        let mut inner_polls = pin!(poll_fn(move |cx| {
            polls += 1;
            match polls {
                1 | 2 => cx.waker().wake_by_ref(),
                3 => *kept.lock().unwrap() = Some(cx.waker().clone()),
                _ => return Poll::Ready(polls),
            }
            Poll::Pending
        }));
        let mut eager = Eager::new(inner_polls.as_mut());
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut eager).poll(&mut cx).is_pending());
        assert_eq!(count.0.load(SeqCst), 0, "it went on by itself until it waited");
        inner.lock().unwrap().take().unwrap().wake();
        assert_eq!(count.0.load(SeqCst), 1);
        assert_eq!(Pin::new(&mut eager).poll(&mut cx), Poll::Ready(4));
    }

    #[test]
    fn what_wakes_itself_for_ever_lets_others_have_their_turn() {
        let mut always = pin!(poll_fn(|cx: &mut Context<'_>| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        let mut eager = Eager::new(always.as_mut());
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        assert!(Pin::new(&mut eager).poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(count.0.load(SeqCst), 1);
    }
}
