//! Encodes bodies, whole or while they are sent.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use brotli::CompressorWriter;
use bytes::buf::Writer;
use bytes::{BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::{Body as _, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Coding;
use crate::body::Body;

/// Brotli's and gzip's level: what both gain beyond it costs more than it saves
/// on the way.
const BROTLI_QUALITY: u32 = 4;
const GZIP_LEVEL: Compression = Compression::new(5);
/// The base-2 logarithm of Brotli's window: an encoder holds some of them.
const BROTLI_WINDOW: u32 = 18;
/// What Brotli hands on at once, in bytes.
const BROTLI_BUFFER: usize = 4_096;

/// A body up to this is encoded at once, in bytes; a larger one while it is sent.
const AT_ONCE: usize = 64 << 10;

/// What of a larger one is encoded before others have their turn, in bytes: less
/// than a millisecond's work.
const SLICE: usize = 32 << 10;

/// Bodies that are encoded while they are sent, at the same time: each holds up
/// to a mebibyte, as long as its client takes.
const MOST: usize = 256;

/// Places for bodies that are encoded while they are sent.
#[derive(Clone, Debug)]
pub(crate) struct Encoders(Arc<Semaphore>);

impl Default for Encoders {
    fn default() -> Encoders {
        Encoders(Arc::new(Semaphore::new(MOST)))
    }
}

impl Encoders {
    /// A body in a coding: a small one at once, a large one while it is sent.
    /// The body itself if that does not make it smaller, or if too many are
    /// encoded already.
    pub(crate) fn encode(&self, body: Body, coding: Coding) -> Result<Body, Body> {
        match body {
            Body::Bytes(bytes) if bytes.len() <= AT_ONCE => match whole(&bytes, coding) {
                Some(smaller) => Ok(smaller.into()),
                None => Err(Body::Bytes(bytes)),
            },
            body => match self.0.clone().try_acquire_owned() {
                Err(_) => Err(body),
                Ok(place) => {
                    let encoder = Some(Encoder::new(coding));
                    let left = Bytes::new();
                    let encoded = Encoded { body, left, encoder, worked: false, _place: place };
                    Ok(Body::Encoded(Box::new(encoded)))
                }
            },
        }
    }
}

enum Encoder {
    Brotli(Box<CompressorWriter<Writer<BytesMut>>>),
    Gzip(Box<GzEncoder<Writer<BytesMut>>>),
}

impl Encoder {
    fn new(coding: Coding) -> Encoder {
        let out = BytesMut::new().writer();
        if coding == Coding::Brotli {
            let writer = CompressorWriter::new(out, BROTLI_BUFFER, BROTLI_QUALITY, BROTLI_WINDOW);
            Encoder::Brotli(Box::new(writer))
        } else {
            Encoder::Gzip(Box::new(GzEncoder::new(out, GZIP_LEVEL)))
        }
    }

    /// Takes bytes, and gives what is encoded so far.
    fn write(&mut self, bytes: &[u8]) -> io::Result<Bytes> {
        let out = match self {
            Encoder::Brotli(writer) => {
                writer.write_all(bytes)?;
                writer.get_mut()
            }
            Encoder::Gzip(writer) => {
                writer.write_all(bytes)?;
                writer.get_mut()
            }
        };
        Ok(out.get_mut().split().freeze())
    }

    /// The end.
    fn finish(self) -> io::Result<Bytes> {
        let out = match self {
            Encoder::Brotli(writer) => writer.into_inner(),
            Encoder::Gzip(writer) => writer.finish()?,
        };
        Ok(out.into_inner().freeze())
    }
}

/// Bytes in a coding, if that makes them smaller.
pub(crate) fn whole(bytes: &[u8], coding: Coding) -> Option<Bytes> {
    let mut encoder = Encoder::new(coding);
    let start = encoder.write(bytes).ok()?;
    let end = encoder.finish().ok()?;
    let all = if start.is_empty() { end } else { [start, end].concat().into() };
    (all.len() < bytes.len()).then_some(all)
}

/// A body that is encoded while it is sent.
pub(crate) struct Encoded {
    body: Body,
    /// What is left of what the body gave last.
    left: Bytes,
    /// None once the end is sent.
    encoder: Option<Encoder>,
    /// A slice was encoded since others had their turn.
    worked: bool,
    _place: OwnedSemaphorePermit,
}

impl Encoded {
    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    /// Whether all was sent.
    pub(crate) fn is_over(&self) -> bool {
        self.encoder.is_none()
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        while let Some(encoder) = &mut self.encoder {
            if std::mem::take(&mut self.worked) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.left.is_empty() {
                match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Some(Ok(frame)) => self.left = frame.into_data().unwrap_or_default(),
                    None => {
                        let end = self.encoder.take().map(Encoder::finish);
                        return Poll::Ready(end.map(|end| end.map(Frame::data)));
                    }
                }
            }
            let slice = self.left.split_to(self.left.len().min(SLICE));
            // Small pieces of a stream together are no more than a slice.
            self.worked = slice.len() == SLICE;
            let piece = encoder.write(&slice);
            match piece {
                // The encoder keeps what it has until there is more of it.
                Ok(bytes) if bytes.is_empty() => {}
                piece => return Poll::Ready(Some(piece.map(Frame::data))),
            }
        }
        Poll::Ready(None)
    }
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoded").field("body", &self.body).finish_non_exhaustive()
    }
}
