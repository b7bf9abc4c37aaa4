//! The bodies that are sent: whole, or read from a file or made by a guest while
//! they are sent.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

use crate::compress::Encoded;
use crate::files::FileReader;
use crate::observe::Visit;

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    /// What is left of these bytes.
    Bytes(Bytes),
    /// A file, in pieces.
    File(FileReader),
    /// One after the other.
    Parts(VecDeque<Body>),
    /// Encoded while it is sent.
    Encoded(Box<Encoded>),
    /// One piece that the server still works on.
    Later(Later),
    /// Made by a guest while it is sent, with trailers.
    Streamed(UnsyncBoxBody<Bytes, io::Error>),
}

impl Body {
    pub(crate) fn empty() -> Body {
        Body::Bytes(Bytes::new())
    }

    /// Whether a guest makes it while it is sent.
    fn is_of_guest(&self) -> bool {
        match self {
            Body::Streamed(_) => true,
            Body::Encoded(encoded) => encoded.body().is_of_guest(),
            Body::Bytes(_) | Body::File(_) | Body::Parts(_) | Body::Later(_) => false,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body::Bytes(bytes)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = match &mut *self {
            Body::Bytes(bytes) if bytes.is_empty() => None,
            Body::Bytes(bytes) => Some(Ok(bytes.split_to(bytes.len().min(TURN)))),
            Body::File(reader) => reader.next_piece().transpose(),
            Body::Parts(parts) => {
                while let Some(part) = parts.front_mut() {
                    let piece = ready!(Pin::new(part).poll_frame(cx));
                    if piece.is_some() {
                        return Poll::Ready(piece);
                    }
                    parts.pop_front();
                }
                None
            }
            Body::Encoded(encoded) => return encoded.poll_frame(cx),
            Body::Later(later) => ready!(later.poll_piece(cx)),
            Body::Streamed(stream) => return Pin::new(stream).poll_frame(cx),
        };
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Encoded(encoded) => encoded.is_over(),
            Body::Later(later) => later.0.is_none(),
            Body::Streamed(stream) => stream.is_end_stream(),
            body => body.length() == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Body {
    /// What is left to send, in bytes, if it can be foreseen.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::File(reader) => Some(reader.left()),
            Body::Parts(parts) => parts.iter().map(Body::length).sum(),
            Body::Encoded(_) | Body::Later(_) | Body::Streamed(_) => None,
        }
    }
}

/// Bytes that the server still works on; none once they were sent.
pub(crate) struct Later(Option<Pin<Box<Working>>>);

type Working = dyn Future<Output = io::Result<Bytes>> + Send;

impl Later {
    pub(crate) fn new(work: impl Future<Output = io::Result<Bytes>> + Send + 'static) -> Later {
        Later(Some(Box::pin(work)))
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let Some(work) = &mut self.0 else { return Poll::Ready(None) };
        let done = ready!(work.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(Some(done))
    }
}

impl std::fmt::Debug for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Later")
    }
}

/// A body that tells its visit what was sent of it, and ends it.
pub(crate) struct Observed {
    body: Body,
    visit: Box<Visit>,
    /// What was sent since others had their turn, in bytes.
    in_turn: usize,
    /// Whether the request's headers are no longer in memory.
    has_no_head: bool,
}

/// What is sent before others have their turn, in bytes: a client that takes all at once
/// keeps nobody waiting.
const TURN: usize = 128 << 10;

impl Observed {
    pub(crate) fn new(body: Body, mut visit: Box<Visit>) -> Observed {
        let has_no_head = visit.forget_headers();
        Observed { body, visit, in_turn: 0, has_no_head }
    }

    /// Whether the request's headers are no longer in memory.
    pub(crate) fn has_no_head(&self) -> bool {
        self.has_no_head
    }

    /// Whether a guest makes it while it is sent.
    pub(crate) fn is_of_guest(&self) -> bool {
        self.body.is_of_guest()
    }
}

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.in_turn >= TURN {
            self.in_turn = 0;
            if !self.body.is_end_stream() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.in_turn += bytes;
            self.visit.sent(bytes);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
