//! E1 to E5: connections and streams on which nothing happens, or too little.

use std::time::{Duration, Instant};

use super::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, frame, head, literal, post,
};
use crate::support::process::{descriptors, memory, pass};
use crate::support::{Server, guest, test_guest, wait_for};

/// How much later than its time something may be seen to end.
const SLACK: Duration = Duration::from_secs(2);

/// CANCEL (RFC 9113 section 7).
const CANCEL: &[u8] = &[0, 0, 0, 8];

/// A window that is closed from the start (SETTINGS_INITIAL_WINDOW_SIZE 0).
const NO_WINDOW: &[u8] = &[0, 4, 0, 0, 0, 0];

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

#[test]
fn e2_a_head_without_its_end_is_not_waited_for() {
    let server = Server::start(&["--app", &guest("hello"), "--max-header-time", "500ms"]);
    let begun = frame(HEADERS, END_STREAM, 1, &head("/"));
    for (name, part) in [
        ("HEADERS", begun.clone()),
        ("CONTINUATION", [begun.clone(), frame(CONTINUATION, 0, 1, &literal("x", "y"))].concat()),
        ("a part of HEADERS", begun[..12].to_vec()),
        ("a part of a frame's head", begun[..5].to_vec()),
        ("a part of SETTINGS", frame(SETTINGS, 0, 0, NO_WINDOW)[..11].to_vec()),
    ] {
        // Also while another stream runs.
        for running in [false, true] {
            let began = Instant::now();
            let mut client = Frames::connect(&server);
            if running {
                client.frame(HEADERS, END_HEADERS, 1, &post("/sayhello"));
            }
            let part = if running && part.len() > 8 { retitled(&part, 3) } else { part.clone() };
            client.send(&part);
            while client.next().is_some() {}
            let took = began.elapsed();
            assert!(took > millis(400) && took < millis(500) + SLACK, "{name}: {took:?}");
        }
    }
}

/// The same frames for another stream.
fn retitled(frames: &[u8], stream: u8) -> Vec<u8> {
    let mut frames = frames.to_vec();
    let mut at = 0;
    while at + 9 <= frames.len() {
        if frames[at + 8] == 1 {
            frames[at + 8] = stream;
        }
        at += 9 + usize::from(frames[at + 2]);
    }
    frames
}

#[test]
fn e3_a_body_slower_than_500_bytes_a_second_is_408_after_5_seconds() {
    let server = Server::start(&["--app", &test_guest("echo")]);
    let mut client = Frames::connect(&server);
    let began = Instant::now();
    client.frame(HEADERS, END_HEADERS, 1, &post("/"));
    client.frame(HEADERS, END_HEADERS, 3, &post("/"));
    for _ in 0..60 {
        client.frame(DATA, 0, 1, &[b'x'; 10]);
        client.frame(DATA, 0, 3, &[b'x'; 100]);
        pass(millis(100));
    }
    client.frame(DATA, END_STREAM, 3, b"x");
    assert_eq!(client.status(1), Some(408));
    assert!(began.elapsed() > Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(client.status(3), Some(200), "slow, but not too slow");
    client.get(5, "/");
    assert_eq!(client.status(5), Some(200), "the connection goes on");
}

/// A folder with a file that no window holds.
fn large_file() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("large.bin"), vec![7; 10 << 20]).expect("a file");
    std::fs::write(folder.path().join("small.txt"), "small").expect("a file");
    folder
}

#[test]
fn e4_a_stream_of_which_nothing_is_taken_is_reset() {
    let folder = large_file();
    let server = Server::start_in(folder.path(), &["--static", ".", "--max-send-time", "1s"]);
    let before = descriptors(&server);
    for path in ["/small.txt", "/large.bin"] {
        let mut client = Frames::connect(&server);
        client.frame(SETTINGS, 0, 0, NO_WINDOW);
        let began = Instant::now();
        client.get(1, path);
        // Others that go on do not help it.
        for n in 0..4 {
            client.frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 3, &head("/none"));
            client.frame(WINDOW_UPDATE, 0, 2 * n + 3, &1_000_000u32.to_be_bytes());
            pass(millis(200));
        }
        let (.., code) = client.next_of(1, &[RST_STREAM]).expect("it is reset");
        let took = began.elapsed();
        assert_eq!(code, CANCEL, "{path}");
        assert!(took > millis(900) && took < millis(1_000) + SLACK, "{path}: {took:?}");
        client.frame(HEADERS, END_STREAM | END_HEADERS, 101, &head("/small.txt"));
        client.frame(WINDOW_UPDATE, 0, 101, &100u32.to_be_bytes());
        assert_eq!(client.status(101), Some(200), "the connection goes on");
    }
    wait_for(|| descriptors(&server) <= before);
}

#[test]
fn e4_trickles_do_not_keep_a_stream() {
    let folder = large_file();
    let server = Server::start_in(folder.path(), &["--static", ".", "--max-send-time", "1s"]);
    let mut client = Frames::connect(&server);
    client.frame(SETTINGS, 0, 0, NO_WINDOW);
    client.get(1, "/large.bin");
    let began = Instant::now();
    for _ in 0..30 {
        client.frame(WINDOW_UPDATE, 0, 1, &10u32.to_be_bytes());
        pass(millis(100));
    }
    client.next_of(1, &[RST_STREAM]).expect("it is reset");
    assert!(began.elapsed() < Duration::from_secs(4) + SLACK, "{:?}", began.elapsed());
}

#[test]
fn e4_streams_that_nobody_takes_hold_little() {
    let folder = large_file();
    let server = Server::start_in(folder.path(), &["--static", "."]);
    let before = memory(&server);
    let mut client = Frames::connect(&server);
    for n in 0..50 {
        client.get(2 * n + 1, "/large.bin");
    }
    // The windows are used up, and the client says nothing more.
    let mut taken = 0;
    while taken < 65_535 {
        let (kind, _, _, payload) = client.next().expect("data");
        taken += if kind == DATA { payload.len() } else { 0 };
    }
    let now = memory(&server);
    assert!(now < before + 50 * (192 << 10), "{before} bytes of memory grew to {now}");
}

#[test]
fn a_client_that_takes_a_large_answer_slowly_gets_all_of_it() {
    let app = test_guest("misbehave");
    let times = ["--max-idle-time", "500ms", "--max-header-time", "500ms"];
    let server = Server::start(&[&["--app", &app], &times[..]].concat());
    let mut client = Frames::connect(&server);
    client.get(1, "/huge?mib=1");
    let mut taken = 0;
    while taken < 1 << 20 {
        let (kind, _, _, payload) = client.next().expect("it is not given up");
        if kind == DATA {
            taken += payload.len();
            let more = u32::try_from(payload.len()).expect("a length").to_be_bytes();
            client.frame(WINDOW_UPDATE, 0, 0, &more);
            client.frame(WINDOW_UPDATE, 0, 1, &more);
            pass(millis(30));
        }
    }
}

#[test]
fn e5_an_idle_connection_is_told_to_go() {
    let server = Server::start(&["--app", &guest("hello"), "--max-idle-time", "500ms"]);
    let began = Instant::now();
    let mut client = Frames::connect(&server);
    client.get(1, "/sayhello");
    assert_eq!(client.goaway(), Some(0));
    assert!(began.elapsed() > millis(400), "{:?}", began.elapsed());
}

#[test]
fn e5_a_client_that_was_idle_for_longer_than_it_has_to_go_is_told_too() {
    let times = ["--max-idle-time", "400ms", "--max-header-time", "100ms"];
    let server = Server::start(&[&["--app", &guest("hello")], &times[..]].concat());
    // Which of two things is looked at first was by chance.
    for _ in 0..5 {
        let mut client = Frames::connect(&server);
        client.get(1, "/sayhello");
        assert_eq!(client.goaway(), Some(0));
    }
}

#[test]
fn e5_a_client_that_does_not_go_is_left() {
    let times = ["--max-idle-time", "300ms", "--max-header-time", "300ms"];
    let server = Server::start(&[&["--app", &guest("hello")], &times[..]].concat());
    let mut client = Frames::connect(&server);
    let began = Instant::now();
    // Not with a request, and not with signs of life.
    while client.next().is_some() {
        client.frame(PING, 1, 0, &[0; 8]);
    }
    assert!(began.elapsed() < millis(600) + SLACK, "{:?}", began.elapsed());
}
