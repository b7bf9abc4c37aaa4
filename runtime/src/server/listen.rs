//! The listeners of a server: new ones, or those that were handed over.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::inherited::{Inherited, Passed};
use super::open::{self, Made};
use super::stream::Stream;
use crate::config::address::{Address, Place};
use crate::error::StartError;

/// The listeners of a server; at least one.
pub(crate) struct Listeners {
    listeners: Vec<Listener>,
    /// The one that is asked first: each in turn.
    next: usize,
    /// Where a process that hands over hears of this one.
    parent: Option<UnixDatagram>,
}

struct Listener {
    tls: bool,
    socket: Socket,
    origin: Origin,
}

/// Where a socket is from.
enum Origin {
    /// Another process, which may go on to use it.
    Elsewhere,
    /// This one, with its file if it has one.
    Here(Option<Made>),
}

/// A listening socket.
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listeners {
    /// Listens at each address. Sockets that this process was started with are
    /// taken where they are the ones.
    ///
    /// # Errors
    /// An address is not valid, not of this machine, or in use.
    pub(crate) async fn bind(addresses: &[Address]) -> Result<Listeners, StartError> {
        let mut inherited = Inherited::take();
        let mut listeners = Vec::new();
        let wrong = |address: &Address| {
            let address = address.to_string();
            |why: String| StartError::Listen { address, why }
        };
        // 1. What is named.
        let mut tcp = Vec::new();
        for (place, address) in addresses.iter().enumerate() {
            match &address.place {
                Place::Tcp(text) => {
                    let resolved = open::resolve(text).await.map_err(wrong(address))?;
                    tcp.push((place, address, resolved));
                }
                Place::Unix(path) => {
                    let opened = unix(path, &mut inherited).map_err(wrong(address))?;
                    listeners.push((place, Listener::new(address, opened)));
                }
                Place::Systemd => {}
            }
        }
        for (place, address, resolved) in &tcp {
            let v4 = |other: &SocketAddr| other.is_ipv4() && other.port() == resolved.port();
            let has_v4 = resolved.port() != 0 && tcp.iter().any(|(.., other)| v4(other));
            let opened = here(*resolved, has_v4, &mut inherited).map_err(wrong(address))?;
            listeners.push((*place, Listener::new(address, opened)));
        }
        // 2. What is left is what `systemd` stands for.
        for (place, address) in addresses.iter().enumerate() {
            if address.place == Place::Systemd {
                let sockets = inherited.rest().map_err(wrong(address))?;
                let sockets = sockets.into_iter().map(|socket| (socket, Origin::Elsewhere));
                listeners.extend(sockets.map(|opened| (place, Listener::new(address, opened))));
            }
        }
        // 3. In the order in which they are written.
        listeners.sort_by_key(|(place, _)| *place);
        let listeners = listeners.into_iter().map(|(_, listener)| listener).collect();
        inherited.tell_unused();
        Ok(Listeners { listeners, next: 0, parent: inherited.parent })
    }

    /// The addresses of TCP, with the ports that were picked.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let address = |listener: &Listener| match &listener.socket {
            Socket::Tcp(socket) => socket.local_addr().ok(),
            Socket::Unix(_) => None,
        };
        self.listeners.iter().filter_map(address).collect()
    }

    /// Each listener's address, for people: `http://127.0.0.1:80`, `unix:/a`.
    pub(crate) fn shown(&self) -> Vec<String> {
        let shown = |listener: &Listener| {
            let scheme = if listener.tls { "https://" } else { "http://" };
            match &listener.socket {
                Socket::Tcp(socket) => Some(format!("{scheme}{}", socket.local_addr().ok()?)),
                Socket::Unix(socket) => {
                    let address = socket.local_addr().ok()?;
                    let scheme = if listener.tls { scheme } else { "" };
                    Some(format!("{scheme}unix:{}", address.as_pathname()?.display()))
                }
            }
        };
        self.listeners.iter().filter_map(shown).collect()
    }

    /// Whether connections to some are encrypted.
    pub(crate) fn have_tls(&self) -> bool {
        self.listeners.iter().any(|listener| listener.tls)
    }

    /// The sockets once more, for a process that takes over.
    ///
    /// # Errors
    /// There are too many open descriptors.
    pub(crate) fn handles(&self) -> io::Result<Vec<OwnedFd>> {
        let handle = |listener: &Listener| match &listener.socket {
            Socket::Tcp(socket) => socket.as_fd().try_clone_to_owned(),
            Socket::Unix(socket) => socket.as_fd().try_clone_to_owned(),
        };
        self.listeners.iter().map(handle).collect()
    }

    /// Where a process that hands over hears of this one.
    pub(crate) fn parent(&self) -> Option<&UnixDatagram> {
        self.parent.as_ref()
    }

    /// Takes the next connection of any of them, and whether it is encrypted.
    pub(super) async fn accept(&mut self) -> io::Result<(Stream, bool)> {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, bool)>> {
        let (first, last) = self.listeners.split_at(self.next);
        for listener in last.iter().chain(first) {
            let accepted = match &listener.socket {
                Socket::Tcp(socket) => {
                    socket.poll_accept(cx).map_ok(|(stream, _)| Stream::from(stream))
                }
                Socket::Unix(socket) => {
                    socket.poll_accept(cx).map_ok(|(stream, _)| Stream::from(stream))
                }
            };
            if let Poll::Ready(accepted) = accepted {
                self.next = (self.next + 1) % self.listeners.len();
                return Poll::Ready(accepted.map(|stream| (stream, listener.tls)));
            }
        }
        Poll::Pending
    }

    /// Stops to listen. Returns the connections that clients have been given
    /// already, with whether each is encrypted: their requests may be there.
    pub(super) fn close(self) -> Vec<(Stream, bool)> {
        let mut left = Vec::new();
        for Listener { tls, socket, origin } in self.listeners {
            if let Origin::Here(made) = origin {
                socket.take_no_more();
                made.iter().for_each(Made::remove);
            }
            left.extend(socket.left().into_iter().map(|stream| (stream, tls)));
        }
        left
    }
}

impl Listener {
    fn new(address: &Address, (socket, origin): (Socket, Origin)) -> Listener {
        Listener { tls: address.tls, socket, origin }
    }
}

impl Socket {
    /// Lets the kernel give no connection to a client any more: between the last
    /// look for one and the end of the socket, one would be lost.
    fn take_no_more(&self) {
        #[cfg(target_os = "linux")]
        if let Socket::Tcp(socket) = self {
            // A filter of one instruction: keep nothing (BPF_RET, 0 bytes).
            let _ = SockRef::from(socket).attach_filter(&[socket2::SockFilter::new(6, 0, 0, 0)]);
        }
    }

    /// The connections that wait to be accepted.
    fn left(self) -> Vec<Stream> {
        match self {
            Socket::Tcp(socket) => {
                let Ok(socket) = socket.into_std() else { return Vec::new() };
                let accept = || TcpStream::from_std(nonblocking_tcp(socket.accept().ok()?.0)?).ok();
                std::iter::from_fn(accept).map(Stream::from).collect()
            }
            Socket::Unix(socket) => {
                let Ok(socket) = socket.into_std() else { return Vec::new() };
                let accept = || {
                    let (stream, _) = socket.accept().ok()?;
                    stream.set_nonblocking(true).ok()?;
                    UnixStream::from_std(stream).ok()
                };
                std::iter::from_fn(accept).map(Stream::from).collect()
            }
        }
    }
}

fn nonblocking_tcp(stream: std::net::TcpStream) -> Option<std::net::TcpStream> {
    stream.set_nonblocking(true).ok().map(|()| stream)
}

/// A socket for an address, inherited if there is one.
fn here(
    address: SocketAddr,
    has_v4: bool,
    inherited: &mut Inherited,
) -> Result<(Socket, Origin), String> {
    let is_it = |socket: &Passed| match socket {
        Passed::Tcp(socket) => socket.local_addr().is_ok_and(|there| {
            let port = [there.port(), 0].contains(&address.port());
            there.ip() == address.ip() && port
        }),
        Passed::Unix(_) => false,
    };
    match inherited.find(is_it) {
        Some(found) => Ok((found?, Origin::Elsewhere)),
        None => Ok((open::tcp(address, has_v4)?, Origin::Here(None))),
    }
}

fn unix(path: &Path, inherited: &mut Inherited) -> Result<(Socket, Origin), String> {
    let is_it = |socket: &Passed| match socket {
        Passed::Tcp(_) => false,
        Passed::Unix(socket) => {
            socket.local_addr().is_ok_and(|address| address.as_pathname() == Some(path))
        }
    };
    if let Some(found) = inherited.find(is_it) {
        return Ok((found?, Origin::Elsewhere));
    }
    let (socket, made) = open::unix(path)?;
    Ok((socket, Origin::Here(Some(made))))
}
