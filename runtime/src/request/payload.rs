//! A request's body before it is read, and how it is read whole.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::{Request, Upload};
use crate::error::Refusal;
use crate::limits::Limits;
use crate::server::GRACE;
use crate::tenant::UploadMemory;

/// A request's body, not yet read.
pub(crate) struct Payload(Arriving);

/// Told how a body arrives, until it is dropped.
pub(crate) trait Watch: Send + Sync {
    /// Its reader waits for more of it, or has some.
    fn waits(&mut self, waits: bool);
}

/// A body that arrives.
pub(super) enum Arriving {
    /// From a client.
    Client(Incoming, Option<Box<dyn Watch>>),
    /// From another app of the tenant.
    App(UnsyncBoxBody<Bytes, io::Error>),
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Arriving::Client(body, watch) => {
                let polled = Pin::new(&mut *body).poll_frame(cx).map_err(io::Error::other);
                watch.iter_mut().for_each(|watch| watch.waits(polled.is_pending()));
                if body.is_end_stream() {
                    *watch = None;
                }
                polled
            }
            Arriving::App(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Arriving::Client(body, _) => body.is_end_stream(),
            Arriving::App(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Arriving::Client(body, _) => body.size_hint(),
            Arriving::App(body) => body.size_hint(),
        }
    }
}

impl Payload {
    pub(crate) fn new(body: Incoming, watch: Option<Box<dyn Watch>>) -> Payload {
        Payload(Arriving::Client(body, watch))
    }

    /// The body of a request of another app of the tenant.
    pub(crate) fn of_app(body: UnsyncBoxBody<Bytes, io::Error>) -> Payload {
        Payload(Arriving::App(body))
    }

    /// Reads the body whole. What is read so far counts as `memory`.
    ///
    /// # Errors
    /// It is larger than the limit, announced or not, breaks off, takes too
    /// long, or there is no memory for it.
    pub(crate) async fn read(
        self,
        limits: &Limits,
        memory: &mut UploadMemory,
    ) -> Result<Bytes, Refusal> {
        if self.0.is_end_stream() {
            return Ok(Bytes::new());
        }
        self.check_length(limits)?;
        Box::pin(within(limits.body_time, collect(self.0, limits, memory))).await
    }

    /// The body, to be read while it arrives, and what is told if that fails.
    ///
    /// # Errors
    /// It is announced to be larger than the limit.
    pub(crate) fn upload(
        self,
        limits: &Limits,
        request: &Arc<Request>,
    ) -> Result<(Upload, oneshot::Receiver<Refusal>), Refusal> {
        self.check_length(limits)?;
        Ok(Upload::new(self.0, limits, request.clone()))
    }

    fn check_length(&self, limits: &Limits) -> Result<(), Refusal> {
        if self.0.size_hint().lower() > limits.body as u64 {
            return Err(Refusal::BodyTooLarge(limits.body));
        }
        Ok(())
    }
}

async fn within<T>(
    time: Duration,
    read: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    tokio::time::timeout(time, read).await.unwrap_or(Err(Refusal::BodyTooSlow))
}

/// The least room of a body that comes in pieces, in bytes.
const ROOM: usize = 64 << 10;

/// All pieces as one; a body in one piece is not copied. Its room counts as
/// `memory`, not only what has arrived: what is not written to yet may be memory
/// that another has used.
async fn collect(
    mut body: Arriving,
    limits: &Limits,
    memory: &mut UploadMemory,
) -> Result<Bytes, Refusal> {
    let most = limits.body;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut first = Bytes::new();
    let mut all = Vec::new();
    // How far the client may be behind: what came at once buys no time later.
    let mut until = Instant::now() + GRACE;
    loop {
        let next = timeout_at(until, body.frame()).await;
        let Some(frame) = next.map_err(|_| Refusal::BodyTooSlow)? else { break };
        let Ok(piece) = frame.map_err(|_| Refusal::BodyBroken)?.into_data() else { continue };
        let earned = Duration::from_secs_f64(piece.len() as f64 / limits.transfer_rate as f64);
        until = (until + earned).min(Instant::now() + GRACE);
        let needed = first.len() + all.len() + piece.len();
        if needed > most {
            return Err(Refusal::BodyTooLarge(most));
        }
        if needed == piece.len() {
            match body.is_end_stream() {
                true => memory.take_whole(needed),
                false => memory.more(needed),
            }
            .map_err(Refusal::Memory)?;
            first = piece;
            continue;
        }
        if needed > all.capacity() {
            let room =
                room(needed, all.capacity(), if announced < needed { most } else { announced });
            memory.more(room - first.len() - all.capacity()).map_err(Refusal::Memory)?;
            all.reserve_exact(room - all.len());
        }
        all.extend_from_slice(&std::mem::take(&mut first));
        all.extend_from_slice(&piece);
    }
    if all.is_empty() {
        return Ok(first);
    }
    memory.less(all.capacity() - all.len());
    all.shrink_to_fit();
    Ok(all.into())
}

/// The room of a body of which so much has arrived: twice what it had, since each
/// time it is copied, but no more than it can become.
fn room(needed: usize, had: usize, most: usize) -> usize {
    had.saturating_mul(2).max(ROOM).min(most).max(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_a_body_doubles_up_to_what_it_can_become() {
        for (needed, had, most, expected) in [
            (100, 0, 1 << 20, ROOM),
            (100, 0, 200, 200),
            (ROOM + 1, ROOM, 1 << 20, 2 * ROOM),
            (5 * ROOM, ROOM, 1 << 20, 5 * ROOM),
            (ROOM + 1, ROOM, ROOM + 2, ROOM + 2),
        ] {
            assert_eq!(room(needed, had, most), expected, "{needed} {had} {most}");
        }
    }
}
