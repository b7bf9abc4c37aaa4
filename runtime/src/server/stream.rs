//! A connection's stream: TCP, or a Unix socket.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// What the system keeps of an answer that is not on its way yet, in bytes. By
/// default it may be 4 MiB a connection, and it would tell of room only when a
/// third of that has been taken: a slow client would look like one that has left.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 << 10;

/// A stream of a listener.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// The other end; `None` for a Unix socket. A client of IPv4 is one also
    /// where the listener is for both.
    pub(super) fn peer(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Stream::Tcp(stream) => {
                let address = stream.peer_addr()?;
                Ok(Some(SocketAddr::new(address.ip().to_canonical(), address.port())))
            }
            Stream::Unix(_) => Ok(None),
        }
    }

    /// Lets what is written be sent at once, and little wait in the system. The
    /// connection breaks off when the client takes nothing for so long, also of
    /// what was written before.
    pub(super) fn prepare(&self, send_time: Duration) -> io::Result<()> {
        if let Stream::Tcp(stream) = self {
            stream.set_nodelay(true)?;
            #[cfg(target_os = "linux")]
            {
                let socket = SockRef::from(stream);
                socket.set_tcp_notsent_lowat(UNSENT)?;
                socket.set_tcp_user_timeout(Some(send_time))?;
            }
        }
        Ok(())
    }

    /// Throws away what the client has not taken, once this is closed. The system
    /// would go on offering it, for as long as the client likes.
    pub(super) fn forget_unsent(&self) {
        if let Stream::Tcp(stream) = self {
            // If it cannot be done, the socket is broken already.
            let _ = stream.set_zero_linger();
        }
    }

    /// Writes what there is room for at this moment, whether or not the system
    /// has told of it.
    pub(super) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => SockRef::from(stream).send(bytes),
            Stream::Unix(stream) => SockRef::from(stream).send(bytes),
        }
    }
}

/// Calls a method of whichever stream there is.
macro_rules! of_either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Stream::Unix($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        of_either!(self, stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        of_either!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // For one piece the kernel has a shorter way.
        if let [piece] = pieces {
            return self.poll_write(cx, piece);
        }
        of_either!(self, stream => stream.poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_either!(self, stream => stream.poll_shutdown(cx))
    }
}
