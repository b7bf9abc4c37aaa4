//! A stream whose answers are taken in time: what a client does not take is
//! memory that others need.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::activity::Activity;
use super::memory::Held;
use super::stream::Stream;

/// How long a client may send a body slower than at its least rate.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// How often a slow client is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What waits to be written while the client takes nothing, in bytes.
const BLOCKED: usize = 64 << 10;

/// A stream whose writes do not stall.
pub(super) struct Timed {
    stream: Stream,
    /// How long the client may take nothing. Even one that goes on does not show
    /// it all the time: its system tells of room in large steps.
    send_time: Duration,
    /// The least that it takes beyond that, in bytes a second.
    rate: usize,
    /// Since the client kept a write waiting.
    pace: Option<Pace>,
    activity: Arc<Activity>,
    /// The memory of what waits to be written, while it does.
    blocked: Option<Held>,
}

/// How a client takes what is sent.
struct Pace {
    /// The least that it is to take, in bytes a second, and how long it may take
    /// nothing.
    rate: f64,
    send_time: Duration,
    /// What it took beyond its least rate while it was waited for, in bytes. It
    /// never counts for more than what it may take nothing for: that it was fast
    /// once is no reason to wait for it later.
    lead: f64,
    /// Until when that is counted, while it is waited for.
    counted: Option<Instant>,
    /// When the client took something last, or was waited for anew.
    last: Instant,
    /// Whether there was room the last time that it was looked for.
    room: bool,
    look: Pin<Box<Sleep>>,
}

impl Timed {
    pub(super) fn new(
        stream: Stream,
        send_time: Duration,
        rate: usize,
        activity: Arc<Activity>,
    ) -> Timed {
        Timed { stream, send_time, rate, pace: None, activity, blocked: None }
    }

    /// A write waits for the client.
    fn block(&mut self) -> io::Result<()> {
        if self.blocked.is_none() {
            self.blocked = Some(self.activity.must_hold(BLOCKED)?);
            self.activity.wait(true);
        }
        Ok(())
    }

    /// No write waits for the client any more.
    fn unblock(&mut self) {
        if self.blocked.take().is_some() {
            self.activity.wait(false);
        }
    }

    /// A write has ended, with so many bytes.
    fn wrote(&mut self, written: &io::Result<usize>) {
        self.unblock();
        self.activity.moved(*written.as_ref().unwrap_or(&0));
    }

    /// What was written, or what can be said of a client that keeps a write
    /// waiting.
    fn in_time(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            self.wrote(&written);
            if let (Some(pace), Ok(count)) = (&mut self.pace, &written) {
                pace.took(*count, Instant::now());
            }
            return Poll::Ready(written);
        }
        self.block()?;
        let (rate, send_time, now) = (self.rate, self.send_time, Instant::now());
        let pace = self.pace.get_or_insert_with(|| Pace::new(rate, send_time, now));
        pace.wait(now);
        loop {
            if !pace.room {
                ready!(pace.look.as_mut().poll(cx));
                pace.look.as_mut().reset(Instant::now() + LOOK.min(send_time));
            }
            // The system tells of room once there is much. Here a little is a sign
            // that the client goes on.
            match self.stream.write_now(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => pace.room = false,
                written => {
                    pace.room = true;
                    pace.took(*written.as_ref().unwrap_or(&0), Instant::now());
                    self.wrote(&written);
                    return Poll::Ready(written);
                }
            }
            if pace.is_late(Instant::now()) {
                self.stream.forget_unsent();
                let late = "the client takes its answer too slowly";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)));
            }
        }
    }
}

impl Pace {
    fn new(rate: usize, send_time: Duration, now: Instant) -> Pace {
        let rate = rate as f64;
        let lead = rate * send_time.as_secs_f64();
        let look = Box::pin(sleep(LOOK.min(send_time)));
        Pace { rate, send_time, lead, counted: None, last: now, room: false, look }
    }

    /// The client is waited for.
    fn wait(&mut self, now: Instant) {
        if self.counted.is_none() {
            (self.counted, self.last) = (Some(now), now);
        }
    }

    fn took(&mut self, count: usize, now: Instant) {
        self.count(now);
        self.lead += count as f64;
        (self.counted, self.last) = (None, now);
    }

    fn is_late(&mut self, now: Instant) -> bool {
        self.count(now);
        self.lead < 0.0 || now - self.last >= self.send_time
    }

    /// Counts the time for which the client was waited for.
    fn count(&mut self, now: Instant) {
        let waited = self.counted.replace(now).map_or(Duration::ZERO, |since| now - since);
        let most = self.rate * self.send_time.as_secs_f64();
        self.lead = self.lead.min(most) - self.rate * waited.as_secs_f64();
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.unblock();
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let count = buffer.filled().len() - before;
        if count > 0 {
            self.activity.moved(count);
        }
        read
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        let first = pieces.iter().find(|piece| !piece.is_empty());
        self.in_time(cx, written, first.map_or(&[], |piece| piece))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many seconds a client is given up that takes so many bytes at once,
    /// every so many seconds; the least rate is 500 B/s after 30 s.
    async fn given_up(bytes: usize, every: u64) -> Option<u64> {
        let began = Instant::now();
        let mut pace = Pace::new(500, Duration::from_secs(30), began);
        pace.wait(began);
        (1..10_000).find(|&second| {
            let now = began + Duration::from_secs(second);
            let late = pace.is_late(now);
            if second % every == 0 {
                pace.took(bytes, now);
                pace.wait(now);
            }
            late
        })
    }

    #[tokio::test]
    async fn a_client_below_the_least_rate_is_given_up_however_steady_it_is() {
        assert_eq!(given_up(0, u64::MAX).await, Some(30), "nothing");
        assert_eq!(given_up(1, 29).await, Some(31), "next to nothing");
        assert_eq!(given_up(250, 1).await, Some(60));
        assert!(given_up(490, 1).await.is_some());
        assert_eq!(given_up(500, 1).await, None);
        assert_eq!(given_up(500 * 20, 20).await, None, "in large steps");
        assert_eq!(given_up(1 << 20, 30).await, Some(30), "fast at times");
    }
}
