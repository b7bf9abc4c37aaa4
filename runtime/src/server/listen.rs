//! Opening listeners: new ones, or those that were handed over.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener as StdUnixListener};
use std::path::Path;
use std::task::{Context, Poll};

use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpSocket, UnixListener, lookup_host};

use super::stream::Stream;
use crate::config::address::{Address, Place};
use crate::error::{StartError, explain};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 4_096;

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
}

enum Socket {
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
        let (mut inherited, parent) = inherited();
        let mut listeners = Vec::new();
        for address in addresses {
            let wrong = |why: String| StartError::Listen { address: address.to_string(), why };
            let sockets = match &address.place {
                Place::Tcp(text) => vec![tcp(text, &mut inherited).await.map_err(wrong)?],
                Place::Unix(path) => vec![unix(path, &mut inherited).map_err(wrong)?],
                Place::Systemd => from_systemd(&mut inherited).map_err(wrong)?,
            };
            let tls = address.tls;
            listeners.extend(sockets.into_iter().map(|socket| Listener { tls, socket }));
        }
        Ok(Listeners { listeners, next: 0, parent })
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
                    socket.poll_accept(cx).map_ok(|(stream, _)| Stream::Tcp(stream))
                }
                Socket::Unix(socket) => {
                    socket.poll_accept(cx).map_ok(|(stream, _)| Stream::Unix(stream))
                }
            };
            if let Poll::Ready(accepted) = accepted {
                self.next = (self.next + 1) % self.listeners.len();
                return Poll::Ready(accepted.map(|stream| (stream, listener.tls)));
            }
        }
        Poll::Pending
    }
}

/// A socket that this process was started with.
enum Inherited {
    Tcp(StdTcpListener),
    Unix(StdUnixListener),
}

/// The sockets of socket activation (`LISTEN_FDS`, sd_listen_fds(3)), and the one
/// on which a process that hands over waits.
fn inherited() -> (Vec<Inherited>, Option<UnixDatagram>) {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    let mut parent = None;
    for index in 0..passed.len() {
        if let Ok(Some(socket)) = passed.take_tcp_listener(index) {
            sockets.push(Inherited::Tcp(socket));
        } else if let Ok(Some(socket)) = passed.take_unix_listener(index) {
            sockets.push(Inherited::Unix(socket));
        } else if let Ok(Some(socket)) = passed.take_unix_datagram(index) {
            parent = Some(socket);
        }
    }
    (sockets, parent)
}

/// Takes the first inherited socket that is the one.
fn take(all: &mut Vec<Inherited>, is_it: impl Fn(&Inherited) -> bool) -> Option<Inherited> {
    all.iter().position(is_it).map(|index| all.remove(index))
}

fn adopt(socket: Inherited) -> io::Result<Socket> {
    match socket {
        Inherited::Tcp(socket) => {
            socket.set_nonblocking(true)?;
            TcpListener::from_std(socket).map(Socket::Tcp)
        }
        Inherited::Unix(socket) => {
            socket.set_nonblocking(true)?;
            UnixListener::from_std(socket).map(Socket::Unix)
        }
    }
}

fn from_systemd(all: &mut Vec<Inherited>) -> Result<Vec<Socket>, String> {
    if all.is_empty() {
        return Err("no sockets were passed (LISTEN_FDS); start the server by its socket unit, \
                    or name an address"
            .to_owned());
    }
    let sockets: io::Result<Vec<Socket>> = all.drain(..).map(adopt).collect();
    sockets.map_err(|error| explain(&error))
}

async fn tcp(address: &str, inherited: &mut Vec<Inherited>) -> Result<Socket, String> {
    let found = lookup_host(address).await.map(|mut found| found.next());
    let Ok(Some(resolved)) = found else {
        return Err("not an address; write it like 127.0.0.1:7788 or [::1]:7788".to_owned());
    };
    let is_it = |socket: &Inherited| match socket {
        Inherited::Tcp(socket) => socket.local_addr().is_ok_and(|address| {
            let port = [address.port(), 0].contains(&resolved.port());
            address.ip() == resolved.ip() && port
        }),
        Inherited::Unix(_) => false,
    };
    if let Some(socket) = take(inherited, is_it) {
        return adopt(socket).map_err(|error| explain(&error));
    }
    let socket = if resolved.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let listener = socket.and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(resolved)?;
        socket.listen(BACKLOG)
    });
    listener.map(Socket::Tcp).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "permission denied; choose a port from 1024 on, or allow it with CAP_NET_BIND_SERVICE"
                .to_owned()
        }
        _ => explain(&error),
    })
}

fn unix(path: &Path, inherited: &mut Vec<Inherited>) -> Result<Socket, String> {
    let is_it = |socket: &Inherited| match socket {
        Inherited::Tcp(_) => false,
        Inherited::Unix(socket) => {
            socket.local_addr().is_ok_and(|address| address.as_pathname() == Some(path))
        }
    };
    if let Some(socket) = take(inherited, is_it) {
        return adopt(socket).map_err(|error| explain(&error));
    }
    // What a server before has left; one that listens keeps it.
    let left = std::os::unix::net::UnixStream::connect(path);
    if left.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        let _ = std::fs::remove_file(path);
    }
    UnixListener::bind(path).map(Socket::Unix).map_err(|error| explain(&error))
}
