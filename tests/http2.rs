//! HTTP/2 without TLS, to clients that know: what curl gets, and frames that no
//! client should send.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use crate::support::{PATIENCE, Server, guest, test_guest};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// ENHANCE_YOUR_CALM (RFC 9113 section 7).
const CALM: u32 = 11;

/// A connection on which frames are sent as they are.
struct Frames(TcpStream);

impl Frames {
    fn connect(server: &Server) -> Frames {
        let stream = TcpStream::connect(server.address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut frames = Frames(stream);
        frames.send(PREFACE);
        frames.frame(SETTINGS, 0, 0, b"");
        frames
    }

    /// The server may have closed already.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send(&frame(kind, flags, stream, payload));
    }

    /// The next frame: kind, flags, stream and payload; `None` if the server closed.
    fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).ok()?;
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

    fn get(&mut self, stream: u32, path: &str) {
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

/// The head of a GET, without compression (RFC 7541 section 6.2.2).
fn head(path: &str) -> Vec<u8> {
    let mut bytes = vec![0x82, 0x86];
    for (index, value) in [(4, path), (1, "localhost")] {
        bytes.extend([index, u8::try_from(value.len()).expect("a short text")]);
        bytes.extend(value.as_bytes());
    }
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
fn hosts_of_http2_are_checked() {
    let server = Server::start(&["--app", &test_guest("echo")]);
    let mut client = Frames::connect(&server);
    let other = [head("/"), literal("host", "other.example")].concat();
    client.frame(HEADERS, END_STREAM | END_HEADERS, 1, &other);
    let none = [&[0x82, 0x86, 4, 1, b'/'][..]].concat();
    client.frame(HEADERS, END_STREAM | END_HEADERS, 3, &none);
    let mut refused = 0;
    while refused < 2 {
        let (kind, _, _, payload) = client.next().expect("an answer");
        if kind == HEADERS {
            // `:status: 400` of the static table.
            assert_eq!(payload[0], 0x8c, "{payload:?}");
            refused += 1;
        }
    }
}

#[test]
fn e11_resets_and_pieces_of_heads_end_the_connection() {
    let server = Server::start(&["--app", &guest("hello")]);
    let mut rapid = Frames::connect(&server);
    let mut all = Vec::new();
    for n in 0..5_000 {
        all.extend(frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &head("/sayhello")));
        all.extend(frame(RST_STREAM, 0, 2 * n + 1, &8u32.to_be_bytes()));
    }
    rapid.send(&all);
    assert_eq!(rapid.goaway(), Some(CALM));
    let mut pieces = Frames::connect(&server);
    pieces.frame(HEADERS, END_STREAM, 1, &head("/"));
    let more = literal("x", &"y".repeat(1_000));
    (0..1_000).for_each(|_| pieces.frame(CONTINUATION, 0, 1, &more));
    assert!(pieces.goaway().is_none_or(|code| code == CALM));
    let mut empty = Frames::connect(&server);
    empty.frame(HEADERS, END_STREAM, 1, &head("/"));
    empty.send(&frame(CONTINUATION, 0, 1, b"").repeat(2_000));
    assert!(empty.goaway().is_none_or(|code| code == CALM));
    assert_eq!(server.get("/sayhello").text(), "Hello, world!\n");
}

#[test]
fn e12_floods_of_frames_that_cost_nothing_end_the_connection() {
    let server = Server::start(&["--app", &guest("hello")]);
    for (name, one) in [
        ("PING", frame(PING, 0, 0, &[0; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, b"")),
        ("PRIORITY", frame(2, 0, 1, &[0; 5])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes())),
    ] {
        let mut client = Frames::connect(&server);
        client.send(&one.repeat(200_000));
        // The server may close before its last word is read.
        assert!(client.goaway().is_none_or(|code| code == CALM), "{name}");
    }
    let mut client = Frames::connect(&server);
    let post = [vec![0x83], head("/")[1..].to_vec()].concat();
    client.frame(HEADERS, END_HEADERS, 1, &post);
    client.send(&frame(DATA, 0, 1, b"").repeat(200_000));
    assert!(client.goaway().is_none_or(|code| code == CALM), "empty DATA");
    assert_eq!(server.get("/sayhello").text(), "Hello, world!\n");
}

#[test]
fn e13_heads_that_grow_when_they_are_decoded_are_bounded() {
    let server = Server::start(&["--app", &guest("hello")]);
    let (before, _) = crate::soak::usage(&server);
    let mut client = Frames::connect(&server);
    // A header of 4,000 bytes in the table, then named 16,000 times by one byte.
    let mut bomb = [head("/"), vec![0x40], literal("x", &"y".repeat(4_000))[1..].to_vec()].concat();
    bomb.extend(std::iter::repeat_n(0xbe, 10_000));
    client.frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb);
    // Refused with 431, or the connection ended.
    let mut answered = None;
    while let Some((kind, _, _, payload)) = client.next() {
        if kind == HEADERS || kind == GOAWAY || kind == RST_STREAM {
            answered = Some((kind, payload));
            break;
        }
    }
    if let Some((HEADERS, payload)) = &answered {
        let text = String::from_utf8_lossy(payload).into_owned();
        assert!(!payload.starts_with(&[0x88]), "not 200: {text}");
    }
    let (after, _) = crate::soak::usage(&server);
    assert!(after < before + (8 << 20), "{before} bytes of memory grew to {after}");
}

#[test]
fn e4_a_client_that_takes_nothing_is_left() {
    let server = Server::start(&["--static", "html", "--max-send-time", "300ms"]);
    let mut client = Frames::connect(&server);
    // SETTINGS_INITIAL_WINDOW_SIZE 0.
    client.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    client.get(1, "/style.css");
    let began = Instant::now();
    while client.next().is_some() {}
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn e5_an_idle_connection_is_told_to_go() {
    let server = Server::start(&["--app", &guest("hello"), "--max-idle-time", "300ms"]);
    let mut client = Frames::connect(&server);
    client.get(1, "/sayhello");
    assert_eq!(client.goaway(), Some(0));
}

#[test]
fn e1_a_part_of_the_preface_does_not_keep_a_connection() {
    let server = Server::start(&["--app", &guest("hello"), "--max-header-time", "300ms"]);
    for part in [&b""[..], &PREFACE[..1], &PREFACE[..20]] {
        let mut stream = TcpStream::connect(server.address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(part).expect("a part");
        let read = stream.read(&mut [0; 1]);
        assert!(
            matches!(read, Ok(0))
                || read.is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock)
        );
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
