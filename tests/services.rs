//! Components of `wasi:http` run unchanged: bodies are streams both ways.

mod together;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::http2::curl;
use crate::support::{Answer, Client, Server, test_guest, wait_for};

/// One guest a version; they answer alike.
const GUESTS: [&str; 2] = ["wasi_http_02", "wasi_http_03"];

fn server(guest: &str, more: &[&str]) -> Server {
    Server::start(&[&["--app", &test_guest(guest)], more].concat())
}

/// Sends the head of a request whose body follows.
fn begin(client: &mut Client, path: &str, headers: &str) {
    client.send(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes());
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[test]
fn components_of_wasi_http_answer() {
    for guest in GUESTS.iter().chain(&["wasi_http_hello"]) {
        let server = server(guest, &[]);
        let mut client = server.connect();
        let answer = client.get("/hello");
        assert_eq!((answer.status, answer.text()), (200, "Hello, world!\n"), "{guest}");
        // A guest that ends at its next turn has said how long its answer is; on a
        // busy machine that may be a turn later.
        for method in ["GET", "HEAD"] {
            let mut answers = (0..100).map(|_| client.request(method, "/hello", "", b""));
            let whole = |answer: Answer| answer.header("content-length") == Some("14");
            assert!(answers.any(whole), "{method} {guest}");
        }
        assert_eq!(client.get("/hello").text(), "Hello, world!\n");
    }
}

#[test]
fn a_guest_sees_the_request_as_it_was_sent() {
    for guest in GUESTS {
        let server = server(guest, &[]);
        let headers = "X-Twice: 1\r\nx-TWICE: 2\r\nConnection: keep-alive\r\n";
        let answer = server.request("PATCH", "/seen?q=%20", headers, b"");
        let said = answer.text();
        for line in ["Patch", "Http", "\"localhost\"", "/seen?q=%20", "x-twice: 1", "x-twice: 2"] {
            assert!(said.contains(line), "{guest}: {line} is not in {said}");
        }
        assert!(!said.contains("connection:") && !said.contains("host:"), "{said}");
    }
}

#[test]
fn an_upload_is_answered_while_it_arrives() {
    for guest in GUESTS {
        let server = server(guest, &[]);
        let mut client = server.connect();
        let headers = "Transfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE\r\n";
        begin(&mut client, "/echo", headers);
        client.send(&chunk(b"first"));
        let head = client.read_head();
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        assert_eq!(client.read_chunk(), b"first", "before the second is sent");
        client.send(&chunk(b"second"));
        assert_eq!(client.read_chunk(), b"second");
        client.send(b"0\r\nx-sum: 11\r\nx-other: 1\r\n\r\n");
        assert_eq!(client.read_line(), "0\r\n");
        assert_eq!(client.read_line(), "x-sum: 11\r\n", "the trailer that was announced");
        assert_eq!(client.read_line(), "\r\n");
        assert_eq!(client.get("/hello").text(), "Hello, world!\n");
    }
}

#[test]
fn large_bodies_pass_whole_over_both_protocols() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("upload");
    let upload: Vec<u8> = (0..5_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    std::fs::write(&path, &upload).expect("a file");
    let (data, back) = (format!("@{}", path.display()), folder.path().join("back"));
    let back_name = back.display().to_string();
    for guest in GUESTS {
        let server = server(guest, &[]);
        let url = format!("http://{}/echo", server.address);
        for protocol in ["--http1.1", "--http2-prior-knowledge"] {
            let said = curl(&[protocol, "--data-binary", &data, "--output", &back_name, &url]);
            assert_eq!(said, "");
            assert!(std::fs::read(&back).expect("a file") == upload, "{guest} {protocol}");
        }
    }
}

#[test]
fn events_arrive_as_they_are_written() {
    for guest in GUESTS {
        let server = server(guest, &[]);
        let mut client = server.connect();
        client.send(b"GET /events?count=3&ms=50 HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(client.read_head().contains("content-type: text/event-stream"));
        for _ in 0..3 {
            let event = String::from_utf8(client.read_chunk()).expect("text");
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
            let digits: String = event.chars().filter(char::is_ascii_digit).collect();
            let written = Duration::from_micros(digits.parse().expect("microseconds"));
            let late = now.saturating_sub(written);
            assert!(late < Duration::from_millis(45), "{guest}: {late:?}");
        }
        assert_eq!(client.read_chunk(), b"");
        assert_eq!(client.get("/hello").text(), "Hello, world!\n");
    }
}

#[test]
fn a_guest_goes_on_after_its_answer() {
    for guest in GUESTS {
        let server = server(guest, &[]);
        let mut client = server.connect();
        // Also after an answer whose length it has declared, which ends with its last byte.
        for length in ["", "6"] {
            let path = format!("/after?ms=20&length={length}");
            assert_eq!(client.get(&path).text(), "ended\n");
            assert_eq!(client.get("/hello").text(), "Hello, world!\n");
            server.wait_for_log(&format!("went on after its answer of length {length}"));
        }
    }
}

#[test]
fn a_client_that_leaves_an_answer_stops_its_guest() {
    for guest in GUESTS {
        let server = server(guest, &["--max-concurrency", "1", "--max-queue", "0"]);
        for path in ["/events?count=100000&ms=10", "/endless", "/sleep-after-head"] {
            let mut client = server.connect();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
            client.read_head();
            assert_eq!(server.get("/hello").status, 503, "{guest}: {path} still has its place");
            drop(client);
            wait_for(|| server.get("/hello").status == 200);
        }
    }
}

#[test]
fn an_answer_may_come_before_its_request_has_ended() {
    for guest in GUESTS {
        let server = server(guest, &[]);
        let mut client = server.connect();
        begin(&mut client, "/late", "Content-Length: 6\r\n");
        assert!(client.read_head().starts_with("HTTP/1.1 200"), "{guest}");
        assert_eq!(client.read_chunk(), b"begun\n");
        client.send(b"123456");
        assert_eq!(client.read_chunk(), b"6\n");
        assert_eq!(client.read_chunk(), b"");
        assert_eq!(client.get("/hello").text(), "Hello, world!\n");
    }
}

#[test]
fn an_upload_has_the_limits_of_a_body() {
    for guest in GUESTS {
        let server = server(guest, &["--max-body", "1KiB", "--min-transfer-rate", "1KiB"]);
        let announced = server.request("POST", "/count", "", &[b'x'; 1025]);
        assert_eq!((announced.status, announced.header("connection")), (413, Some("close")));
        assert_eq!(server.request("POST", "/count", "", &[b'x'; 1024]).text(), "1024 whole\n");
        let mut client = server.connect();
        begin(&mut client, "/count", "Transfer-Encoding: chunked\r\n");
        client.send(&chunk(&[b'x'; 1000]));
        client.send(&chunk(&[b'x'; 25]));
        assert_eq!(client.read_answer().expect("an answer").status, 413);
        // Once the answer has begun, it is for the guest to say.
        let mut client = server.connect();
        begin(&mut client, "/echo", "Transfer-Encoding: chunked\r\n");
        client.send(&chunk(&[b'x'; 1000]));
        client.read_head();
        client.send(&chunk(&[b'x'; 25]));
        client.read_to_end();
        let mut slow = server.connect();
        begin(&mut slow, "/count", "Content-Length: 10\r\n");
        assert_eq!(slow.read_answer().expect("an answer").status, 408);
    }
}

#[test]
fn an_instance_is_reused_once_it_has_ended() {
    for guest in GUESTS {
        let server = server(guest, &["--reuse", "3"]);
        let calls: Vec<String> = (0..5).map(|_| server.get("/calls").text().to_owned()).collect();
        assert_eq!(calls, ["1\n", "2\n", "3\n", "1\n", "2\n"], "{guest}");
    }
}

#[test]
fn an_instance_that_waited_for_too_long_serves_no_other_request() {
    for guest in GUESTS {
        for (idle, second) in [("1ms", "1\n"), ("10m", "2\n")] {
            let server = server(guest, &["--reuse", "100", "--max-instance-idle", idle]);
            assert_eq!(server.get("/calls").text(), "1\n");
            std::thread::park_timeout(Duration::from_millis(50));
            assert_eq!(server.get("/calls").text(), second, "{guest} {idle}");
        }
    }
}

#[test]
fn an_instance_that_failed_or_kept_something_serves_no_other_request() {
    for guest in GUESTS {
        for fault in ["/trap-after-head", "/unfinished?ms=1", "/keep"] {
            let server = server(guest, &["--reuse", "100", "--max-wall", "1s"]);
            assert_eq!(server.get("/calls").text(), "1\n");
            assert_eq!(server.get("/calls").text(), "2\n");
            let mut client = server.connect();
            begin(&mut client, fault, "Content-Length: 1\r\nConnection: close\r\n");
            client.send(b"1");
            client.read_to_end();
            assert_eq!(server.get("/calls").text(), "1\n", "{guest} {fault}");
        }
    }
}
