//! The only accept loop.

mod connection;
mod framing;
pub(crate) mod listen;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::app::Shared;
use listen::Listeners;

/// How long nothing is accepted after an error such as too many descriptors,
/// which trying again at once would only repeat.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until `stop`, then drains them.
pub(crate) async fn serve(
    mut listeners: Listeners,
    shared: Arc<Shared>,
    stop: impl Future<Output = ()>,
) {
    let (drain, draining) = watch::channel(false);
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(shared.limits.connections));
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            (place, accepted) = accept(&places, &mut listeners) => match accepted {
                Ok((stream, remote)) => {
                    let (shared, draining) = (shared.clone(), draining.clone());
                    connections.spawn(async move {
                        connection::serve(stream, remote, shared, draining).await;
                        drop(place);
                    });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!("cannot accept connections: {error}; trying again");
                    sleep(PAUSE).await;
                }
            },
            // Ended ones are forgotten; a panic has been logged where it was.
            Some(_) = connections.join_next() => {}
        }
    }
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
) -> (Option<OwnedSemaphorePermit>, io::Result<(TcpStream, SocketAddr)>) {
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
