//! Clients that leave while their request runs: however they do it, the guest
//! is stopped.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use crate::http2::Frames;
use crate::support::tls::Authority;
use crate::support::{Client, PATIENCE, Server, Wire, test_guest, wait_for};

/// The first request takes the only place for as long as it runs.
const ONE_PLACE: [&str; 8] =
    ["--max-cpu", "60s", "--max-wall", "60s", "--max-concurrency", "1", "--max-queue-time", "10s"];

const LOOP: &[u8] = b"GET /loop HTTP/1.1\r\nHost: a.example\r\n\r\n";

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Asks for a loop, sends more behind it, and leaves. The next client gets the
/// place.
fn leave_behind(server: &Server, mut wire: impl Wire, more: &[u8]) {
    wire.write_all(LOOP).expect("a request");
    server.wait_for_log("began");
    // The server may have read a part of it, and close.
    let _ = wire.write_all(more).and_then(|()| wire.flush());
    drop(wire);
}

/// A byte, a next request, many of them, and more than a buffer of hyper's holds.
fn what_is_left() -> [Vec<u8>; 5] {
    let next = b"GET /ok HTTP/1.1\r\nHost: a.example\r\n\r\n";
    [b"".to_vec(), b"x".to_vec(), next.to_vec(), next.repeat(1_000), vec![b'x'; 20_000]]
}

#[test]
fn a_client_that_leaves_more_behind_stops_its_guest() {
    let server = Server::start(&[&["--app", &test_guest("misbehave")], &ONE_PLACE[..]].concat());
    for more in what_is_left() {
        leave_behind(&server, connect(&server), &more);
        assert_eq!(server.get("/ok").status, 200, "{} bytes behind it", more.len());
    }
}

#[test]
fn a_client_that_leaves_a_body_unfinished_stops_its_guest() {
    let server = Server::start(&[&["--app", &test_guest("wasi_http_02")], &ONE_PLACE[..]].concat());
    for sent in [0, 1, 20_000] {
        let mut stream = connect(&server);
        let head = "POST /loop-after-head HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n";
        stream.write_all(&[head.as_bytes(), &vec![b'x'; sent]].concat()).expect("a part");
        stream.read_exact(&mut [0; 12]).expect("the guest has begun its answer");
        drop(stream);
        assert_eq!(server.get("/hello").status, 200, "{sent} bytes of the body");
    }
}

#[test]
fn a_client_that_leaves_more_behind_over_tls_stops_its_guest() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    authority.certify(folder.path(), "a", &["a.example"]);
    let tls = ["--tls", "a.pem,a.pem", "--app", &test_guest("misbehave")];
    let server = Server::start_in(folder.path(), &[&tls, &ONE_PLACE[..]].concat());
    for more in what_is_left() {
        leave_behind(&server, authority.connect(server.address, "a.example", &["http/1.1"]), &more);
        let mut next = Client::over(authority.connect(server.address, "a.example", &["http/1.1"]));
        next.send(b"GET /ok HTTP/1.1\r\nHost: a.example\r\n\r\n");
        assert_eq!(next.read_answer().map(|answer| answer.status), Some(200), "{}", more.len());
    }
}

#[test]
fn a_client_of_a_socket_of_the_file_system_that_leaves_stops_its_guest() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let address = format!("unix:{}", path.display());
    let app = ["--addr", &address, "--app", &test_guest("misbehave")];
    let server = Server::start(&[&app, &ONE_PLACE[..]].concat());
    let connect = || {
        let stream = UnixStream::connect(&path).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    };
    for more in what_is_left() {
        leave_behind(&server, connect(), &more);
        assert_eq!(Client::over(connect()).get("/ok").status, 200, "{}", more.len());
    }
}

#[test]
fn a_client_of_http2_that_leaves_more_behind_stops_its_guest() {
    let server = Server::start(&[&["--app", &test_guest("misbehave")], &ONE_PLACE[..]].concat());
    for more in what_is_left() {
        let mut client = Frames::over(Box::new(connect(&server)));
        client.get(1, "/loop");
        server.wait_for_log("began");
        client.send(&more);
        drop(client);
        assert_eq!(server.get("/ok").status, 200, "{} bytes behind it", more.len());
    }
}

/// Asks, closes its side, as `nc -N` does, and takes what comes.
fn ask_and_close(server: &Server, path: &str) -> Vec<u8> {
    let mut stream = connect(server);
    let request = format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    stream.shutdown(Shutdown::Write).expect("half of the end");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an orderly end");
    answer
}

#[test]
fn a_client_that_closes_its_side_once_it_has_asked_gets_what_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("small.txt"), "small").expect("a file");
    std::fs::write(folder.path().join("large.bin"), vec![b'x'; 20 << 20]).expect("a file");
    let app = format!("/app={}", test_guest("misbehave"));
    let server = Server::start_in(folder.path(), &["--static", ".", "--app", &app]);
    assert!(ask_and_close(&server, "/small.txt").ends_with(b"small"));
    assert!(ask_and_close(&server, "/large.bin").len() > 20 << 20);
    assert!(ask_and_close(&server, "/nothing").starts_with(b"HTTP/1.1 404"));
    // An app has a tick for it, which on a busy machine may be over too soon.
    wait_for(|| ask_and_close(&server, "/app/ok").starts_with(b"HTTP/1.1 200"));
}

#[test]
fn a_client_that_closes_its_side_while_its_request_runs_has_left() {
    let server = Server::start(&[&["--app", &test_guest("misbehave")], &ONE_PLACE[..]].concat());
    let mut stream = connect(&server);
    stream.write_all(LOOP).expect("a request");
    server.wait_for_log("began");
    stream.shutdown(Shutdown::Write).expect("half of the end");
    assert_eq!(server.get("/ok").status, 200, "the place is free");
    assert_eq!(stream.read(&mut [0; 1]).ok(), Some(0));
}
