//! The only accept loop.

mod activity;
mod addresses;
mod checked;
mod connection;
mod frames;
mod framing;
pub(crate) mod listen;
mod proxy;
mod stream;
mod timed;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::app::Shared;
use connection::Context;
use listen::Listeners;
use stream::Stream;
pub(crate) use timed::GRACE;

/// How long nothing is accepted after an error such as too many descriptors,
/// which trying again at once would only repeat.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until `stop`, then drains them.
pub(crate) async fn serve(
    mut listeners: Listeners,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    stop: impl Future<Output = ()>,
) {
    let (drain, draining) = watch::channel(false);
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(shared.limits.connections));
    let context = Context { shared: shared.clone(), addresses: Arc::default(), draining };
    let mut failing = false;
    let mut stop = Box::pin(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            (place, accepted) = accept(&places, &mut listeners) => match accepted {
                Ok((stream, encrypted)) => {
                    failing = false;
                    let (context, tls) = (context.clone(), tls.clone().filter(|_| encrypted));
                    connections.spawn(async move {
                        connection::serve(stream, tls, context).await;
                        drop(place);
                    });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Told once, until it is over.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!("cannot accept connections: {error}; trying again");
                    }
                    sleep(PAUSE).await;
                }
            },
            // Ended ones are forgotten; a panic has been logged where it was.
            Some(_) = connections.join_next() => {}
        }
    }
    // With what it holds: copies of the listeners, for a process that takes over.
    drop(stop);
    drop(listeners);
    drain.send_replace(true);
    let limit = shared.limits.drain;
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(limit, all).await.is_err() {
        tracing::warn!("{} connections stopped after the drain limit", connections.len());
        connections.shutdown().await;
    }
}

/// The next connection, once there is a place for it. Until then it waits where
/// the kernel keeps it.
async fn accept(
    places: &Arc<Semaphore>,
    listeners: &mut Listeners,
) -> (Option<OwnedSemaphorePermit>, io::Result<(Stream, bool)>) {
    let place = places.clone().acquire_owned().await.ok();
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
