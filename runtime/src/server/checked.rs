//! A stream whose incoming bytes are checked before hyper reads them: framing
//! and the time of heads for HTTP/1.1, floods for HTTP/2.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::frames::{Frames, PREFACE, TOO_MANY};
use super::framing::Framing;
use super::timed::Timed;

/// A stream whose incoming bytes pass a check.
pub(super) struct Checked<S> {
    stream: Timed<S>,
    check: Check,
    /// What is left to be read in place of what was refused.
    refusal: Option<&'static [u8]>,
}

enum Check {
    Http1 {
        framing: Framing,
        /// How long a head may take, from its first byte to its last.
        head_time: Duration,
        /// Running within a head.
        head: Option<Pin<Box<Sleep>>>,
    },
    Http2 {
        frames: Frames,
        /// What is left of the preface, in bytes.
        preface: usize,
        started: Instant,
    },
}

/// No request can have this where a head or a chunk goes on: hyper answers 400
/// and closes, after the answers to the requests before.
const INVALID: &[u8] = b"\0\r\n\r\n";

impl<S> Checked<S> {
    pub(super) fn http1(stream: Timed<S>, head_time: Duration) -> Checked<S> {
        let check = Check::Http1 { framing: Framing::default(), head_time, head: None };
        Checked { stream, check, refusal: None }
    }

    pub(super) fn http2(stream: Timed<S>) -> Checked<S> {
        let (preface, started) = (PREFACE.len(), Instant::now());
        let check = Check::Http2 { frames: Frames::default(), preface, started };
        Checked { stream, check, refusal: None }
    }

    fn read_refusal(&mut self, buffer: &mut ReadBuf<'_>) {
        if let Some(left) = &mut self.refusal {
            let (now, later) = left.split_at(left.len().min(buffer.remaining()));
            buffer.put_slice(now);
            *left = later;
        }
    }
}

impl Check {
    /// Looks at bytes that arrived. What is refused: how many are sound, and
    /// what is read in place of the others.
    fn check(&mut self, bytes: &[u8]) -> Result<(), (usize, &'static [u8])> {
        match self {
            Check::Http1 { framing, .. } => framing.check(bytes).map_err(|sound| (sound, INVALID)),
            Check::Http2 { frames, preface, started } => {
                let (before, rest) = bytes.split_at(bytes.len().min(*preface));
                *preface -= before.len();
                let checked = frames.check(rest, started.elapsed().as_secs());
                checked.map_err(|sound| (before.len() + sound, &TOO_MANY[..]))
            }
        }
    }

    /// Ready once a head has taken too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Check::Http1 { framing, head_time, head } = self else { return Poll::Pending };
        if !framing.is_within_head() {
            *head = None;
            return Poll::Pending;
        }
        head.get_or_insert_with(|| Box::pin(sleep(*head_time))).as_mut().poll(cx)
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
                    ready!(self.check.poll_late(cx));
                    let late = "the head of a request took too long";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)));
                }
            }
            let new = buffer.filled().get(before..).unwrap_or_default();
            if let Err((sound, instead)) = self.check.check(new) {
                buffer.set_filled(before + sound);
                self.refusal = Some(instead);
            }
        }
        self.read_refusal(buffer);
        Poll::Ready(Ok(()))
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
