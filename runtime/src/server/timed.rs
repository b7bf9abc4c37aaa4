//! A stream whose answers are taken in time: what a client does not take is
//! memory that others need.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a client may be slower than its least rate.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// How often a slow client is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A stream, with what was read of it already, whose writes do not stall.
pub(super) struct Timed<S> {
    stream: S,
    /// What was read before, and is read first.
    before: Bytes,
    /// How long the client may take nothing.
    send_time: Duration,
    /// The least that it takes, in bytes a second.
    rate: usize,
    /// Running while the client keeps a write waiting.
    stall: Option<Stall>,
}

struct Stall {
    since: Instant,
    /// Taken since then, in bytes.
    taken: usize,
    /// When the client took something last.
    last: Instant,
    look: Pin<Box<Sleep>>,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, before: Bytes, send_time: Duration, rate: usize) -> Timed<S> {
        Timed { stream, before, send_time, rate, stall: None }
    }

    fn in_time(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            if let (Some(stall), Ok(count)) = (&mut self.stall, &written) {
                stall.taken += count;
                stall.last = Instant::now();
            }
            return Poll::Ready(written);
        }
        let look = LOOK.min(self.send_time);
        let stall = self.stall.get_or_insert_with(|| {
            let now = Instant::now();
            Stall { since: now, taken: 0, last: now, look: Box::pin(sleep(look)) }
        });
        loop {
            ready!(stall.look.as_mut().poll(cx));
            let now = Instant::now();
            let late = now.duration_since(stall.since).saturating_sub(GRACE);
            let least = late.as_secs_f64() * self.rate as f64;
            if now.duration_since(stall.last) >= self.send_time || (stall.taken as f64) < least {
                let late = "the client takes its answer too slowly";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)));
            }
            stall.look.as_mut().reset(now + look);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.before.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = self.before.len().min(buffer.remaining());
        buffer.put_slice(self.before.get(..count).unwrap_or_default());
        self.before.advance(count);
        if self.before.is_empty() {
            // Gives its memory back.
            self.before = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.stall = None;
            return flushed;
        }
        self.in_time(cx, Poll::Pending).map_ok(drop)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(cx);
        if ended.is_ready() {
            return ended;
        }
        self.in_time(cx, Poll::Pending).map_ok(drop)
    }
}
