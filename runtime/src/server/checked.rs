//! A stream whose incoming bytes are checked before hyper reads them: the time
//! of heads, framing for HTTP/1.1, floods for HTTP/2.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::activity::Activity;
use super::frames::{Frames, PREFACE, TOO_MANY};
use super::framing::{Framing, Wrong};
use super::memory::Held;
use crate::limits::Limits;

/// A stream whose incoming bytes pass a check.
pub(super) struct Checked<S> {
    stream: S,
    check: Check,
    activity: Arc<Activity>,
    /// The memory of a head that is large, or has not ended.
    head: Option<Held>,
    /// The most that a head has, as it was sent.
    largest: usize,
    /// What is left to be read in place of what was refused.
    refusal: Option<&'static [u8]>,
    /// How long a head may take, from its first byte to its last.
    head_time: Duration,
    /// When the first one must be there.
    first_head: Instant,
    /// Running within a head: which one it is.
    late: Option<(u64, Pin<Box<Sleep>>)>,
    /// For HTTP/1.1: when to look whether nothing has run for too long.
    idle: Option<(Waker, Pin<Box<Sleep>>)>,
}

enum Check {
    Http1 {
        framing: Framing,
        /// Bytes of the head that is being read.
        bytes: usize,
        /// How long nothing may run.
        idle_time: Duration,
    },
    Http2 {
        frames: Frames,
        /// What is left of the preface, in bytes.
        preface: usize,
        started: Instant,
    },
}

/// What a head may have in the buffers that every connection has, in bytes.
const BUFFER: usize = 8 << 10;

/// No request can have this where a head or a chunk goes on: hyper answers 400
/// and closes, after the answers to the requests before.
const INVALID: &[u8] = b"\0\r\n\r\n";

/// A request that no client of HTTP/1.1 may send (RFC 9113 section 11.6), in
/// place of one whose version is not known: `request.rs` refuses it as such.
const UNKNOWN_VERSION: &[u8] = b"PRI * HTTP/1.1\r\n\r\n";

impl<S> Checked<S> {
    pub(super) fn http1(
        stream: S,
        limits: &Limits,
        first_head: Instant,
        activity: Arc<Activity>,
    ) -> Checked<S> {
        let (framing, idle_time) = (Framing::default(), limits.idle_time);
        let check = Check::Http1 { framing, bytes: 0, idle_time };
        Checked::new(stream, check, limits, first_head, activity)
    }

    pub(super) fn http2(
        stream: S,
        limits: &Limits,
        first_head: Instant,
        activity: Arc<Activity>,
    ) -> Checked<S> {
        let (preface, started) = (PREFACE.len(), Instant::now());
        let check = Check::Http2 { frames: Frames::default(), preface, started };
        Checked::new(stream, check, limits, first_head, activity)
    }

    fn new(
        stream: S,
        check: Check,
        limits: &Limits,
        first_head: Instant,
        activity: Arc<Activity>,
    ) -> Checked<S> {
        let (head_time, largest) = (limits.header_time, limits.headers.saturating_add(limits.uri));
        let (refusal, late, idle, head) = (None, None, None, None);
        Checked {
            stream,
            check,
            activity,
            head,
            largest,
            refusal,
            head_time,
            first_head,
            late,
            idle,
        }
    }

    /// Holds memory for the head that is being read, beyond what a connection has.
    fn hold_head(&mut self) -> io::Result<()> {
        let needed = match &self.check {
            Check::Http1 { bytes, .. } if *bytes > BUFFER => bytes.saturating_mul(2),
            Check::Http1 { .. } => 0,
            Check::Http2 { frames, .. } => frames.unfinished(self.largest.saturating_mul(4)),
        };
        let has = self.head.as_ref().map_or(0, Held::bytes);
        if needed <= has && needed > 0 {
            return Ok(());
        }
        self.head = None;
        if needed > 0 {
            self.head = Some(self.activity.must_hold(needed.next_multiple_of(BUFFER))?);
        }
        Ok(())
    }

    /// Whether a request has begun whose end has not arrived, or never will.
    pub(super) fn is_within_request(&self) -> bool {
        match &self.check {
            Check::Http1 { framing, .. } => self.refusal.is_some() || framing.is_within_request(),
            Check::Http2 { .. } => false,
        }
    }

    /// The stream itself.
    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    /// Reads what stands in the place of what was refused. Nothing comes after it,
    /// not even an end: that would look as if the client had left.
    fn read_refusal(&mut self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.refusal {
            Some([]) => Poll::Pending,
            Some(left) => {
                let (now, later) = left.split_at(left.len().min(buffer.remaining()));
                buffer.put_slice(now);
                *left = later;
                Poll::Ready(Ok(()))
            }
            None => Poll::Ready(Ok(())),
        }
    }

    /// Ready once the client has taken too long: what it did not send.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<&'static str> {
        let Some(head) = self.check.head() else {
            self.late = None;
            return self.poll_idle(cx);
        };
        // Each head has its own time, also if there was never a moment between two.
        let late = self.late.take().filter(|(number, _)| *number == head);
        let until = if head == 0 { self.first_head } else { Instant::now() + self.head_time };
        let (_, sleep) =
            self.late.insert(late.unwrap_or_else(|| (head, Box::pin(sleep_until(until)))));
        sleep.as_mut().poll(cx).map(|()| "the head of a request took too long")
    }

    /// Ready once nothing has run for too long. The time of each request is only
    /// looked at when the sleep is over: a sleep that is set anew for each costs
    /// more than all other deadlines together.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<&'static str> {
        let Check::Http1 { idle_time, .. } = &self.check else { return Poll::Pending };
        let activity = &self.activity;
        // One that will wake this task need not be polled again.
        if let Some((waker, idle)) = &self.idle
            && !idle.is_elapsed()
            && waker.will_wake(cx.waker())
        {
            return Poll::Pending;
        }
        let new = || (cx.waker().clone(), Box::pin(sleep(*idle_time)));
        let (waker, idle) = self.idle.get_or_insert_with(new);
        waker.clone_from(cx.waker());
        loop {
            ready!(idle.as_mut().poll(cx));
            let left = idle_time.saturating_sub(activity.quiet_for());
            if left.is_zero() {
                return Poll::Ready("no request came for too long");
            }
            idle.as_mut().reset(Instant::now() + left);
        }
    }
}

impl Check {
    /// Looks at bytes that arrived. What is refused: how many are sound, and
    /// what is read in place of the others.
    fn check(&mut self, new: &[u8]) -> Result<(), (usize, &'static [u8])> {
        match self {
            Check::Http1 { framing, bytes, .. } => {
                let in_body = framing.is_in_body();
                let head = framing.head();
                let checked = framing.check(new);
                let more = if in_body { 0 } else { new.len() };
                *bytes = if head.is_some() { *bytes + more } else { more };
                checked.map_err(|(sound, wrong)| match wrong {
                    Wrong::Ambiguous => (sound, INVALID),
                    Wrong::Version => (sound, UNKNOWN_VERSION),
                })
            }
            Check::Http2 { frames, preface, started } => {
                let (before, rest) = new.split_at(new.len().min(*preface));
                *preface -= before.len();
                let checked = frames.check(rest, started.elapsed().as_secs());
                checked.map_err(|sound| (before.len() + sound, &TOO_MANY[..]))
            }
        }
    }

    /// The number of the head that has begun and not ended, if there is one.
    fn head(&self) -> Option<u64> {
        match self {
            Check::Http1 { framing, .. } => framing.head(),
            Check::Http2 { preface: 1.., .. } => Some(0),
            Check::Http2 { frames, .. } => frames.head(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Checked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.refusal.is_none() {
            let before = buffer.filled().len();
            match Pin::new(&mut self.stream).poll_read(cx, buffer) {
                Poll::Ready(read) => read?,
                Poll::Pending => {
                    let late = ready!(self.poll_late(cx));
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)));
                }
            }
            let new = buffer.filled().get(before..).unwrap_or_default();
            let checked = self.check.check(new);
            self.activity.set_head_begun(self.check.head().is_some());
            self.hold_head()?;
            if let Err((sound, instead)) = checked {
                buffer.set_filled(before + sound);
                self.refusal = Some(instead);
            }
        }
        self.read_refusal(buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Checked<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.check.sent(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, pieces);
        this.check.sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Check {
    fn sent(&mut self, written: &Poll<io::Result<usize>>) {
        if let (Check::Http2 { frames, .. }, Poll::Ready(Ok(count))) = (self, written) {
            frames.sent(*count);
        }
    }
}
