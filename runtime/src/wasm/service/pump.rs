//! The way of an answer's body out of a store. It ends only if the body did: a store
//! that is dropped closes what its guest wrote to as if that were the end.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, WasiBody};

/// Frames that wait for the client, beside one on its way out of the store; each
/// is as large as `capability/fetch.rs` says. Two: they leave in one write, and
/// the guest need not have its turn between them. A small answer has room, so
/// that its guest need not wait.
const FRAMES: usize = 2;

/// Moves a body to whoever takes it, with its end.
pub(super) struct Pump(Arc<Way>);

/// What comes out.
pub(super) struct Pumped(Arc<Way>);

#[derive(Default)]
struct Way(Mutex<State>);

/// Most answers are a frame: this is smaller than a channel, and sooner made.
#[derive(Default)]
struct State {
    frames: VecDeque<Result<Frame<Bytes>, Error>>,
    end: Option<End>,
    /// Nobody takes any more.
    is_left: bool,
    /// Woken when there is room, or nobody takes any more.
    pump: Option<Waker>,
    /// Woken when there is a frame, or the end.
    taker: Option<Waker>,
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    BrokenOff,
}

/// A way out for a body.
pub(super) fn new() -> (Pump, Pumped) {
    let way: Arc<Way> = Arc::default();
    (Pump(way.clone()), Pumped(way))
}

impl Pump {
    pub(super) async fn run(self, mut body: WasiBody) {
        // None is taken before there is room for it: it would be one more that waits.
        // When the client has left, the guest is told: its stream is dropped.
        while poll_fn(|cx| self.0.poll_room(cx)).await {
            let Some(frame) = body.frame().await else {
                self.0.end(End::Whole);
                return;
            };
            let broken = frame.is_err();
            self.0.push(frame);
            if broken {
                return;
            }
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.end(End::BrokenOff);
    }
}

impl Way {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when there is room; false if nobody takes any more.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.state();
        if state.is_left || state.frames.len() < FRAMES {
            return Poll::Ready(!state.is_left);
        }
        state.pump = Some(cx.waker().clone());
        Poll::Pending
    }

    fn push(&self, frame: Result<Frame<Bytes>, Error>) {
        let mut state = self.state();
        state.frames.push_back(frame);
        wake(state, |state| &mut state.taker);
    }

    /// The first end is the one.
    fn end(&self, end: End) {
        let mut state = self.state();
        state.end.get_or_insert(end);
        wake(state, |state| &mut state.taker);
    }
}

fn wake(mut state: MutexGuard<'_, State>, who: impl Fn(&mut State) -> &mut Option<Waker>) {
    let waker = who(&mut state).take();
    drop(state);
    waker.into_iter().for_each(Waker::wake);
}

impl Body for Pumped {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut state = self.0.state();
        if let Some(frame) = state.frames.pop_front() {
            wake(state, |state| &mut state.pump);
            return Poll::Ready(Some(frame));
        }
        match state.end {
            Some(End::Whole) => Poll::Ready(None),
            Some(End::BrokenOff) => Poll::Ready(Some(Err(Error::HttpResponseIncomplete))),
            None => {
                state.taker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Pumped {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_left = true;
        state.frames.clear();
        wake(state, |state| &mut state.pump);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Empty, Full};

    fn taken(pumped: &mut Pumped) -> Poll<Option<Result<Bytes, ()>>> {
        let frame = Pin::new(pumped).poll_frame(&mut Context::from_waker(Waker::noop()));
        let bytes = |frame: Frame<Bytes>| frame.into_data().unwrap_or_default();
        frame.map(|frame| frame.map(|frame| frame.map(bytes).map_err(drop)))
    }

    fn pumps(pump: impl Future<Output = ()>) -> bool {
        let mut pump = std::pin::pin!(pump);
        pump.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_body_ends_only_if_it_was_pumped_to_its_end() {
        let one = || Full::new(Bytes::from("one")).map_err(|never| match never {}).boxed_unsync();
        let (pump, mut pumped) = new();
        assert!(taken(&mut pumped).is_pending());
        assert!(pumps(pump.run(one())));
        assert_eq!(taken(&mut pumped), Poll::Ready(Some(Ok(Bytes::from("one")))));
        assert_eq!(taken(&mut pumped), Poll::Ready(None));
        let (pump, mut pumped) = new();
        drop(pump.run(one()));
        assert_eq!(taken(&mut pumped), Poll::Ready(Some(Err(()))), "its store was dropped");
    }

    #[test]
    fn nothing_is_pumped_for_nobody() {
        let (pump, pumped) = new();
        drop(pumped);
        let none = Empty::new().map_err(|never| match never {}).boxed_unsync();
        assert!(pumps(pump.run(none)));
    }
}
