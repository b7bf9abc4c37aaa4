//! What connections cost on which nothing goes on, and that the memory is given
//! back. The short form runs by default, the long one with `--long`.

use std::net::{SocketAddr, TcpStream};

use crate::http2::Frames;
use crate::support::process::{memory, raise_descriptors};
use crate::support::tls::Authority;
use crate::support::{Client, Server, connect_from, wait_for};

/// Memory of a connection at most, in bytes.
const MOST: u64 = 16 << 10;

/// What may be left after a burst, in bytes.
const LEFT: u64 = 8 << 20;

/// Connections before the memory is looked at first.
const WARM: usize = 50;

/// So many source addresses are enough for their ports.
const SOURCES: usize = 100;

fn server(folder: &std::path::Path, more: &[&str]) -> Server {
    raise_descriptors();
    std::fs::write(folder.join("index.html"), "<!doctype html><title>a</title>").expect("a file");
    let limits = ["--max-connections=16000", "--max-client-connections=16000"];
    let time = ["--max-idle-time=10m", "--static=."];
    Server::start_in(folder, &[&limits[..], &time, more].concat())
}

/// A connection from one of many addresses of this machine.
fn connect(to: SocketAddr, number: usize) -> TcpStream {
    connect_from([127, 0, 1, (number % SOURCES + 1) as u8], to)
}

/// Opens connections that have had an answer each. What each costs, in bytes;
/// afterwards the memory is given back.
fn cost<T>(server: &Server, name: &str, count: usize, open: impl Fn(usize) -> T) -> u64 {
    drop((0..WARM).map(&open).collect::<Vec<T>>());
    let before = memory(server);
    let connections: Vec<T> = (0..count).map(&open).collect();
    let each = (memory(server) - before) / count as u64;
    drop(connections);
    wait_for(|| memory(server) < before + (LEFT).max(each * count as u64 / 10));
    println!("{name}: {count} idle connections cost {each} bytes each");
    each
}

fn plain(server: &Server, number: usize) -> Client {
    let mut client = Client::over(connect(server.address, number));
    assert_eq!(client.get("/").status, 200);
    client
}

fn idle_connections_are_small(count: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(folder.path(), &[]);
    let each = cost(&server, "HTTP/1.1", count, |number| plain(&server, number));
    assert!(each <= MOST, "{each} bytes each");
}

#[test]
fn e6_two_thousand_idle_connections_are_small_and_give_their_memory_back() {
    idle_connections_are_small(2_000);
}

#[test]
#[ignore = "15,000 connections: with `cargo xtask test --long`"]
fn e6_fifteen_thousand_idle_connections_are_small_and_give_their_memory_back() {
    idle_connections_are_small(15_000);
}

#[test]
#[ignore = "15,000 connections: with `cargo xtask test --long`"]
fn e6_idle_connections_of_http2_and_tls_give_their_memory_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = server(folder.path(), &[]);
    let each = cost(&plain, "HTTP/2", 15_000, |number| {
        let mut frames = Frames::over(Box::new(connect(plain.address, number)));
        frames.get(1, "/");
        assert_eq!(frames.status(1), Some(200));
        frames
    });
    assert!(each <= 2 * MOST, "HTTP/2: {each} bytes each");
    let authority = Authority::new();
    authority.certify(folder.path(), "localhost", &["localhost"]);
    let tls = server(folder.path(), &["--tls=localhost.pem,localhost.pem"]);
    let each = cost(&tls, "TLS", 15_000, |number| {
        let stream = connect(tls.address, number);
        let mut client = Client::over(authority.over(stream, "localhost", &["http/1.1"]));
        assert_eq!(client.get("/").status, 200);
        client
    });
    assert!(each <= 2 * MOST, "TLS: {each} bytes each");
}

#[test]
fn a_burst_of_large_files_leaves_no_memory_behind() {
    const CLIENTS: usize = 64;
    const SIZE: usize = 10 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("large.bin"), vec![b'x'; SIZE]).expect("a file");
    let server = server(folder.path(), &[]);
    plain(&server, 0);
    let before = memory(&server);
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let server = &server;
            scope.spawn(move || {
                let mut client = Client::over(connect(server.address, number));
                client.send(b"GET /large.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                assert!(client.read_to_end() > SIZE, "the whole file");
            });
        }
    });
    println!("while {CLIENTS} clients took large files: {} bytes more", memory(&server) - before);
    wait_for(|| memory(&server) < before + LEFT);
}
