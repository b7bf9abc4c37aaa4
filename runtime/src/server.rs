//! The only accept loop.

mod activity;
mod addresses;
mod checked;
mod connection;
mod frames;
mod framing;
mod http1;
mod http2;
mod inherited;
pub(crate) mod listen;
mod memory;
mod open;
mod proxy;
mod rewound;
mod stream;
mod streams;
mod timed;
mod waiting;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::app::Shared;
use crate::machine::{A_CONNECTION, connection_memory};
use addresses::Addresses;
use connection::Context;
use listen::Listeners;
use memory::ConnectionMemory;
use stream::Stream;
pub(crate) use timed::GRACE;

/// How long nothing is accepted after an error such as too many descriptors,
/// which trying again at once would only repeat.
const PAUSE: Duration = Duration::from_millis(100);

/// After so long without such an error, the next one is a new one.
const OVER: Duration = Duration::from_secs(60);

/// Why a server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was told to.
    Ended,
    /// Another process has its listening sockets, and serves.
    HandedOver,
}

/// Accepts connections until `stop`, then drains them.
pub(crate) async fn serve(
    mut listeners: Listeners,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    stop: impl Future<Output = Stop>,
) {
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(shared.limits.connections));
    let share = shared.limits.client_connections.saturating_mul(A_CONNECTION);
    let memory = ConnectionMemory::new(connection_memory(&shared.limits), share);
    let addresses = Addresses::new(memory);
    let context = Context { shared: shared.clone(), addresses: addresses.clone() };
    let serve = |(stream, encrypted): (Stream, bool), place| {
        let (context, tls) = (context.clone(), tls.clone().filter(|_| encrypted));
        async move {
            connection::serve(stream, tls, context).await;
            drop(place);
        }
    };
    let mut failed: Option<Instant> = None;
    let mut stop = Box::pin(stop);
    let stopped = loop {
        tokio::select! {
            stopped = &mut stop => break stopped,
            (place, accepted) = accept(&places, &addresses, &mut listeners) => match accepted {
                Ok(accepted) => {
                    connections.spawn(serve(accepted, place));
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Told once, until it is over for good.
                    let before = failed.replace(Instant::now());
                    if before.is_none_or(|before| before.elapsed() > OVER) {
                        tracing::error!("cannot accept connections: {error}; trying again");
                    }
                    sleep(PAUSE).await;
                }
            },
            // Ended ones are forgotten; a panic has been logged where it was.
            Some(_) = connections.join_next() => {}
        }
    };
    // With what it holds: copies of the listeners, for a process that takes over.
    drop(stop);
    addresses.drain();
    // What waits to be accepted is left to who takes over. If nobody does, it is
    // answered here: its clients may have sent their requests already.
    let waiting = match stopped {
        Stop::Ended => listeners.close(),
        Stop::HandedOver => {
            drop(listeners);
            Vec::new()
        }
    };
    for accepted in waiting {
        let Ok(place) = places.clone().try_acquire_owned() else { break };
        connections.spawn(serve(accepted, Some(place)));
    }
    let limit = shared.limits.drain;
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(limit, all).await.is_err() {
        tracing::warn!("{} connections stopped after the drain limit", connections.len());
        connections.shutdown().await;
    }
}

/// The next connection, once there is a place for it. Until then it waits where
/// the kernel keeps it, and those on which nothing goes on make room.
async fn accept(
    places: &Arc<Semaphore>,
    addresses: &Addresses,
    listeners: &mut Listeners,
) -> (Option<OwnedSemaphorePermit>, io::Result<(Stream, bool)>) {
    let place = loop {
        match timeout(PAUSE, places.clone().acquire_owned()).await {
            Ok(place) => break place.ok(),
            Err(_) => addresses.make_places(),
        }
    };
    (place, listeners.accept().await)
}

/// A client that left before it was accepted is no reason to pause.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Whether bytes of a connection over HTTP/1.1 are framed soundly, as they arrive.
pub(crate) fn framing_accepts<'a>(mut pieces: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut framing = framing::Framing::default();
    pieces.all(|piece| framing.check(piece).is_ok())
}
