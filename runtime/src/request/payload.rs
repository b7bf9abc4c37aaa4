//! A request's body before it is read, and how it is read whole.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
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
use crate::tenant::Taken;

/// A request's body, not yet read.
pub(crate) struct Payload(Arriving);

/// A body that arrives.
pub(super) enum Arriving {
    /// From a client.
    Client(Incoming),
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
            Arriving::Client(body) => Pin::new(body).poll_frame(cx).map_err(io::Error::other),
            Arriving::App(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Arriving::Client(body) => body.is_end_stream(),
            Arriving::App(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Arriving::Client(body) => body.size_hint(),
            Arriving::App(body) => body.size_hint(),
        }
    }
}

impl Payload {
    pub(crate) fn new(body: Incoming) -> Payload {
        Payload(Arriving::Client(body))
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
    pub(crate) async fn read(self, limits: &Limits, memory: &mut Taken) -> Result<Bytes, Refusal> {
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

/// Room that is made at once for what is announced, in bytes: a body that grows
/// piece by piece is copied again and again, and what it leaves behind is memory that
/// nobody is charged for. What is not written to takes none.
const AT_ONCE: usize = 1 << 20;

/// All pieces as one; a body in one piece is not copied.
async fn collect(
    mut body: Arriving,
    limits: &Limits,
    memory: &mut Taken,
) -> Result<Bytes, Refusal> {
    let most = limits.body;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    // How far the client may be behind: what came at once buys no time later.
    let mut until = Instant::now() + GRACE;
    loop {
        let next = timeout_at(until, body.frame()).await;
        let Some(frame) = next.map_err(|_| Refusal::BodyTooSlow)? else { break };
        let Ok(piece) = frame.map_err(|_| Refusal::BodyBroken)?.into_data() else { continue };
        let earned = Duration::from_secs_f64(piece.len() as f64 / limits.transfer_rate as f64);
        until = (until + earned).min(Instant::now() + GRACE);
        if first.len() + all.len() + piece.len() > most {
            return Err(Refusal::BodyTooLarge(most));
        }
        memory.more(piece.len()).map_err(Refusal::Memory)?;
        if first.is_empty() && all.is_empty() {
            first = piece;
        } else {
            if all.is_empty() {
                all.reserve(announced.min(AT_ONCE));
            }
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&piece);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}
