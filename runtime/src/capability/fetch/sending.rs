//! The body of a guest's request while it is sent: of the length that it
//! declared, and ended only if the guest ended it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::declared::Declared;
use crate::wasm::check_trailers;

/// What a guest hands over, checked. SECURITY: a body that is not what it
/// declared must break the connection off: what follows it there would else be
/// taken for another request.
pub(super) struct Sending {
    frames: WasiBody,
    declared: Declared,
    /// Whether the guest is gone: then its streams closed, and did not end.
    gone: Arc<AtomicBool>,
    /// The first piece, if it was waited for.
    first: Option<Result<Frame<Bytes>, Error>>,
    over: bool,
}

impl Sending {
    pub(super) fn new(frames: WasiBody, declared: Option<u64>, gone: Arc<AtomicBool>) -> Sending {
        // A body that is there whole says its length itself.
        let exact = frames.size_hint().exact();
        let declared = declared.or(exact);
        let over = declared == Some(0) && frames.is_end_stream();
        Sending { frames, declared: Declared::new(declared), gone, first: None, over }
    }

    /// Whether there is no body: then the request can be sent again.
    pub(super) fn is_empty(&self) -> bool {
        self.over && self.first.is_none()
    }

    /// Waits until it is known whether there is a body: a guest of 0.3 does not
    /// say it before, and `GET` hardly ever has one.
    pub(super) async fn peek(&mut self) {
        if !self.over && !self.declared.is_known() {
            self.first = self.frame().await;
            if self.is_empty() {
                self.declared = Declared::new(Some(0));
            }
        }
    }

    fn check(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        match frame.into_data() {
            Ok(bytes) => {
                let taken = self.declared.take(bytes.len());
                taken.map_err(|_| Error::HttpRequestBodySize(None))?;
                Ok(Frame::data(bytes))
            }
            Err(frame) => {
                self.check_end()?;
                let mut trailers = frame.into_trailers().unwrap_or_default();
                check_trailers(&mut trailers)
                    .map_err(|_| Error::HttpRequestTrailerSectionSize(None))?;
                Ok(Frame::trailers(trailers))
            }
        }
    }

    fn check_end(&self) -> Result<(), Error> {
        let whole = self.declared.is_over() && !self.gone.load(SeqCst);
        if whole { Ok(()) } else { Err(Error::HttpRequestBodySize(None)) }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        if self.over {
            return Poll::Ready(None);
        }
        let checked = match ready!(Pin::new(&mut self.frames).poll_frame(cx)) {
            Some(Ok(frame)) => self.check(frame).map(Some),
            Some(Err(error)) => Err(error),
            None => self.check_end().map(|()| None),
        };
        self.over = !matches!(&checked, Ok(Some(frame)) if frame.is_data());
        Poll::Ready(checked.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.declared.size_hint()
    }
}
