//! The sockets that this process was started with: by systemd (`LISTEN_FDS`,
//! sd_listen_fds(3)), or by the process that hands over to it.

use std::net::TcpListener;
use std::os::fd::IntoRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener};

use listenfd::ListenFd;
use socket2::SockRef;
use tokio::net::{TcpListener as TokioTcpListener, UnixListener as TokioUnixListener};

use super::listen::Socket;
use crate::error::explain;

/// The first descriptor that is passed on (sd_listen_fds(3)).
const FIRST: usize = 3;

/// More sockets than any server listens on.
const MOST: usize = 1_000;

/// What this process was started with.
#[derive(Default)]
pub(super) struct Inherited {
    sockets: Vec<Passed>,
    /// Where the process before this one waits to hear of it.
    pub(super) parent: Option<UnixDatagram>,
    /// What was announced and is not there.
    wrong: Option<String>,
}

/// A listening socket.
pub(super) enum Passed {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Inherited {
    /// Takes what the environment announces; it can be asked once.
    pub(super) fn take() -> Inherited {
        let mut inherited = Inherited::default();
        let Ok(announced) = std::env::var("LISTEN_FDS") else { return inherited };
        if !announced.parse().is_ok_and(|count: usize| count <= MOST) {
            let why = format!("LISTEN_FDS={announced}: write a number from 0 to {MOST}");
            inherited.wrong = Some(why);
            return inherited;
        }
        let mut passed = ListenFd::from_env();
        for index in 0..passed.len() {
            if let Some(socket) = listening(&mut passed, index) {
                inherited.sockets.push(socket);
            } else if let Ok(Some(parent)) = passed.take_unix_datagram(index) {
                inherited.parent = Some(parent);
            } else {
                inherited.wrong = Some(format!(
                    "LISTEN_FDS={announced}: descriptor {} is no listening socket; a socket \
                     unit needs ListenStream=, and no Accept=yes",
                    FIRST + index
                ));
            }
        }
        inherited
    }

    /// The first socket that is the one.
    pub(super) fn find(
        &mut self,
        is_it: impl Fn(&Passed) -> bool,
    ) -> Option<Result<Socket, String>> {
        let index = self.sockets.iter().position(is_it)?;
        Some(adopt(self.sockets.remove(index)))
    }

    /// All sockets that are left.
    ///
    /// # Errors
    /// There are none, or something else was passed.
    pub(super) fn rest(&mut self) -> Result<Vec<Socket>, String> {
        if let Some(why) = self.wrong.take() {
            return Err(why);
        }
        if self.sockets.is_empty() {
            return Err("no sockets were passed (LISTEN_FDS); start the server by its socket \
                        unit, or name an address"
                .to_owned());
        }
        self.sockets.drain(..).map(adopt).collect()
    }

    /// Tells what was passed and is not used.
    pub(super) fn tell_unused(&self) {
        if let Some(why) = &self.wrong {
            tracing::warn!("{why}");
        }
        if !self.sockets.is_empty() {
            let count = self.sockets.len();
            tracing::warn!("{count} sockets were passed that no listener names: they are closed");
        }
    }
}

/// The socket at this place, if it listens. Any other is somebody else's, and is
/// left open.
fn listening(passed: &mut ListenFd, index: usize) -> Option<Passed> {
    if let Ok(Some(socket)) = passed.take_tcp_listener(index) {
        if SockRef::from(&socket).is_listener().unwrap_or(false) {
            return Some(Passed::Tcp(socket));
        }
        let _ = socket.into_raw_fd();
    } else if let Ok(Some(socket)) = passed.take_unix_listener(index) {
        if SockRef::from(&socket).is_listener().unwrap_or(false) {
            return Some(Passed::Unix(socket));
        }
        let _ = socket.into_raw_fd();
    }
    None
}

fn adopt(socket: Passed) -> Result<Socket, String> {
    let adopted = match socket {
        Passed::Tcp(socket) => socket
            .set_nonblocking(true)
            .and_then(|()| TokioTcpListener::from_std(socket))
            .map(Socket::Tcp),
        Passed::Unix(socket) => socket
            .set_nonblocking(true)
            .and_then(|()| TokioUnixListener::from_std(socket))
            .map(Socket::Unix),
    };
    adopted.map_err(|error| explain(&error))
}
