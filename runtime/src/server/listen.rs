//! Opening listeners.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

use crate::error::{StartError, explain};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1_024;

/// The listeners of a server; at least one.
pub(crate) struct Listeners {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    /// The one that is asked first: each in turn.
    next: usize,
}

impl Listeners {
    /// Listens on each `HOST:PORT`.
    ///
    /// # Errors
    /// An address is not valid, not of this machine, or in use.
    pub(crate) async fn bind(addresses: &[String]) -> Result<Listeners, StartError> {
        let mut all = Listeners { listeners: Vec::new(), addresses: Vec::new(), next: 0 };
        for address in addresses {
            let (listener, address) = bind(address).await?;
            all.listeners.push(listener);
            all.addresses.push(address);
        }
        Ok(all)
    }

    /// The addresses with the ports that were picked.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes the next connection of any of them.
    pub(super) async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (first, last) = self.listeners.split_at(self.next);
        for listener in last.iter().chain(first) {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                self.next = (self.next + 1) % self.listeners.len();
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

async fn bind(address: &str) -> Result<(TcpListener, SocketAddr), StartError> {
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
    bound.map(|(address, listener)| (listener, address)).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => wrong(
            "permission denied; choose a port from 1024 on, or allow it with CAP_NET_BIND_SERVICE"
                .to_owned(),
        ),
        _ => wrong(explain(&error)),
    })
}
