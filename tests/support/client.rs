//! A client that hides nothing of what is sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::PATIENCE;

/// What a connection is over: TCP, TLS, or a socket of the file system.
pub trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

/// One connection.
pub struct Client {
    stream: BufReader<Box<dyn Wire>>,
}

/// Connects from an address of this machine, as another client network.
pub fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("an address of this machine");
    socket.connect(&to.into()).expect("the server accepts");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// An answer as it was read from the wire.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The whole head, as it was sent.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header that is there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is there twice");
        value
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("text")
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client::over(stream)
    }

    /// A client of a connection whose reads have a timeout.
    pub fn over(stream: impl Wire + 'static) -> Client {
        Client { stream: BufReader::new(Box::new(stream)) }
    }

    /// Sends bytes; the server may have closed already.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Sends a request and reads its answer; the connection stays open.
    pub fn request(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{length}{headers}\r\n");
        self.send(head.as_bytes());
        self.send(body);
        self.read_answer_to(method).expect("an answer")
    }

    pub fn get(&mut self, target: &str) -> Answer {
        self.request("GET", target, "", b"")
    }

    /// Reads the next answer, or `None` if the server closed before it.
    pub fn read_answer(&mut self) -> Option<Answer> {
        self.read_answer_to("GET")
    }

    fn read_answer_to(&mut self, method: &str) -> Option<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if in_time(self.stream.read_line(&mut head))? == 0 {
                assert_eq!(head, "", "the server closed within a head");
                return None;
            }
        }
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).expect(&head);
        let mut answer = Answer { status, head, body: Vec::new() };
        let bodiless = method == "HEAD" || status == 204 || status == 304;
        let length =
            answer.header("content-length").map_or(0, |text| text.parse().expect("a length"));
        answer.body.resize(if bodiless { 0 } else { length }, 0);
        self.stream.read_exact(&mut answer.body).expect("a whole body");
        if answer.header("transfer-encoding").is_some() && !bodiless {
            answer.body = self.read_chunks();
        }
        Some(answer)
    }

    fn read_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let chunk = self.read_chunk();
            if chunk.is_empty() {
                return body;
            }
            body.extend(chunk);
        }
    }

    /// Reads the next head, not what follows.
    pub fn read_head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push_str(&self.read_line());
        }
        head
    }

    /// Reads the next line, with its end.
    pub fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        assert!(line.ends_with('\n'), "the server closed after {line:?}");
        line
    }

    /// Reads the next chunk of a body; the last is empty.
    pub fn read_chunk(&mut self) -> Vec<u8> {
        let line = self.read_line();
        let size = usize::from_str_radix(line.trim_end(), 16).expect("a size");
        let mut chunk = self.read(size + 2);
        chunk.truncate(size);
        chunk
    }

    /// Whether the server closes, with nothing more to read.
    pub fn is_closed(&mut self) -> bool {
        matches!(in_time(self.stream.read(&mut [0; 1])), Some(0) | None)
    }

    /// Reads so many bytes of what comes.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("so many bytes");
        bytes
    }

    /// Reads all that comes until the server closes or breaks off: how many bytes.
    pub fn read_to_end(&mut self) -> usize {
        self.read_all().len()
    }

    /// Reads all that comes until the server closes or breaks off.
    pub fn read_all(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        in_time(self.stream.read_to_end(&mut bytes));
        bytes
    }
}

/// What was read, or `None` if the server broke the connection off. That it
/// does nothing at all is never what a test waits for.
fn in_time<T>(read: std::io::Result<T>) -> Option<T> {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    let late = |error: &std::io::Error| matches!(error.kind(), WouldBlock | TimedOut);
    assert!(!read.as_ref().is_err_and(late), "the server did not answer and did not close");
    read.ok()
}
