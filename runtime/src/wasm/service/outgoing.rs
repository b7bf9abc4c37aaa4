//! The body of an answer while a guest makes it: of the length that it declared,
//! ended only if the guest ended it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::AbortHandle;
use wasmtime_wasi_http::{Error, WasiBody};

use super::{Fate, Place};
use crate::declared::{Declared, Mismatch};
use crate::wasm::convert;

/// What a guest hands over, checked. Its guest is stopped when this is dropped
/// before its end.
pub(super) struct Outgoing {
    frames: WasiBody,
    declared: Declared,
    fate: Fate,
    place: Place,
    guest: AbortHandle,
    over: bool,
}

impl Outgoing {
    pub(super) fn new(
        frames: WasiBody,
        length: Option<usize>,
        fate: Fate,
        place: Place,
        guest: AbortHandle,
    ) -> Outgoing {
        let declared = Declared::new(length.map(|length| length as u64));
        Outgoing { frames, declared, fate, place, guest, over: false }
    }

    /// The frame, checked; what is wrong with it.
    fn check(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, String> {
        match frame.into_data() {
            Ok(bytes) => {
                self.declared.take(bytes.len()).map_err(told)?;
                Ok(Frame::data(bytes))
            }
            Err(frame) => {
                self.declared.end().map_err(told)?;
                let mut trailers = frame.into_trailers().unwrap_or_default();
                convert::check_trailers(&mut trailers).map_err(|error| error.to_string())?;
                Ok(Frame::trailers(trailers))
            }
        }
    }
}

fn told(mismatch: Mismatch) -> String {
    mismatch.to_string()
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let polled = ready!(Pin::new(&mut self.frames).poll_frame(cx));
        let cut = matches!(polled, Some(Err(Error::HttpResponseIncomplete)));
        let next = match polled {
            Some(Ok(frame)) => self.check(frame).map(Some),
            // Whoever waits for the guest says why.
            _ if cut || self.fate.has_failed() => {
                self.over = true;
                return Poll::Ready(Some(Err(io::Error::other("the guest failed"))));
            }
            Some(Err(_)) => Err("it did not finish its body as it declared".to_owned()),
            None => self.declared.end().map(|()| None).map_err(told),
        };
        match next {
            Ok(Some(frame)) => {
                self.over = frame.is_trailers();
                Poll::Ready(Some(Ok(frame)))
            }
            Ok(None) => {
                self.over = true;
                Poll::Ready(None)
            }
            Err(why) => {
                self.place.broke_off(&why);
                Poll::Ready(Some(Err(io::Error::other(why))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || (self.declared.is_over() && self.frames.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.declared.size_hint()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        // Whoever sends it asks for no more than was declared.
        let all = self.declared.is_known() && self.declared.is_over();
        if !all && !self.is_end_stream() {
            self.guest.abort();
        }
    }
}
