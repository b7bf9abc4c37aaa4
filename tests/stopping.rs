//! A signal stops the server: running requests end, and nothing waits for ever.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::{BINARY, Server, signal, test_guest, wait};

fn server(drain: &str) -> Server {
    let limits = ["--max-cpu", "60s", "--max-wall", "60s", "--drain", drain];
    Server::start(&[&["--app", &test_guest("misbehave")], &limits[..]].concat())
}

/// Sends a request, and returns when its guest has begun.
fn begin(server: &Server, target: &str) -> crate::support::Client {
    let mut client = server.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    server.wait_for_log("began");
    client
}

#[test]
fn running_requests_end_within_the_drain_limit() {
    for signal in ["TERM", "INT"] {
        let mut server = server("30s");
        let mut client = begin(&server, "/sleep?ms=1500");
        server.signal(signal);
        let answer = client.read_answer().expect("the running request is answered");
        assert_eq!(answer.text(), "ok\n");
        assert!(client.is_closed());
        assert_eq!(server.wait().code(), Some(0), "{signal}");
    }
}

#[test]
fn guests_that_outlast_the_drain_limit_are_stopped() {
    for guest in ["/loop", "/sleep?ms=60000"] {
        let mut server = server("200ms");
        let mut client = begin(&server, guest);
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0), "{guest}");
        assert!(client.read_answer().is_none(), "{guest}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = server("60s");
    let _client = begin(&server, "/loop");
    server.signal("TERM");
    // The listener is closed once the first signal was seen.
    while std::net::TcpStream::connect(server.address).is_ok() {}
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(130));
}

#[test]
fn a_server_that_builds_its_apps_is_stopped_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    std::fs::create_dir_all(state.join("build")).expect("a folder");
    // Somebody else builds, and does not end.
    let lock = std::fs::File::create(state.join("build/lock")).expect("a file");
    lock.lock().expect("nobody holds it");
    std::fs::write(folder.path().join("app.py"), "app = None\n").expect("a file");
    let mut command = Command::new(BINARY);
    command.args(["--wsgi", "app:app", "--addr", "127.0.0.1:0", "--state", "state"]);
    let mut child =
        command.current_dir(folder.path()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut log = BufReader::new(child.stderr.take().expect("standard error is piped")).lines();
    let waits = log.next().expect("a line").expect("a text");
    assert!(waits.contains("another process builds"), "{waits}");
    signal(&child, "TERM");
    assert_eq!(wait(&mut child).code(), Some(0));
    assert_eq!(log.count(), 0);
}

#[test]
fn idle_connections_do_not_keep_the_server() {
    let mut server = server("60s");
    let mut client = server.connect();
    assert_eq!(client.get("/ok").status, 200);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(client.is_closed());
}
