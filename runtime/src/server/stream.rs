//! A connection's stream: TCP, or a Unix socket.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BufMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// What the system keeps of an answer that is not on its way yet, in bytes. By
/// default it may be 4 MiB a connection, and it would tell of room only when a
/// third of that has been taken: a slow client would look like one that has left.
const UNSENT: u32 = 128 << 10;

/// The same while a guest makes what is sent: it comes in bursts, as the system takes
/// it, and the guest waits meanwhile. Measured by hand, in turn with 128 KiB, where BBR
/// paces connections: 1.2 times the rate of downloads. Files keep those: with less, the
/// 99th percentile of 64 clients of a file of 10 MiB (`wrk`) was 1.7 times as long.
const UNSENT_OF_GUEST: u32 = 32 << 10;

/// What is read at once, in bytes: as much as guests take at once of a body. A
/// little more would cost them a turn of its own each time.
const READ: usize = 64 << 10;

/// What is written as one piece, in bytes.
const JOINED: usize = 2_048;

/// A stream of a listener. It is shared with who waits for the client to leave.
pub(super) enum Stream {
    Tcp(Arc<TcpStream>),
    Unix(Arc<UnixStream>),
}

/// How much the system keeps of a connection's answers that is not on its way yet.
/// Of HTTP/1.1, where one answer is sent at a time.
pub(super) struct Unsent {
    stream: Stream,
    of_guest: AtomicBool,
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Stream {
        Stream::Tcp(Arc::new(stream))
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Stream {
        Stream::Unix(Arc::new(stream))
    }
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
            self.keep_unsent(UNSENT)?;
            #[cfg(target_os = "linux")]
            SockRef::from(stream).set_tcp_user_timeout(Some(send_time))?;
        }
        Ok(())
    }

    fn keep_unsent(&self, most: u32) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Stream::Tcp(stream) => SockRef::from(stream).set_tcp_notsent_lowat(most),
            _ => Ok(()),
        }
    }

    pub(super) fn unsent(&self) -> Unsent {
        Unsent { stream: self.share(), of_guest: AtomicBool::new(false) }
    }

    fn share(&self) -> Stream {
        match self {
            Stream::Tcp(stream) => Stream::Tcp(stream.clone()),
            Stream::Unix(stream) => Stream::Unix(stream.clone()),
        }
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

impl Stream {
    /// Ready once the client has closed its side, also while bytes of it wait
    /// that nobody reads: reading would not tell before they are read.
    pub(super) fn left(&self) -> impl Future<Output = ()> + Send + use<> {
        let stream = self.share();
        async move {
            #[cfg(target_os = "linux")]
            {
                // Urgent data is not asked for when a socket is registered: what is
                // left of this interest is the end. An error is one, too.
                let left = match &stream {
                    Stream::Tcp(stream) => stream.ready(Interest::PRIORITY).await,
                    Stream::Unix(stream) => stream.ready(Interest::PRIORITY).await,
                };
                drop(left);
            }
            #[cfg(not(target_os = "linux"))]
            std::future::pending::<()>().await;
        }
    }
}

impl Unsent {
    /// What is sent next, a guest makes meanwhile, or nobody does.
    pub(super) fn fit(&self, of_guest: bool) {
        if self.of_guest.swap(of_guest, Relaxed) != of_guest {
            // If it cannot be done, the socket is broken already.
            let _ = self.stream.keep_unsent(if of_guest { UNSENT_OF_GUEST } else { UNSENT });
        }
    }
}

/// The pieces in one, if there is room for them.
fn join<'a>(pieces: &[io::IoSlice<'_>], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut count = 0;
    for piece in pieces {
        let end = count + piece.len();
        room.get_mut(count..end)?.copy_from_slice(piece);
        count = end;
    }
    room.get(..count)
}

/// Calls a method of whichever stream there is.
macro_rules! of_either {
    ($self:ident, $stream:ident => $call:expr) => {
        match &*$self {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
        }
    };
}

/// Reads what is there. As tokio does it for a stream that is not shared, a read
/// that does not fill the buffer is the last one until there is news: another
/// would cost a system call to learn that there is nothing.
macro_rules! read_of {
    ($stream:ident, $cx:ident, $buffer:ident) => {
        loop {
            ready!($stream.poll_read_ready($cx))?;
            let room = $buffer.remaining().min(READ);
            let mut read = None;
            let tried = $stream.try_io(Interest::READABLE, || {
                let count = $stream.try_read_buf(&mut $buffer.limit(room))?;
                read = Some(count);
                let drained = 0 < count && count < room;
                if drained { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match (read, tried) {
                (Some(_), _) => return Poll::Ready(Ok(())),
                (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                (None, tried) => return Poll::Ready(tried),
            }
        }
    };
}

/// Writes what there is room for.
macro_rules! write_to {
    ($stream:ident, $cx:ident, $write:expr) => {
        loop {
            ready!($stream.poll_write_ready($cx))?;
            match $write {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
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
        of_either!(self, stream => read_of!(stream, cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        of_either!(self, stream => write_to!(stream, cx, stream.try_write(bytes)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // For one piece the kernel has a shorter way, and a few bytes are sooner copied
        // than described to it: a head and a small body.
        if let [piece] = pieces {
            return self.poll_write(cx, piece);
        }
        let mut joined = [0; JOINED];
        if let Some(bytes) = join(pieces, &mut joined) {
            return self.poll_write(cx, bytes);
        }
        of_either!(self, stream => write_to!(stream, cx, stream.try_write_vectored(pieces)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is written is the system's.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = match &*self {
            Stream::Tcp(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
            Stream::Unix(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
        };
        Poll::Ready(match shutdown {
            // The client has closed both sides already.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            shutdown => shutdown,
        })
    }
}
