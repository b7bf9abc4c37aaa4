//! Clients that send what no client should, too slowly, or too much: each gets a
//! 4xx or is left, and the server goes on. Rows E of the catalogue that each
//! test is named for, over HTTP/1.1.

mod leaving;
mod many;
mod order;
mod requests;
mod room;
mod slow;
mod uploads;

use crate::support::{Server, test_guest};

fn server() -> Server {
    Server::start(&["--app", &test_guest("echo"), "--max-body", "1KiB"])
}

/// Sends bytes as they are and tells the status of the last answer before the
/// server closes.
fn status_of(server: &Server, bytes: &str) -> u16 {
    let mut client = server.connect();
    client.send(bytes.as_bytes());
    let status = client.read_answer().map_or(0, |answer| answer.status);
    assert!(client.is_closed(), "the connection stays open after {bytes:?}");
    assert_eq!(server.get("/").status, 200, "the server goes on after {bytes:?}");
    status
}
