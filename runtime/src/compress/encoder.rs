//! Encodes bodies, whole or while they are sent: short pieces where connections are
//! served, all others in the background.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
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
use crate::request::Request;
use crate::wasm::{Job, Work};

/// Brotli's and gzip's level: what both gain beyond it costs more than it saves
/// on the way.
const BROTLI_QUALITY: u32 = 4;
const GZIP_LEVEL: Compression = Compression::new(5);
/// The base-2 logarithm of Brotli's window: an encoder holds some of them.
const BROTLI_WINDOW: u32 = 18;
/// What Brotli hands on at once, in bytes.
const BROTLI_BUFFER: usize = 4_096;

/// An app's body up to this is encoded as a whole, in bytes; a larger one while it is
/// sent.
const WHOLE: usize = 64 << 10;

/// Work up to this is done where connections are served, in bytes: some hundred
/// microseconds, as long as the tenant's share lasts.
const SHORT: usize = 16 << 10;

/// What is encoded in one turn, in bytes: a block of Brotli, some two milliseconds.
const PIECE: usize = 64 << 10;

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

/// Where a file's content in a coding is kept, `None` inside if that is not smaller.
pub(crate) type Kept = Arc<[OnceLock<Option<Bytes>>; 2]>;

/// Where the content is kept once all of it was encoded.
struct Keep {
    kept: Kept,
    place: usize,
    /// The encoded pieces so far, and the bytes that they are made of.
    pieces: Vec<Bytes>,
    read: usize,
}

impl Encoders {
    /// An app's body in a coding: a small one whole, a large one while it is sent. The
    /// body itself if the coding does not make it smaller, or if too many are encoded
    /// already.
    pub(crate) async fn answer(
        &self,
        body: Body,
        coding: Coding,
        work: &Work,
        request: &Arc<Request>,
    ) -> Result<Body, Body> {
        let bytes = match body {
            Body::Bytes(bytes) if bytes.len() <= WHOLE => bytes,
            body => return self.stream(body, coding, work, request, None),
        };
        let of = bytes.clone();
        let encode = move || whole(&of, coding);
        let encoded = match bytes.len() <= SHORT {
            true => work.short(request, encode).await,
            false => work.start(request, encode).await,
        };
        encoded.flatten().map(Body::from).ok_or(Body::Bytes(bytes))
    }

    /// A file's content in a coding: what is kept of it, or encoded now, or while it is
    /// sent.
    pub(crate) fn file(
        &self,
        content: (Body, &Kept),
        coding: Coding,
        work: &Work,
        request: &Arc<Request>,
    ) -> Result<Body, Body> {
        let (body, kept) = content;
        let place = usize::from(coding == Coding::Gzip);
        let Some(there) = kept.get(place) else { return Err(body) };
        let Body::Bytes(bytes) = &body else {
            return self.stream(body, coding, work, request, None);
        };
        let is_short = || bytes.len() <= SHORT && work.may_run_here();
        if there.get().is_some() || is_short() {
            let encode = || work.here(request, || whole(bytes, coding));
            return there.get_or_init(encode).clone().map(Body::from).ok_or(body);
        }
        let keep = Keep { kept: kept.clone(), place, pieces: Vec::new(), read: bytes.len() };
        self.stream(body, coding, work, request, Some(keep))
    }

    fn stream(
        &self,
        body: Body,
        coding: Coding,
        work: &Work,
        request: &Arc<Request>,
        keep: Option<Keep>,
    ) -> Result<Body, Body> {
        let Ok(place) = self.0.clone().try_acquire_owned() else { return Err(body) };
        Ok(Body::Encoded(Box::new(Encoded {
            body,
            next: None,
            stage: Stage::Rests(Encoder::Unmade(coding)),
            waiting: 0,
            work: work.clone(),
            request: request.clone(),
            keep,
            _place: place,
        })))
    }
}

enum Encoder {
    Unmade(Coding),
    Brotli(Box<CompressorWriter<Writer<BytesMut>>>),
    Gzip(Box<GzEncoder<Writer<BytesMut>>>),
}

impl Encoder {
    fn made(self) -> Encoder {
        let Encoder::Unmade(coding) = self else { return self };
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
            Encoder::Unmade(_) => return Err(io::ErrorKind::NotConnected.into()),
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
            Encoder::Unmade(_) => return Ok(Bytes::new()),
            Encoder::Brotli(writer) => writer.into_inner(),
            Encoder::Gzip(writer) => writer.finish()?,
        };
        Ok(out.into_inner().freeze())
    }

    /// Encodes what the body gave; the encoder is gone after the end.
    fn work(self, next: Next) -> Worked {
        let mut encoder = self.made();
        match next {
            Next::Bytes(bytes) => {
                let piece = encoder.write(&bytes);
                Worked { encoder: piece.is_ok().then_some(encoder), piece }
            }
            Next::End => Worked { encoder: None, piece: encoder.finish() },
            Next::Broken(error) => Worked { encoder: None, piece: Err(error) },
        }
    }
}

/// Bytes in a coding, if that makes them smaller.
fn whole(bytes: &[u8], coding: Coding) -> Option<Bytes> {
    let mut encoder = Encoder::Unmade(coding).made();
    let start = encoder.write(bytes).ok()?;
    let end = encoder.finish().ok()?;
    let all = if start.is_empty() { end } else { [start, end].concat().into() };
    (all.len() < bytes.len()).then_some(all)
}

/// A body that is encoded while it is sent: a piece is encoded while the one before is
/// on its way to the client. A client that takes nothing stops the work.
pub(crate) struct Encoded {
    body: Body,
    /// What is encoded next.
    next: Option<Next>,
    stage: Stage,
    /// Bytes in the encoder of which nothing came out yet.
    waiting: usize,
    work: Work,
    request: Arc<Request>,
    keep: Option<Keep>,
    _place: OwnedSemaphorePermit,
}

/// What a body gave.
enum Next {
    Bytes(Bytes),
    End,
    Broken(io::Error),
}

enum Stage {
    Rests(Encoder),
    Works(Job<Worked>),
    Over,
}

struct Worked {
    /// None once the end is encoded.
    encoder: Option<Encoder>,
    piece: io::Result<Bytes>,
}

impl Encoded {
    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    /// Whether all was sent.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            let worked = match &mut self.stage {
                Stage::Over => return Poll::Ready(None),
                Stage::Rests(_) => {
                    ready!(self.poll_next(cx));
                    self.go_on();
                    continue;
                }
                Stage::Works(job) => ready!(Pin::new(job).poll(cx)),
            };
            let failed = || io::Error::other("the encoder failed");
            let Some(Worked { encoder, piece }) = worked else {
                self.stage = Stage::Over;
                return Poll::Ready(Some(Err(failed())));
            };
            self.stage = encoder.map_or(Stage::Over, Stage::Rests);
            match piece {
                // The encoder keeps what it has until there is more of it.
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    self.waiting = 0;
                    self.keep(&bytes);
                    if !self.is_over() && self.poll_next(cx).is_ready() {
                        self.go_on();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// Ready when the body has given what is encoded next, or its end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.next.is_none() {
            self.next = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Err(error)) => Some(Next::Broken(error)),
                Some(Ok(frame)) => {
                    let bytes = frame.into_data().unwrap_or_default();
                    Some(Next::Bytes(bytes)).filter(|next| !next.is_empty())
                }
                None => Some(Next::End),
            };
        }
        Poll::Ready(())
    }

    /// Encodes the next piece: a short one here, else in the background.
    fn go_on(&mut self) {
        let Stage::Rests(encoder) = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        let piece = match self.next.take() {
            Some(Next::Bytes(mut bytes)) => {
                let piece = bytes.split_to(bytes.len().min(PIECE));
                self.next = Some(Next::Bytes(bytes)).filter(|next| !next.is_empty());
                self.waiting += piece.len();
                Next::Bytes(piece)
            }
            next => next.unwrap_or(Next::End),
        };
        let encode = move || encoder.work(piece);
        self.stage = Stage::Works(match self.waiting <= SHORT && self.work.may_run_here() {
            true => Job::Done(Some(self.work.here(&self.request, encode))),
            false => self.work.start(&self.request, encode),
        });
    }

    /// Keeps a piece that was encoded, and all of them after the last.
    fn keep(&mut self, bytes: &Bytes) {
        let Some(keep) = &mut self.keep else { return };
        keep.pieces.push(bytes.clone());
        if self.is_over()
            && let Some(keep) = self.keep.take()
            && let Some(there) = keep.kept.get(keep.place)
        {
            let all: Bytes = keep.pieces.concat().into();
            let is_smaller = all.len() < keep.read;
            // Another request may have been faster.
            let _ = there.set(is_smaller.then_some(all));
        }
    }
}

impl Next {
    fn is_empty(&self) -> bool {
        matches!(self, Next::Bytes(bytes) if bytes.is_empty())
    }
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoded").field("body", &self.body).finish_non_exhaustive()
    }
}
