//! Many requests leave nothing behind. The short form runs by default, the
//! million with `cargo xtask test --long`.

use crate::support::process::{descriptors, memory};
use crate::support::{Server, guest};

/// Connections at the same time.
const CONNECTIONS: usize = 4;

fn usage(server: &Server) -> (u64, usize) {
    (memory(server), descriptors(server))
}

/// Sends requests over a few connections, several in flight on each.
fn requests(server: &Server, count: usize) {
    const TOGETHER: usize = 50;
    let pipelined = "GET /sayhello HTTP/1.1\r\nHost: a\r\n\r\n".repeat(TOGETHER);
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut client = server.connect();
                for _ in 0..count / CONNECTIONS / TOGETHER {
                    client.send(pipelined.as_bytes());
                    for _ in 0..TOGETHER {
                        let answer = client.read_answer().expect("an answer");
                        assert_eq!(answer.text(), "Hello, world!\n");
                    }
                }
            });
        }
    });
}

fn soak(warm: usize, count: usize) {
    let server = Server::start(&["--app", &guest("hello")]);
    requests(&server, warm);
    let (memory, descriptors) = usage(&server);
    requests(&server, count);
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
