//! F6: the memory of connections, their heads and their streams has a bound, and
//! other clients are served while somebody uses all of it.

use super::{END_HEADERS, END_STREAM, Frames, HEADERS, SETTINGS, head, literal, post};
use crate::support::process::{memory, raise_descriptors};
use crate::support::{Client, Server, connect_from, guest, wait_for};

/// The bound of connections' memory in these tests, in bytes.
const BOUND: u64 = 16 << 20;

/// A window that is closed from the start (SETTINGS_INITIAL_WINDOW_SIZE 0).
const NO_WINDOW: &[u8] = &[0, 4, 0, 0, 0, 0];

/// An app at `/app` and a page that is served without it.
fn server() -> (Server, tempfile::TempDir) {
    raise_descriptors();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("page.html"), "page").expect("a file");
    let app = format!("/app={}", guest("hello"));
    let served = ["--app", &app, "--static", "."];
    let bounds = ["--max-server-memory", "128MiB", "--max-connection-memory", "16MiB"];
    let server = Server::start_in(folder.path(), &[&served[..], &bounds].concat());
    // Memory of the first requests is not memory of the attack.
    for _ in 0..100 {
        assert_eq!(server.get("/page.html").text(), "page");
        assert_eq!(server.get("/app/sayhello").status, 200);
    }
    (server, folder)
}

/// Connects from the network of this number.
fn frames(server: &Server, network: u8) -> Frames {
    let mut frames = Frames::over(Box::new(connect_from([127, 0, 6, network], server.address)));
    frames.frame(SETTINGS, 0, 0, NO_WINDOW);
    frames
}

/// A head whose one field of 4 KB is in the table of HPACK, then repeated, and the
/// later ones that only repeat the field.
fn heads(first: &[u8]) -> [Vec<u8>; 2] {
    let field = literal("x", &"y".repeat(3_900));
    let stored = [first.to_vec(), vec![0x40], field[1..].to_vec(), vec![0xbe; 14]].concat();
    [stored, [first.to_vec(), vec![0xbe; 15]].concat()]
}

/// Asserts that a client of another network is served, and that the memory of the
/// attack stays within the bound and a fifth of it.
fn others_are_served_within_the_bound(server: &Server, before: u64) {
    for _ in 0..20 {
        let mut client = Client::over(connect_from([127, 0, 7, 1], server.address));
        assert_eq!(client.get("/page.html").text(), "page");
    }
    let now = memory(server);
    assert!(now < before + BOUND / 5 * 6, "{before} bytes of memory grew to {now}");
}

/// Opens connections from `networks` networks, 600 together, each with 30 streams,
/// while another client is served; then all of them leave.
fn attack(networks: u8, flags: u8, first: &[u8]) {
    let (server, _folder) = server();
    let before = memory(&server);
    let [stored, repeated] = heads(first);
    let mut attackers = Vec::new();
    for number in 0..600 {
        let network = u8::try_from(number % usize::from(networks) + 1).expect("a network");
        let mut attacker = frames(&server, network);
        attacker.frame(HEADERS, flags, 1, &stored);
        for stream in 1..30 {
            attacker.frame(HEADERS, flags, 2 * stream + 1, &repeated);
        }
        attackers.push(attacker);
        if number % 50 == 49 {
            others_are_served_within_the_bound(&server, before);
        }
    }
    drop(attackers);
    wait_for(|| memory(&server) < before + (8 << 20));
}

#[test]
fn f6_heads_whose_bodies_never_come_stay_within_the_memory_of_connections() {
    attack(1, END_HEADERS, &post("/app/sayhello"));
}

#[test]
fn f6_streams_that_stand_still_stay_within_the_memory_of_connections() {
    attack(1, END_STREAM | END_HEADERS, &head("/page.html"));
}

#[test]
fn f6_many_networks_stay_within_the_memory_of_connections() {
    attack(20, END_STREAM | END_HEADERS, &head("/page.html"));
}

#[test]
fn f6_heads_that_do_not_end_stay_within_the_memory_of_connections() {
    attack(3, 0, &head("/page.html"));
}

#[test]
fn f6_heads_over_http1_that_do_not_end_stay_within_the_memory_of_connections() {
    let (server, _folder) = server();
    let before = memory(&server);
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(60_000));
    let mut attackers = Vec::new();
    for number in 0..600 {
        let mut client = Client::over(connect_from([127, 0, 6, 1], server.address));
        client.send(head.as_bytes());
        attackers.push(client);
        if number % 50 == 49 {
            others_are_served_within_the_bound(&server, before);
        }
    }
    drop(attackers);
    wait_for(|| memory(&server) < before + (8 << 20));
}

#[test]
fn f6_a_stream_without_memory_may_be_asked_again() {
    let (server, _folder) = server();
    let mut held: Vec<Frames> = Vec::new();
    let refused = wait_for_refusal(&server, &mut held);
    assert_eq!(refused, [0, 0, 0, 7], "REFUSED_STREAM (RFC 9113 section 8.7)");
    drop(held);
    wait_for(|| {
        let mut client = frames(&server, 1);
        client.frame(HEADERS, END_STREAM | END_HEADERS, 1, &head("/page.html"));
        client.status(1) == Some(200)
    });
}

/// Uses memory until a stream is refused: the code of its reset.
fn wait_for_refusal(server: &Server, held: &mut Vec<Frames>) -> Vec<u8> {
    let [stored, repeated] = heads(&post("/app/sayhello"));
    loop {
        let mut client = frames(server, 1);
        client.frame(HEADERS, END_HEADERS, 1, &stored);
        for stream in 1..12 {
            client.frame(HEADERS, END_HEADERS, 2 * stream + 1, &repeated);
        }
        client.frame(super::PING, 0, 0, &[0; 8]);
        while let Some((kind, flags, _, payload)) = client.next() {
            if kind == super::RST_STREAM {
                return payload;
            }
            if kind == super::PING && flags == 1 {
                break;
            }
        }
        held.push(client);
    }
}
