//! Clients that send what no client should: each gets a 4xx, and the server
//! goes on.

use crate::support::{Server, guest, test_guest};

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

#[test]
fn malformed_and_ambiguous_requests_are_400_and_close() {
    let server = server();
    for request in [
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /.. HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n0\r\n\r\n",
    ] {
        assert_eq!(status_of(&server, request), 400, "{request:?}");
    }
}

#[test]
fn an_ambiguous_request_behind_others_is_refused_after_their_answers() {
    let server = server();
    let mut client = server.connect();
    let good = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab";
    let bad =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n";
    client.send(format!("{good}{good}{bad}0\r\n\r\n").as_bytes());
    let statuses: Vec<u16> =
        std::iter::from_fn(|| client.read_answer().map(|answer| answer.status)).collect();
    assert_eq!(statuses, [200, 200, 400]);
}

#[test]
fn sizes_over_a_limit_have_their_statuses() {
    let server = server();
    let long = "x".repeat(9_000);
    let huge = format!("X: {}\r\n", "x".repeat(70_000));
    let many: String = (0..101).map(|n| format!("X-{n}: 1\r\n")).collect();
    for (request, status) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{huge}Connection: close\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
    ] {
        let mut client = server.connect();
        client.send(request.as_bytes());
        assert_eq!(client.read_answer().map(|answer| answer.status), Some(status));
        assert_eq!(server.get("/").status, 200);
    }
}

#[test]
fn a_body_over_the_limit_is_413_announced_or_not() {
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
fn methods_that_are_not_for_servers_are_501() {
    let server = server();
    for request in ["CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n", "TRACE / HTTP/1.1\r\nHost: a\r\n"] {
        let request = format!("{request}Connection: close\r\n\r\n");
        assert_eq!(status_of(&server, &request), 501, "{request:?}");
    }
}

#[test]
fn old_and_absolute_forms_are_understood() {
    let server = server();
    for request in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: A.example.:8080\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n",
    ] {
        assert_eq!(status_of(&server, request), 200, "{request:?}");
    }
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

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(&["--app", &guest("hello")]);
    let mut client = server.connect();
    let requests: String =
        (0..50).map(|n| format!("GET /sayhello?name={n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(requests.as_bytes());
    for n in 0..50 {
        let answer = client.read_answer().expect("an answer");
        assert_eq!(answer.text(), format!("Hello, {n}!\n"));
    }
}

#[test]
fn slow_clients_do_not_keep_what_they_hold() {
    let times = ["body", "header", "idle"].map(|name| format!("--max-{name}-time=200ms"));
    let times = times.each_ref().map(String::as_str);
    let server = Server::start(&[&["--app", &test_guest("echo")], &times[..]].concat());
    let body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe";
    assert_eq!(status_of(&server, body), 408);
    for head in ["", "GET / HTTP/1.1\r\nHos"] {
        let mut client = server.connect();
        client.send(head.as_bytes());
        assert!(client.is_closed(), "{head:?}");
    }
    let mut idle = server.connect();
    assert_eq!(idle.get("/").status, 200);
    assert!(idle.is_closed(), "a connection without a next request");
}
