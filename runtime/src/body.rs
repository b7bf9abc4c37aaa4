//! The bodies that are sent: whole, or read from a file or made by a guest while
//! they are sent.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

use crate::compress::Encoded;
use crate::files::FileReader;
use crate::observe::Visit;

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    /// What is left of these bytes: all or nothing.
    Bytes(Bytes),
    /// A file, in pieces.
    File(FileReader),
    /// One after the other.
    Parts(VecDeque<Body>),
    /// Encoded while it is sent.
    Encoded(Box<Encoded>),
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
            Body::Bytes(_) | Body::File(_) | Body::Parts(_) => false,
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
            Body::Bytes(bytes) => Some(Ok(std::mem::take(bytes))),
            Body::File(reader) => {
                if reader.is_others_turn() {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                reader.next_piece().transpose()
            }
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
            Body::Streamed(stream) => return Pin::new(stream).poll_frame(cx),
        };
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Encoded(encoded) => encoded.is_over(),
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
            Body::Encoded(_) | Body::Streamed(_) => None,
        }
    }
}

/// A body that tells its visit what was sent of it, and ends it.
pub(crate) struct Observed {
    body: Body,
    visit: Box<Visit>,
    /// Whether the request's headers are no longer in memory.
    has_no_head: bool,
}

impl Observed {
    pub(crate) fn new(body: Body, mut visit: Box<Visit>) -> Observed {
        let has_no_head = visit.forget_headers();
        Observed { body, visit, has_no_head }
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
        let began = matches!(self.body, Body::Encoded(_)).then(Instant::now);
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(began) = began {
            self.visit.worked(began.elapsed());
        }
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.visit.sent(frame.data_ref().map_or(0, Bytes::len));
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
