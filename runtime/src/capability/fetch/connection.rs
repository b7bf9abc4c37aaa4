//! A connection to another server, from its address to its end.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::Error as TlsError;
use tokio_rustls::rustls::pki_types::ServerName;
use wasmtime_wasi_http::Error;

use super::places::Place;
use super::sending::Sending;
use super::trust::Trust;
use crate::config::origins::Origin;

/// A connection, and where it leads. Over HTTP/2, a clone is another stream.
pub(super) struct Connection {
    sender: Sender,
    /// The address that was dialled.
    pub(super) peer: SocketAddr,
    driver: Arc<Driver>,
}

enum Sender {
    /// HTTP/1.1: one request at a time.
    One(http1::SendRequest<Sending>),
    /// HTTP/2: as many as the server takes.
    Many(http2::SendRequest<Sending>),
}

/// The task that moves a connection's bytes. It ends with the last of those who
/// use the connection.
struct Driver {
    task: AbortHandle,
    _place: Place,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a connection holds of a request or an answer, in bytes; all headers of an
/// answer must fit.
const BUFFER: usize = 64 << 10;
/// Headers of an answer.
const HEADERS: usize = 128;
/// What an HTTP/2 server may send ahead, in bytes: a stream, and all of them.
const STREAM_WINDOW: u32 = 128 << 10;
const WINDOW: u32 = 512 << 10;
/// An HTTP/2 connection that does not answer to a PING for so long is dead.
const PING: Duration = Duration::from_secs(5);
/// The least time for one of several addresses.
const LEAST: Duration = Duration::from_millis(250);

impl Connection {
    /// Connects to the first of the addresses that can be reached.
    pub(super) async fn open(
        origin: &Origin,
        addresses: &[SocketAddr],
        trust: &Trust,
        place: Place,
        until: Instant,
    ) -> Result<Connection, Error> {
        let dialled = dial(addresses, until);
        let (stream, peer) = timeout_at(until, dialled).await.map_err(|_| timed_out())??;
        // Small requests go at once.
        let _ = stream.set_nodelay(true);
        let opened = async {
            if !origin.secure {
                return handshake(stream, false, peer, place).await;
            }
            let name = origin.host.trim_matches(['[', ']']).to_owned();
            let name = ServerName::try_from(name).map_err(|_| Error::HttpRequestUriInvalid)?;
            let stream = trust.connector().await?.connect(name, stream).await.map_err(of_tls)?;
            let both = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            handshake(stream, both, peer, place).await
        };
        timeout_at(until, opened).await.map_err(|_| timed_out())?
    }

    /// Another user of the connection, if it takes more than one.
    pub(super) fn another(&self) -> Option<Connection> {
        match &self.sender {
            Sender::One(_) => None,
            Sender::Many(sender) => Some(Connection {
                sender: Sender::Many(sender.clone()),
                peer: self.peer,
                driver: self.driver.clone(),
            }),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::One(sender) => sender.is_closed(),
            Sender::Many(sender) => sender.is_closed(),
        }
    }

    /// Waits until another request can be sent; false if it never can.
    pub(super) async fn ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::One(sender) => sender.ready().await.is_ok(),
            Sender::Many(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Sends a request. SECURITY: its authority is the one that was checked.
    pub(super) async fn send(
        &mut self,
        mut request: Request<Sending>,
        origin: &Origin,
        path: &PathAndQuery,
    ) -> Result<Response<Incoming>, TrySendError<Request<Sending>>> {
        let authority = origin.authority();
        request.headers_mut().remove(header::HOST);
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some(path.clone());
        match &mut self.sender {
            Sender::One(sender) => {
                let host = HeaderValue::try_from(authority).ok();
                request.headers_mut().extend(host.map(|host| (header::HOST, host)));
                *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
                sender.try_send_request(request).await
            }
            Sender::Many(sender) => {
                parts.scheme = Some(Scheme::HTTPS);
                parts.authority = authority.parse().ok();
                *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
                sender.try_send_request(request).await
            }
        }
    }
}

/// Each address in turn has its share of the time that is left.
async fn dial(addresses: &[SocketAddr], until: Instant) -> Result<(TcpStream, SocketAddr), Error> {
    let mut last = Error::DestinationUnavailable;
    for (index, address) in addresses.iter().enumerate() {
        let turns = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let left = until.saturating_duration_since(Instant::now());
        let share = (left / turns).max(LEAST);
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, *address)),
            Ok(Err(error)) => last = of_dialling(&error),
            Err(_) => last = timed_out(),
        }
    }
    Err(last)
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    both: bool,
    peer: SocketAddr,
    place: Place,
) -> Result<Connection, Error> {
    let stream = TokioIo::new(stream);
    let (sender, task) = if both {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(BUFFER as u32)
            .max_send_buf_size(BUFFER)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .handshake(stream)
            .await
            .map_err(|error| told(&error))?;
        (Sender::Many(sender), tokio::spawn(async { drop(connection.await) }))
    } else {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .max_headers(HEADERS)
            .handshake(stream)
            .await
            .map_err(|error| told(&error))?;
        (Sender::One(sender), tokio::spawn(async { drop(connection.await) }))
    };
    let driver = Arc::new(Driver { task: task.abort_handle(), _place: place });
    Ok(Connection { sender, peer, driver })
}

fn timed_out() -> Error {
    Error::ConnectionTimeout
}

fn of_dialling(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::TimedOut => timed_out(),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            Error::DestinationIpUnroutable
        }
        _ => Error::DestinationUnavailable,
    }
}

fn of_tls(error: io::Error) -> Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<TlsError>());
    match cause {
        Some(TlsError::InvalidCertificate(_)) => Error::TlsCertificateError,
        Some(TlsError::AlertReceived(alert)) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: Some(format!("{alert:?}")),
        },
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}

/// Whether the connection ended before the answer did. A server that closes just
/// as a request comes resets it, since nobody reads that any more.
pub(super) fn is_lost(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    let ended = cause.is_some_and(|cause| {
        matches!(
            cause.kind(),
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::NotConnected
                | io::ErrorKind::UnexpectedEof
        )
    });
    ended || error.is_incomplete_message() || error.is_closed()
}

/// What of hyper's errors a guest is told.
pub(super) fn told(error: &hyper::Error) -> Error {
    if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_incomplete_message() {
        Error::HttpResponseIncomplete
    } else if error.is_user() || error.is_body_write_aborted() {
        Error::HttpRequestBodySize(None)
    } else if is_lost(error) || error.is_canceled() {
        Error::ConnectionTerminated
    } else {
        Error::HttpProtocolError
    }
}
