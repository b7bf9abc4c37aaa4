//! Opening listeners.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, lookup_host};

use crate::error::{StartError, explain};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1_024;

/// Listens on `HOST:PORT`.
///
/// # Errors
/// The address is not valid, not of this machine, or in use.
pub(crate) async fn bind(address: &str) -> Result<(TcpListener, SocketAddr), StartError> {
    let wrong = |why: String| StartError::Listen { address: address.to_owned(), why };
    let found = lookup_host(address).await.map(|mut found| found.next());
    let Ok(Some(resolved)) = found else {
        return Err(wrong("not an address; write it like 127.0.0.1:7788 or [::1]:7788".to_owned()));
    };
    let socket = if resolved.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let listener = socket.and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(resolved)?;
        socket.listen(BACKLOG)
    });
    let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
    bound.map(|(address, listener)| (listener, address)).map_err(|error| wrong(explain(&error)))
}
