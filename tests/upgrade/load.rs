//! Requests at a rate, whether or not the ones before were answered: half of them
//! over TLS, on connections that stay open for a while. Each must be answered.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::HOST;
use crate::support::process::pass;
use crate::support::tls::Authority;
use crate::support::{PATIENCE, Server, Wire};

/// Requests a second, of all together.
const RATE: u32 = 2_000;

/// Who send them, half of them over TLS.
const SENDERS: u32 = 40;

/// Requests of a connection; then its sender makes a new one.
const OF_A_CONNECTION: usize = 20;

const GET: &[u8] = b"GET /sayhello HTTP/1.1\r\nHost: a.example\r\n\r\n";
const BODY: &[u8] = b"Hello, world!\n";

pub struct Load {
    clear: SocketAddr,
    pub encrypted: SocketAddr,
    pub authority: Arc<Authority>,
    stop: AtomicBool,
    /// From now on the server may refuse to connect.
    ends: AtomicBool,
    answered: AtomicUsize,
    lost: Mutex<Vec<String>>,
    took: Mutex<Duration>,
}

/// What became of the requests.
pub struct Told {
    pub answered: usize,
    pub lost: Vec<String>,
    took: Duration,
}

impl Told {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (answered, lost, rate) = (self.answered, self.lost.len(), self.rate());
        write!(f, "{answered} requests answered, {rate:.0} a second, {lost} lost")
    }
}

/// A connection, and a handle to look whether the server has said that it is over.
struct Connection {
    wire: Box<dyn Wire>,
    socket: TcpStream,
    requests: usize,
}

impl Load {
    pub fn new(server: &Server, authority: Authority) -> Load {
        let encrypted = server.listening[1].strip_prefix("https://").expect("a second listener");
        Load {
            clear: server.address,
            encrypted: encrypted.parse().expect("an address"),
            authority: Arc::new(authority),
            stop: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            lost: Mutex::default(),
            took: Mutex::default(),
        }
    }

    /// Sends as long as something else goes on.
    pub fn beside(&self, what: impl FnOnce()) {
        std::thread::scope(|scope| {
            let begin = Instant::now();
            let sender = |number| move || self.send(number, begin);
            let senders: Vec<_> = (0..SENDERS).map(|n| scope.spawn(sender(n))).collect();
            // A sender that has stopped before its time is told below.
            let guard = Stop(&self.stop);
            what();
            drop(guard);
            *self.took.lock().expect("no sender panicked") = begin.elapsed();
            for sender in senders {
                sender.join().expect("a sender does not panic");
            }
        });
    }

    /// The server is about to stop: that it refuses to connect is no loss.
    pub fn ends(&self) {
        self.ends.store(true, Relaxed);
    }

    pub fn told(&self) -> Told {
        let lost = self.lost.lock().expect("no sender panicked").clone();
        let took = *self.took.lock().expect("no sender panicked");
        Told { answered: self.answered.load(Relaxed), lost, took }
    }

    fn send(&self, number: u32, begin: Instant) {
        let every = Duration::from_secs(1) * SENDERS / RATE;
        let mut due = begin + every * number / SENDERS;
        let mut connection = None;
        while !self.stop.load(Relaxed) {
            pass(due.saturating_duration_since(Instant::now()));
            due += every;
            match self.ask(number, &mut connection) {
                Ok(()) => self.answered.fetch_add(1, Relaxed),
                Err(Failed::Refused) if self.ends.load(Relaxed) => return,
                Err(Failed::Refused) => return self.lose(number, "refused".to_owned()),
                Err(Failed::Lost(why)) => return self.lose(number, why),
            };
        }
    }

    fn lose(&self, number: u32, why: String) {
        let kind = if number.is_multiple_of(2) { "clear" } else { "TLS" };
        self.lost.lock().expect("no sender panicked").push(format!("{kind}: {why}"));
    }

    /// A request and its answer, on the connection that is there unless it is over.
    fn ask(&self, number: u32, there: &mut Option<Connection>) -> Result<(), Failed> {
        let open = there
            .take()
            .filter(|connection| connection.requests < OF_A_CONNECTION && !connection.is_over());
        let mut connection = match open {
            Some(connection) => connection,
            None => self.connect(!number.is_multiple_of(2))?,
        };
        let age = connection.requests;
        let lost = |error: io::Error| Failed::Lost(format!("request {age}: {error}"));
        connection.wire.write_all(GET).and_then(|()| connection.wire.flush()).map_err(lost)?;
        let close = connection.read_answer().map_err(lost)?;
        connection.requests += 1;
        *there = Some(connection).filter(|_| !close);
        Ok(())
    }

    fn connect(&self, encrypted: bool) -> Result<Connection, Failed> {
        let address = if encrypted { self.encrypted } else { self.clear };
        let socket = TcpStream::connect(address).map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => Failed::Refused,
            _ => Failed::Lost(format!("connect: {error}")),
        })?;
        let lost = |error: io::Error| Failed::Lost(format!("connect: {error}"));
        socket.set_read_timeout(Some(PATIENCE)).map_err(lost)?;
        socket.set_nodelay(true).map_err(lost)?;
        let stream = socket.try_clone().map_err(lost)?;
        let wire: Box<dyn Wire> = match encrypted {
            true => Box::new(self.authority.over(stream, HOST, &["http/1.1"])),
            false => Box::new(stream),
        };
        Ok(Connection { wire, socket, requests: 0 })
    }
}

enum Failed {
    Refused,
    Lost(String),
}

impl Connection {
    /// Whether the server has said something since the last answer: that it is
    /// over.
    fn is_over(&self) -> bool {
        let _ = self.socket.set_nonblocking(true);
        let waiting = self.socket.peek(&mut [0; 1]);
        let _ = self.socket.set_nonblocking(false);
        !waiting.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Reads an answer, and whether the server closes after it.
    fn read_answer(&mut self) -> io::Result<bool> {
        let mut answer = Vec::new();
        let mut piece = [0; 1_024];
        while !answer.ends_with(BODY) {
            match self.wire.read(&mut piece)? {
                0 => {
                    let had = String::from_utf8_lossy(&answer).into_owned();
                    return Err(io::Error::other(format!("closed after {had:?}")));
                }
                count => answer.extend_from_slice(&piece[..count]),
            }
        }
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        if !text.starts_with("http/1.1 200 ") {
            return Err(io::Error::other(format!("answered {text:?}")));
        }
        Ok(text.contains("connection: close"))
    }
}

/// Stops the senders also when what goes on beside fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
