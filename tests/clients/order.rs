//! E10 and E14: answers in order, bodies that are not waited for, and bodies
//! that are too large.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{server, status_of};
use crate::support::process::memory;
use crate::support::{Client, PATIENCE, Server, guest, root, test_guest};

#[test]
fn e10_ten_thousand_pipelined_requests_are_answered_in_order() {
    const COUNT: usize = 10_000;
    let server = Server::start(&["--app", &guest("hello"), "--reuse", "1000"]);
    let before = memory(&server);
    let stream = TcpStream::connect(server.address).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut writer = stream.try_clone().expect("a handle");
    let requests: String =
        (0..COUNT).map(|n| format!("GET /sayhello?name={n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    let writing = std::thread::spawn(move || writer.write_all(requests.as_bytes()));
    let mut client = Client::over(stream);
    for n in 0..COUNT {
        assert_eq!(client.read_answer().expect("an answer").text(), format!("Hello, {n}!\n"));
        if n % 1_000 == 0 {
            let now = memory(&server);
            assert!(now < before + (16 << 20), "{before} bytes of memory grew to {now}");
        }
    }
    writing.join().expect("no panic").expect("all is read");
}

#[test]
fn e10_a_request_behind_the_last_one_is_not_answered() {
    let server = server();
    let mut client = server.connect();
    let (last, next) = (
        "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /b HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    client.send(format!("{last}{next}").as_bytes());
    assert_eq!(
        client
            .read_answer()
            .and_then(|answer| answer.header("connection").map(str::to_owned))
            .as_deref(),
        Some("close")
    );
    assert!(client.read_answer().is_none(), "RFC 9112 section 9.6");
}

#[test]
fn e10_requests_whose_answers_nobody_reads_are_not_kept() {
    let server = Server::start(&["--app", &test_guest("echo"), "--reuse", "1000"]);
    let before = memory(&server);
    let mut stream = TcpStream::connect(server.address).expect("the server accepts");
    stream.set_write_timeout(Some(std::time::Duration::from_millis(300))).expect("a timeout");
    let one = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(4_000));
    let many = one.repeat(1_000);
    let mut sent = 0;
    while let Ok(count) = stream.write(many.as_bytes()) {
        sent += count;
        assert!(sent < 64 << 20, "the server reads on though nobody takes its answers");
    }
    let now = memory(&server);
    assert!(now < before + (8 << 20), "{before} bytes of memory grew to {now}");
}

#[test]
fn e10_an_expectation_is_met_or_passed_over() {
    let server = server();
    let post = |headers: &str| {
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n{headers}\r\n\r\n")
    };
    let mut client = server.connect();
    for expect in ["100-continue", "100-Continue"] {
        client.send(post(&format!("Expect: {expect}")).as_bytes());
        let interim = client.read(25);
        assert_eq!(interim, b"HTTP/1.1 100 Continue\r\n\r\n", "{expect}");
        client.send(b"ab");
        assert_eq!(client.read_answer().map(|answer| answer.status), Some(200), "{expect}");
    }
    // The body follows at once, or the expectation is none that is known.
    for headers in ["Expect: y 100-continue", "Expect: 200-ok", "Expect:", "X: 100-continue"] {
        client.send((post(headers) + "ab").as_bytes());
        let answer = client.read_answer().expect("an answer");
        assert!(answer.status == 200 && answer.text().contains("\"ab\""), "{headers}: {answer:?}");
    }
    // Without a body there is nothing to go on with; HTTP/1.0 has no such thing.
    let none = "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n";
    client.send(none.as_bytes());
    assert_eq!(client.read_answer().map(|answer| answer.status), Some(200));
    let old = "POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab";
    assert_eq!(status_of(&server, old), 200);
    // A body that is refused is not asked for.
    let large =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(status_of(&server, large), 413);
}

#[test]
fn e10_what_stands_in_a_body_is_no_request() {
    let app = format!("/app={}", test_guest("echo"));
    let server = Server::start(&["--static", "/files=html", "--app", &app]);
    let inner = "GET /app HTTP/1.1\r\nHost: a\r\n\r\n";
    // Of nobody who reads it: a GET of a file, an unknown path, a wrong method.
    for line in ["GET /files/index.html", "GET /none", "POST /files/index.html", "GET /files"] {
        for late in [false, true] {
            let length = inner.len();
            let head = format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
            let mut client = server.connect();
            client.send(head.as_bytes());
            let early = late.then(|| client.read_answer().expect("an early answer"));
            client.send(inner.as_bytes());
            client.send(b"GET /app/last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            let answers: Vec<_> = std::iter::from_fn(|| client.read_answer()).collect();
            let all = early.iter().chain(&answers);
            let echoed: Vec<&str> =
                all.filter(|answer| answer.status == 200).map(|answer| answer.text()).collect();
            let echoed = echoed.iter().filter(|text| text.contains("PATH_INFO"));
            // At most the one behind the body, never the one within.
            assert!(echoed.clone().count() <= 1, "{line}: {answers:?}");
            assert!(echoed.clone().all(|text| text.contains("/last")), "{line}: {answers:?}");
        }
    }
}

#[test]
fn e10_an_early_answer_reaches_a_client_that_is_still_sending() {
    let server =
        Server::start(&["--static", "html", "--app", &test_guest("echo"), "--max-body", "1MiB"]);
    let length = 8 << 20;
    for (request, status) in [("POST /index.html", 413), ("PUT /x", 413)] {
        let mut stream = TcpStream::connect(server.address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let head = format!("{request} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("a head");
        // All of it is sent before anything is read.
        stream.write_all(&vec![b'x'; length]).expect("the server reads what it throws away");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(answer, format!("HTTP/1.1 {status}").as_bytes(), "{request}");
    }
}

#[test]
fn e14_a_body_over_the_limit_is_413_announced_or_not() {
    let server = server();
    let announced = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n".to_owned();
    let chunk = format!("401\r\n{}\r\n0\r\n\r\n", "x".repeat(1025));
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for request in [announced, chunked.clone() + &chunk] {
        assert_eq!(status_of(&server, &request), 413, "{request:?}");
    }
    let most = format!("400\r\n{}\r\n0\r\n\r\n", "x".repeat(1024));
    let mut client = server.connect();
    client.send((chunked + &most).as_bytes());
    assert_eq!(client.read_answer().map(|answer| answer.status), Some(200));
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn e14_many_large_bodies_are_bounded_and_never_decoded() {
    let limits = ["--max-tenant-memory", "8MiB", "--max-memory", "4MiB"];
    let server = Server::start(&[&["--app", &test_guest("echo")], &limits[..]].concat());
    let before = memory(&server);
    // Ten megabytes are announced each, and held back half-way.
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 10 << 20);
    let half = vec![b'x'; 1 << 20];
    let mut clients: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| {
                client.send(head.as_bytes());
                client.send(&half);
            });
        }
    });
    let now = memory(&server);
    assert!(now < before + (24 << 20), "{before} bytes of memory grew to {now}");
    drop(clients);
    // A bomb for who unpacks it: it is given to the app as it is.
    let bomb = std::process::Command::new("sh")
        .args(["-c", "head -c 5000000 /dev/zero | gzip -9"])
        .current_dir(root())
        .output()
        .expect("gzip");
    let posted = || server.request("POST", "/", "Content-Encoding: gzip\r\n", &bomb.stdout);
    crate::support::wait_for(|| posted().status == 200);
    assert!(posted().body.len() < 100_000);
}

#[test]
fn requests_larger_than_a_kibibyte_are_whole() {
    let server = Server::start(&["--app", &test_guest("echo")]);
    let cookie = format!("Cookie: {}\r\n", "c".repeat(5_000));
    let body = vec![b'b'; 3_000_000];
    let answer = server.request("POST", &format!("/{}", "p".repeat(3_000)), &cookie, &body);
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains(&"b".repeat(3_000_000)));
    assert!(answer.text().contains(&"c".repeat(5_000)));
}
