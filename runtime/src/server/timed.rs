//! A stream whose answers are taken in time: what a client does not take is
//! memory that others need.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::stream::Stream;

/// How long a client may send a body slower than at its least rate.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// After so many times of what it may take nothing, the rate of a client is
/// counted anew: that it was fast once is no reason to wait for it later.
const WINDOW: u32 = 2;

/// How often a slow client is looked at.
const LOOK: Duration = Duration::from_secs(1);

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
}

/// How a client takes what is sent.
struct Pace {
    since: Instant,
    /// Taken since then, in bytes.
    taken: usize,
    /// When the client took something last.
    last: Instant,
    /// Since when it has taken all that there was.
    caught_up: Option<Instant>,
    /// Whether there was room the last time that it was looked for.
    room: bool,
    look: Pin<Box<Sleep>>,
}

impl Timed {
    pub(super) fn new(stream: Stream, send_time: Duration, rate: usize) -> Timed {
        Timed { stream, send_time, rate, pace: None }
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
            if let (Some(pace), Ok(count)) = (&mut self.pace, &written) {
                pace.took(*count);
            }
            return Poll::Ready(written);
        }
        let look = LOOK.min(self.send_time);
        let pace = self.pace.get_or_insert_with(|| Pace::new(look));
        if pace.caught_up.take().is_some_and(|since| since.elapsed() > LOOK) {
            *pace = Pace::new(look);
        }
        loop {
            if !pace.room {
                ready!(pace.look.as_mut().poll(cx));
                pace.look.as_mut().reset(Instant::now() + look);
            }
            // The system tells of room once there is much. Here a little is a sign
            // that the client goes on.
            match self.stream.write_now(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => pace.room = false,
                written => {
                    pace.room = true;
                    pace.took(*written.as_ref().unwrap_or(&0));
                    return Poll::Ready(written);
                }
            }
            if pace.is_late(self.send_time, self.rate) {
                self.stream.forget_unsent();
                let late = "the client takes its answer too slowly";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)));
            }
        }
    }
}

impl Pace {
    fn new(look: Duration) -> Pace {
        let now = Instant::now();
        Pace {
            since: now,
            taken: 0,
            last: now,
            caught_up: None,
            room: false,
            look: Box::pin(sleep(look)),
        }
    }

    fn took(&mut self, count: usize) {
        self.taken += count;
        self.last = Instant::now();
    }

    fn is_late(&mut self, send_time: Duration, rate: usize) -> bool {
        let passed = self.since.elapsed();
        let least = passed.saturating_sub(send_time).as_secs_f64() * rate as f64;
        let late = self.last.elapsed() >= send_time || (self.taken as f64) < least;
        if passed >= send_time.saturating_mul(WINDOW) {
            (self.since, self.taken) = (Instant::now(), 0);
        }
        late
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
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
        if let Some(pace) = &mut self.pace {
            pace.caught_up.get_or_insert_with(Instant::now);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
