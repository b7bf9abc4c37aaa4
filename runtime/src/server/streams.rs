//! The streams of an HTTP/2 connection: a client that takes nothing of one has
//! it reset, so that what it asked for does not stay in memory.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep};

use super::activity::Tracked;
use super::memory::Held;

/// What is handed to hyper at once, in bytes. It takes the next piece when the
/// client has taken what was before, so each is a sign that the client goes on.
const PIECE: usize = 16 << 10;

/// What a stream holds of a body without being counted, in bytes.
const SMALL: usize = 1 << 10;

/// Runs the streams of a connection, each as long as its client goes on.
#[derive(Clone)]
pub(super) struct Streams {
    /// How long a client may take nothing of an answer.
    send_time: Duration,
    /// The stream whose request was just handed out: hyper runs it next.
    begun: Arc<Mutex<Option<Arc<Progress>>>>,
}

/// How the answer of a stream goes on.
pub(super) struct Progress {
    began: Instant,
    /// When the client took something last, in milliseconds after the start;
    /// 0 while there is nothing for it to take.
    taken: AtomicU64,
}

impl Streams {
    pub(super) fn new(send_time: Duration) -> Streams {
        Streams { send_time, begun: Arc::default() }
    }

    /// A request was handed out; what hyper runs next is its stream.
    pub(super) fn begin(&self) -> Arc<Progress> {
        let progress = Arc::new(Progress { began: Instant::now(), taken: AtomicU64::new(0) });
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.clone());
        progress
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let progress = self.begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        let send_time = self.send_time;
        tokio::spawn(async move {
            let Some(progress) = progress else { return stream.await };
            tokio::select! {
                () = stream => {}
                // A stream that is dropped is reset.
                () = progress.stalled(send_time) => {}
            }
        });
    }
}

impl Progress {
    fn goes_on(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.taken.store(now.max(1), Relaxed);
    }

    /// Ready once the client has taken nothing for so long.
    async fn stalled(&self, most: Duration) {
        loop {
            let idle = match self.taken.load(Relaxed) {
                0 => Duration::ZERO,
                taken => self.began.elapsed().saturating_sub(Duration::from_millis(taken)),
            };
            if idle >= most {
                return;
            }
            sleep(most - idle).await;
        }
    }
}

/// An answer's body in small pieces.
pub(super) struct Pieces {
    body: Tracked,
    /// What is left of what the body gave last.
    left: Bytes,
    /// The memory of that.
    held: Option<Held>,
    progress: Arc<Progress>,
    /// Whether the stream waits for its client.
    waits: bool,
}

/// The last piece of a body, with memory that is held until it is sent.
struct Last {
    bytes: Bytes,
    _held: [Option<Held>; 2],
}

impl AsRef<[u8]> for Last {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Pieces {
    pub(super) fn new(body: Tracked, progress: Arc<Progress>) -> Pieces {
        Pieces { body, left: Bytes::new(), held: None, progress, waits: false }
    }

    fn set_waits(&mut self, waits: bool) {
        if let Some(activity) = self.body.activity().filter(|_| self.waits != waits) {
            activity.wait(waits);
            self.waits = waits;
        }
    }

    /// Takes what the body gave, with memory for it.
    fn take(&mut self, bytes: Bytes) -> io::Result<()> {
        self.held = None;
        if let Some(activity) = self.body.activity().filter(|_| bytes.len() > SMALL) {
            self.held = Some(activity.must_hold(bytes.len())?);
        }
        self.left = bytes;
        Ok(())
    }

    /// The next piece. Nobody tells when the last piece is sent, so the piece holds its
    /// memory itself.
    fn piece(&mut self) -> Bytes {
        let size = self.left.len().min(PIECE);
        let bytes = self.left.split_to(size);
        if !self.left.is_empty() || !self.body.is_end_stream() {
            return bytes;
        }
        let held = [self.body.take_held(), self.held.take()];
        Bytes::from_owner(Last { bytes, _held: held })
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.set_waits(false);
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.progress.goes_on();
        if self.left.is_empty() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => self.take(bytes)?,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                Poll::Pending => {
                    // The client waits for the answer, not the other way around.
                    self.progress.taken.store(0, Relaxed);
                    self.set_waits(false);
                    return Poll::Pending;
                }
                ended => return ended,
            }
        }
        self.set_waits(true);
        let piece = self.piece();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // It is asked before anything was taken of the body.
        self.body.size_hint()
    }
}
