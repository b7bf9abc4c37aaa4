//! E11 and E12: frames that cost a client nothing.

use std::time::{Duration, Instant};

use super::{
    CALM, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, frame, head, literal, post,
};
use crate::support::process::{cpu, pass};
use crate::support::{Server, guest, test_guest};

const PRIORITY: u8 = 2;

/// PROTOCOL_ERROR (RFC 9113 section 7).
const PROTOCOL_ERROR: u32 = 1;

/// Ten times what 20,000 frames may cost (1 % of a second): the clock of the CPU
/// and other tests have their share.
const MOST: Duration = Duration::from_millis(100);

/// Sends frames until the server ends the connection: by ENHANCE_YOUR_CALM, or
/// by PROTOCOL_ERROR where one such frame is one too many. It may close before
/// that is read.
fn flood(server: &Server, name: &str, begin: &[u8], one: impl Fn(u32) -> Vec<u8>) {
    let mut client = Frames::connect(server);
    let before = cpu(server);
    client.send(begin);
    let all: Vec<u8> = (0..20_000).flat_map(one).collect();
    client.send(&all);
    let code = client.goaway();
    assert!(code.is_none_or(|code| [CALM, PROTOCOL_ERROR].contains(&code)), "{name}: {code:?}");
    let used = cpu(server).saturating_sub(before);
    assert!(used < MOST, "{name}: {used:?}");
    assert_eq!(server.get("/sayhello").text(), "Hello, world!\n", "after {name}");
}

fn request(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &head("/sayhello"))
}

#[test]
fn e11_streams_that_are_opened_to_be_reset_end_the_connection() {
    let server = Server::start(&["--app", &guest("hello"), "--reuse", "1000"]);
    let cancel = |stream| frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
    // Rapid Reset (CVE-2023-44487).
    flood(&server, "rapid reset", b"", |n| [request(2 * n + 1), cancel(2 * n + 1)].concat());
    // MadeYouReset (CVE-2025-8671): what makes the server reset its own streams.
    let nothing = |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4]);
    flood(&server, "updates of nothing", b"", |n| {
        [request(2 * n + 1), nothing(2 * n + 1)].concat()
    });
    let too_much = |stream| frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffffu32.to_be_bytes());
    flood(&server, "windows that overflow", b"", |n| {
        [request(2 * n + 1), too_much(2 * n + 1)].concat()
    });
    let data = |stream| frame(DATA, END_STREAM, stream, b"x");
    flood(&server, "data after the end", b"", |n| [request(2 * n + 1), data(2 * n + 1)].concat());
    let again = |stream| frame(HEADERS, END_STREAM | END_HEADERS, stream, &head("/"));
    flood(&server, "heads after the end", b"", |n| [request(2 * n + 1), again(2 * n + 1)].concat());
    let malformed = |stream| frame(HEADERS, END_STREAM | END_HEADERS, stream, &literal("x", "y"));
    flood(&server, "malformed heads", b"", |n| malformed(2 * n + 1));
    let on_itself = |stream: u32| {
        frame(PRIORITY, 0, stream, &[stream.to_be_bytes().to_vec(), vec![0]].concat())
    };
    flood(&server, "streams that depend on themselves", b"", |n| {
        [request(2 * n + 1), on_itself(2 * n + 1)].concat()
    });
}

#[test]
fn e11_heads_in_endless_pieces_end_the_connection() {
    let server = Server::start(&["--app", &guest("hello")]);
    let begin = frame(HEADERS, END_STREAM, 1, &head("/"));
    let more = literal("x", &"y".repeat(1_000));
    flood(&server, "CONTINUATION", &begin, |_| frame(CONTINUATION, 0, 1, &more));
    flood(&server, "empty CONTINUATION", &begin, |_| frame(CONTINUATION, 0, 1, b""));
}

#[test]
fn e11_the_guest_of_a_stream_that_is_reset_is_stopped() {
    let app = test_guest("misbehave");
    let limits = ["--max-cpu", "60s", "--max-wall", "60s", "--max-concurrency", "1"];
    let server = Server::start(&[&["--app", &app], &limits[..]].concat());
    let reset = frame(RST_STREAM, 0, 1, &8u32.to_be_bytes());
    // By the client, and by the server for what the client has sent.
    let overflow = frame(WINDOW_UPDATE, 0, 1, &0x7fff_ffffu32.to_be_bytes());
    for (name, end) in [("reset", reset), ("fault", overflow)] {
        let mut client = Frames::connect(&server);
        client.get(1, "/loop");
        server.wait_for_log("began");
        client.send(&end);
        let began = Instant::now();
        assert_eq!(server.get("/ok").status, 200, "{name}: its place is free");
        assert!(began.elapsed() < Duration::from_secs(2), "{name}: {:?}", began.elapsed());
        let before = cpu(&server);
        pass(Duration::from_millis(300));
        let used = cpu(&server).saturating_sub(before);
        assert!(used < Duration::from_millis(100), "{name}: it goes on, {used:?}");
        client.get(3, "/ok");
        assert_eq!(client.status(3), Some(200), "{name}: the connection goes on");
    }
}

#[test]
fn e11_e12_frames_that_carry_nothing_end_the_connection() {
    let server = Server::start(&["--app", &guest("hello")]);
    let setting = [0, 4, 0, 1, 0, 0];
    for (name, one) in [
        ("PING", frame(PING, 0, 0, &[0; 8])),
        ("PING with ACK", frame(PING, 1, 0, &[0; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, b"")),
        ("SETTINGS of a window", frame(SETTINGS, 0, 0, &setting)),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0; 5])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes())),
        ("unknown kinds", frame(0x77, 0, 0, b"x")),
    ] {
        flood(&server, name, b"", |_| one.clone());
    }
    let begin = frame(HEADERS, END_HEADERS, 1, &post("/sayhello"));
    flood(&server, "empty DATA", &begin, |_| frame(DATA, 0, 1, b""));
    flood(&server, "DATA of padding", &begin, |_| {
        frame(DATA, 8, 1, &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    });
}

#[test]
fn e12_fewer_than_a_thousand_a_second_are_answered() {
    let server = Server::start(&["--app", &guest("hello")]);
    let mut client = Frames::connect(&server);
    for _ in 0..900 {
        client.frame(PING, 0, 0, &[7; 8]);
    }
    let pongs = std::iter::from_fn(|| client.next()).filter(|(kind, flags, ..)| {
        assert_ne!(*kind, GOAWAY);
        (*kind, *flags) == (PING, 1)
    });
    assert_eq!(pongs.take(900).count(), 900);
}
