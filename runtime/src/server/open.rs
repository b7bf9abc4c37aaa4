//! Opening sockets to listen on.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockAddr, Socket as RawSocket, Type};
use tokio::net::{TcpListener, UnixListener, lookup_host};

use super::listen::Socket;
use crate::error::explain;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4_096;

/// Who may connect to a socket of the file system: its user and its group.
/// Who connects can say anything if `trusted-proxies` has `unix`.
const MODE: u32 = 0o660;

/// The file of a socket that this process made.
#[derive(Debug)]
pub(super) struct Made {
    path: PathBuf,
    file: (u64, u64),
}

/// The address that a text names.
pub(super) async fn resolve(address: &str) -> Result<SocketAddr, String> {
    let found = lookup_host(address).await.map(|mut found| found.next());
    found
        .ok()
        .flatten()
        .ok_or_else(|| "not an address; write it like 127.0.0.1:7788 or [::1]:7788".to_owned())
}

/// Listens at an address. One of IPv6 that stands for all takes IPv4 as well,
/// unless that has a listener of its own.
pub(super) fn tcp(address: SocketAddr, only_v6: bool) -> Result<Socket, String> {
    let open = || {
        let socket =
            RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(only_v6)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    open().map(Socket::Tcp).map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "permission denied; choose a port from 1024 on, or allow it with CAP_NET_BIND_SERVICE"
                .to_owned()
        }
        _ => explain(&error),
    })
}

/// Listens at a path of the file system.
pub(super) fn unix(path: &Path) -> Result<(Socket, Made), String> {
    remove_left(path)?;
    let open = || {
        let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        // Before it listens: nobody connects in between.
        fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
        socket.listen(BACKLOG)?;
        let made = Made { path: path.to_owned(), file: file(path)? };
        Ok((Socket::Unix(UnixListener::from_std(socket.into())?), made))
    };
    open().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "permission denied; make its folder writable for the user that runs the server"
                .to_owned()
        }
        _ => explain(&error),
    })
}

/// Removes the socket that a server before has left; one that listens keeps it,
/// and what is no socket is left alone.
fn remove_left(path: &Path) -> Result<(), String> {
    let Ok(there) = fs::symlink_metadata(path) else { return Ok(()) };
    if !there.file_type().is_socket() {
        return Err("there is a file that is no socket; choose another path".to_owned());
    }
    let connect = || {
        let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
        // A server that is busy is there, too: it is not waited for.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match connect() {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| explain(&error))
        }
        _ => Err("another server listens there; stop it or choose another path".to_owned()),
    }
}

impl Made {
    /// Removes the file, unless another has taken its place.
    pub(super) fn remove(&self) {
        if file(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What tells a file from another at the same path.
fn file(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
