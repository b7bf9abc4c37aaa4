//! Many requests leave nothing behind. The short form runs by default, the
//! million with `cargo xtask test --long`.

use crate::support::process::{descriptors, memory};
use crate::support::scripts::component;
use crate::support::{Server, guest};

/// Connections at the same time.
const CONNECTIONS: usize = 4;

fn usage(server: &Server) -> (u64, usize) {
    (memory(server), descriptors(server))
}

/// Sends requests over a few connections, several in flight on each; all answers
/// are the same.
fn requests(server: &Server, count: usize, path: &str, expected: &str) {
    const TOGETHER: usize = 50;
    let pipelined = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(TOGETHER);
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut client = server.connect();
                for _ in 0..count / CONNECTIONS / TOGETHER {
                    client.send(pipelined.as_bytes());
                    for _ in 0..TOGETHER {
                        let answer = client.read_answer().expect("an answer");
                        assert_eq!((answer.status, answer.text()), (200, expected));
                    }
                }
            });
        }
    });
}

fn soak(warm: usize, count: usize) {
    let server = Server::start(&["--app", &guest("hello")]);
    requests(&server, warm, "/sayhello", "Hello, world!\n");
    let (memory, descriptors) = usage(&server);
    requests(&server, count, "/sayhello", "Hello, world!\n");
    let (memory_after, descriptors_after) = usage(&server);
    println!("after {warm} requests {memory} bytes, {count} later {memory_after}");
    assert!(memory_after < memory + (10 << 20), "{memory} bytes grew to {memory_after}");
    // The server may not have seen yet that the last clients left.
    assert!(descriptors_after <= descriptors + CONNECTIONS, "{descriptors} -> {descriptors_after}");
}

#[test]
fn ten_thousand_fresh_instances_leave_nothing() {
    soak(2_000, 10_000);
}

#[test]
#[ignore = "a million requests: with `cargo xtask test --long`"]
fn a_million_fresh_instances_leave_nothing() {
    soak(10_000, 1_000_000);
}

/// What all instances of a tenant may have, by default, and beside it the server
/// with its compiled code.
const MOST: u64 = (512 << 20) + (256 << 20);

/// An app of scripts that is reused, and whose memory only grows: no request
/// fails, and the server's memory stays below what the tenant may have.
fn soak_of_scripts(arguments: &[&str], name: &str, (path, expected): (&str, &str), count: usize) {
    let Some(app) = component(arguments, name) else { return };
    // Not where `html` is, which would stand in front of the app.
    let empty = tempfile::tempdir().expect("a folder");
    let server = Server::start_in(empty.path(), &["--app", &app]);
    const PARTS: usize = 10;
    for part in 1..=PARTS {
        requests(&server, count / PARTS, path, expected);
        let memory = memory(&server);
        println!("{name}: {} requests, {} MiB", count / PARTS * part, memory >> 20);
        assert!(memory < MOST, "{memory} bytes");
    }
}

#[test]
fn a_python_app_that_leaks_is_given_up_before_its_limit() {
    soak_of_scripts(&["--wsgi", "plain/app:app"], "plain", ("/leaks", "kept\n"), 4_000);
}

#[test]
#[ignore = "a hundred thousand requests: with `cargo xtask test --long`"]
fn a_hundred_thousand_requests_to_a_python_app_that_leaks() {
    soak_of_scripts(&["--wsgi", "plain/app:app"], "plain", ("/leaks", "kept\n"), 100_000);
}

#[test]
#[ignore = "four hundred thousand requests: with `cargo xtask test --long`"]
fn four_hundred_thousand_requests_to_a_hono_app() {
    soak_of_scripts(&["hono/app.js"], "hono", ("/item/3", "{\"number\":3}"), 400_000);
}
