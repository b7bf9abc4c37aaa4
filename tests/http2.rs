//! HTTP/2 without TLS, to clients that know: what curl gets, and frames that no
//! client should send. Rows E of the catalogue that each test is named for.

mod floods;
mod heads;
mod memory;
mod slow;

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::support::tls::Stream;
use crate::support::{PATIENCE, Server, Wire, guest, test_guest};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// SETTINGS_HEADER_TABLE_SIZE 0: fields name no others before them.
const NO_TABLE: &[u8] = &[0, 1, 0, 0, 0, 0];

const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// ENHANCE_YOUR_CALM (RFC 9113 section 7).
const CALM: u32 = 11;

/// A connection on which frames are sent as they are.
pub struct Frames {
    wire: Box<dyn Wire>,
    /// What has come and was not asked for yet.
    kept: VecDeque<Frame>,
}

/// A frame: kind, flags, stream and payload.
type Frame = (u8, u8, u32, Vec<u8>);

impl Frames {
    fn connect(server: &Server) -> Frames {
        let stream = TcpStream::connect(server.address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Frames::over(Box::new(stream))
    }

    /// Over TLS, where HTTP/2 was agreed on.
    fn over_tls(stream: Stream) -> Frames {
        Frames::over(Box::new(stream))
    }

    pub fn over(stream: Box<dyn Wire>) -> Frames {
        let mut frames = Frames { wire: stream, kept: VecDeque::new() };
        frames.send(PREFACE);
        frames.frame(SETTINGS, 0, 0, NO_TABLE);
        frames
    }

    /// The server may have closed already.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.wire.write_all(bytes).and_then(|()| self.wire.flush());
    }

    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send(&frame(kind, flags, stream, payload));
    }

    /// The next frame; `None` if the server closed.
    pub fn next(&mut self) -> Option<Frame> {
        if let Some(kept) = self.kept.pop_front() {
            return Some(kept);
        }
        self.read()
    }

    fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.wire.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.wire.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some((head[3], head[4], stream, payload))
    }

    /// The error code of the GOAWAY with which the server ends the connection.
    fn goaway(&mut self) -> Option<u32> {
        loop {
            let (kind, _, _, payload) = self.next()?;
            if kind == GOAWAY {
                return Some(u32::from_be_bytes(payload[4..8].try_into().expect("four bytes")));
            }
        }
    }

    /// The next frame of a stream with one of these kinds; the others are kept.
    fn next_of(&mut self, stream: u32, kinds: &[u8]) -> Option<Frame> {
        let is_it = |frame: &Frame| frame.2 == stream && kinds.contains(&frame.0);
        if let Some(at) = self.kept.iter().position(is_it) {
            return self.kept.remove(at);
        }
        loop {
            let frame = self.read()?;
            if is_it(&frame) {
                return Some(frame);
            }
            self.kept.push_back(frame);
        }
    }

    /// The status of a stream's answer; 0 if the stream is reset instead.
    pub fn status(&mut self, stream: u32) -> Option<u16> {
        let (kind, _, _, payload) = self.next_of(stream, &[HEADERS, RST_STREAM])?;
        if kind == RST_STREAM { Some(0) } else { Some(status_in(&payload)) }
    }

    pub fn get(&mut self, stream: u32, path: &str) {
        self.frame(HEADERS, END_STREAM | END_HEADERS, stream, &head(path));
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The status in a head: its first field, one of the static table or a literal
/// (RFC 7541 section 6), after changes of the table's size of one byte each.
fn status_in(head: &[u8]) -> u16 {
    let first = head.iter().position(|byte| byte & 0xe0 != 0x20).expect("a field");
    match head[first] {
        known @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(known - 0x88)],
        _ => {
            let text = &head[first + 2..][..usize::from(head[first + 1] & 0x7f)];
            if head[first + 1] & 0x80 == 0 { number(text) } else { number(&digits(text)) }
        }
    }
}

fn number(text: &[u8]) -> u16 {
    str::from_utf8(text).ok().and_then(|text| text.parse().ok()).expect("a status")
}

/// The digits of a Huffman code (RFC 7541 appendix B): 0 to 2 have five bits,
/// 3 to 9 six.
fn digits(code: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> =
        code.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)).collect();
    let (mut at, mut digits) = (0, Vec::new());
    let value = |bits: &[u8]| bits.iter().fold(0, |value, bit| value * 2 + bit);
    while let Some(five) = bits.get(at..at + 5) {
        let five = value(five);
        if five <= 2 {
            digits.push(b'0' + five);
            at += 5;
            continue;
        }
        let Some(six) = bits.get(at..at + 6) else { break };
        match value(six) {
            six @ 0x19..=0x1f => digits.push(b'3' + six - 0x19),
            _ => break,
        }
        at += 6;
    }
    digits
}

/// The head of a GET, without compression (RFC 7541 section 6.2.2).
fn head(path: &str) -> Vec<u8> {
    head_for("localhost", path)
}

fn head_for(authority: &str, path: &str) -> Vec<u8> {
    let mut bytes = vec![0x82, 0x86];
    for (index, value) in [(4, path), (1, authority)] {
        bytes.extend([index, u8::try_from(value.len()).expect("a short text")]);
        bytes.extend(value.as_bytes());
    }
    bytes
}

/// The same of a POST.
pub fn post(path: &str) -> Vec<u8> {
    let mut bytes = head(path);
    bytes[0] = 0x83;
    bytes
}

fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = Vec::new();
        let mut length = text.len();
        if length < 127 {
            bytes.push(length as u8);
        } else {
            bytes.push(127);
            length -= 127;
            while length >= 128 {
                bytes.push((length % 128 + 128) as u8);
                length /= 128;
            }
            bytes.push(length as u8);
        }
        bytes.extend(text.as_bytes());
        bytes
    };
    [vec![0], text(name), text(value)].concat()
}

pub fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["--silent", "--show-error"]).args(arguments).output();
    let output = output.expect("curl");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn curl_is_answered_over_http2() {
    let server = Server::start(&["--app", &test_guest("echo")]);
    let url = format!("http://{}/static/index.html", server.address);
    let shown = ["--write-out", "%{http_code} %{http_version}", "--output", "/dev/null"];
    let printed = curl(&[&["--http2-prior-knowledge", &url], &shown[..]].concat());
    assert_eq!(printed, "200 2");
    let url = format!("http://{}/a?b", server.address);
    let cookies = ["--header", "Cookie: a=1", "--header", "Cookie: b=2"];
    let body = ["--data-binary", "x", "--http2-prior-knowledge", &url];
    let printed = curl(&[&cookies[..], &body].concat());
    assert!(printed.contains("HTTP/2.0") && printed.contains("a=1; b=2"), "{printed}");
    // `:authority` is a header to apps, which look for their host there.
    assert!(printed.contains(&format!("[\"host\",\"{}\"]", server.address)), "{printed}");
    let head = curl(&["--head", "--http2-prior-knowledge", &url]);
    assert!(head.starts_with("HTTP/2 200") && head.contains("content-length: "), "{head}");
}

#[test]
fn many_streams_of_one_connection_are_answered() {
    let server = Server::start(&["--app", &guest("hello")]);
    let mut client = Frames::connect(&server);
    for n in 0..50 {
        client.get(2 * n + 1, "/sayhello");
    }
    let mut bodies = 0;
    while bodies < 50 {
        let (kind, _, _, payload) = client.next().expect("an answer");
        if kind == DATA && payload == b"Hello, world!\n" {
            bodies += 1;
        }
    }
}

#[test]
fn streams_that_run_end_when_the_server_stops() {
    let limits = ["--max-cpu", "60s", "--max-wall", "60s", "--drain", "30s"];
    let mut server = Server::start(&[&["--app", &test_guest("misbehave")], &limits[..]].concat());
    let mut client = Frames::connect(&server);
    client.get(1, "/sleep?ms=1500");
    server.wait_for_log("began");
    server.signal("TERM");
    let mut body = Vec::new();
    let mut told = false;
    while let Some((kind, _, _, payload)) = client.next() {
        told |= kind == GOAWAY;
        if kind == PING {
            // The server asks whether what is on its way has arrived.
            client.frame(PING, 1, 0, &payload);
        }
        if kind == DATA {
            body.extend(payload);
        }
    }
    assert_eq!((told, body), (true, b"ok\n".to_vec()));
    assert_eq!(server.wait().code(), Some(0));
}
