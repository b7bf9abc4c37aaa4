//! F11: clients that are barely alive give up their places where places are short.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::support::process::pass;
use crate::support::{Client, Server, connect_from, test_guest};

/// How often a client that is barely alive sends a byte.
const STEP: Duration = Duration::from_millis(200);

/// A server of eight places whose own deadlines end nobody in time.
fn server() -> Server {
    let limits = ["--max-connections", "8", "--max-header-time", "300s", "--max-send-time", "300s"];
    let more = ["--max-wall", "300s", "--max-cpu", "60s", "--min-transfer-rate", "1"];
    Server::start(&[&["--app", &test_guest("misbehave")], &limits[..], &more].concat())
}

fn client(server: &Server, from: [u8; 4]) -> Client {
    Client::over(connect_from(from, server.address))
}

/// Takes all places with clients that begin so, then send `step` again and again, and
/// asserts that newcomers are served meanwhile.
fn newcomers_are_served_beside(head: &str, step: &str) {
    let server = server();
    let mut slow: Vec<Client> = (0..8).map(|_| client(&server, [127, 0, 8, 1])).collect();
    slow.iter_mut().for_each(|client| client.send(head.as_bytes()));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                slow.iter_mut().for_each(|client| client.send(step.as_bytes()));
                pass(STEP);
            }
        });
        for _ in 0..3 {
            assert_eq!(client(&server, [127, 0, 8, 2]).get("/ok").status, 200);
        }
        done.store(true, Relaxed);
    });
}

#[test]
fn f11_clients_that_send_a_byte_of_a_head_now_and_then_make_room() {
    newcomers_are_served_beside("GET /ok HTTP/1.1\r\nHost: a\r\nX: ", "x");
}

#[test]
fn f11_clients_that_send_a_byte_of_a_body_now_and_then_make_room() {
    newcomers_are_served_beside(
        "POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n",
        "x",
    );
}

#[test]
fn f11_clients_that_take_little_of_an_answer_make_room() {
    newcomers_are_served_beside("GET /huge?mib=64 HTTP/1.1\r\nHost: a\r\n\r\n", "");
}

#[test]
fn f11_a_client_that_waits_for_the_server_keeps_its_place() {
    let server = server();
    let mut waiting: Vec<Client> = (0..7).map(|_| client(&server, [127, 0, 8, 1])).collect();
    for client in &mut waiting {
        client.send(b"GET /sleep?ms=4000 HTTP/1.1\r\nHost: a\r\n\r\n");
        server.wait_for_log("began");
    }
    let mut slow = client(&server, [127, 0, 8, 1]);
    slow.send(b"GET /ok HT");
    assert_eq!(client(&server, [127, 0, 8, 2]).get("/ok").status, 200);
    assert!(slow.is_closed());
    for client in &mut waiting {
        assert_eq!(client.read_answer().map(|answer| answer.status), Some(200));
    }
}

#[test]
fn f11_a_client_that_takes_ten_kilobytes_a_second_keeps_its_place() {
    let server = server();
    let mut reader = client(&server, [127, 0, 8, 1]);
    reader.send(b"GET /huge?mib=8 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(reader.read_head().starts_with("HTTP/1.1 200"));
    let mut slow: Vec<Client> = (0..7).map(|_| client(&server, [127, 0, 8, 1])).collect();
    slow.iter_mut().for_each(|client| client.send(b"GET /ok HT"));
    let mut served = false;
    for _ in 0..20 {
        // More than the server's own buffer of a connection holds, each time.
        reader.read(200_000);
        pass(Duration::from_millis(100));
        served |= client(&server, [127, 0, 8, 2]).get("/ok").status == 200;
    }
    assert!(served);
    assert!(slow[0].is_closed());
}
