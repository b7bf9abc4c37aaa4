//! E7, E8 and E9: heads that are too large, ambiguous, or for nobody.

use super::{server, status_of};
use crate::support::{Server, guest, test_guest};

#[test]
fn e7_heads_over_a_limit_have_their_statuses() {
    let server = Server::start(&["--app", &test_guest("echo")]);
    let many = |count| (0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();
    let get =
        |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    let long = |count| "x".repeat(count);
    // With the Host, 100.
    let most = get("/", &(many(98) + "Connection: close\r\n"));
    assert_eq!(status_of(&server, &most), 200);
    for (what, request, status) in [
        ("101 headers", get("/", &many(100)), 431),
        (
            "a header of 70 KB",
            get("/", &format!("X: {}\r\nConnection: close\r\n", long(70_000))),
            431,
        ),
        ("a header of 500 KB", get("/", &format!("X: {}\r\n", long(500_000))), 431),
        ("a target of 9 KB", get(&format!("/{}", long(9_000)), "Connection: close\r\n"), 414),
        ("a target of 70 KB", get(&format!("/{}", long(70_000)), ""), 414),
        ("a method of 1 MB", format!("{} / HTTP/1.1\r\n\r\n", "A".repeat(1 << 20)), 431),
    ] {
        let mut client = server.connect();
        client.send(request.as_bytes());
        let answer = client.read_answer().expect(what);
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(answer.header("connection"), Some("close"), "{what}");
        assert!(client.is_closed(), "{what}");
        assert_eq!(server.get("/").status, 200, "after {what}");
    }
}

/// Bodies that a request with these headers must not be read with, in any way.
fn smuggled(headers: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    )
}

#[test]
fn e8_requests_that_two_readers_could_see_differently_are_400_and_close() {
    let server = server();
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5.",
        "Content-Length: x",
        "Content-Length: ",
        "Content-Length: 18446744073709551616",
        "Content-Length: 99999999999999999999999",
        "Content-Length : 5",
        "Content-Length\t: 5",
        " Content-Length: 5",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: xchunked",
        "X: a\r\n b",
        "X: a\r\n\tTransfer-Encoding: chunked",
        "X: a\nTransfer-Encoding: chunked",
        "X: a\rTransfer-Encoding: chunked",
        "X: a\r\r\nTransfer-Encoding: chunked",
        "X: a\0b",
        "X\0: a",
        "X\r: a",
        "X Y: a",
        ": a",
        "X",
    ] {
        assert_eq!(status_of(&server, &smuggled(headers)), 400, "{headers:?}");
    }
    for request in [
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\nHost: a\n\n",
        "POST / HTTP/1.1\r\nHost: a\r\n\n",
        "POST /\r HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        "POST  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        " POST / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "POST / x HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.10\r\nHost: a\r\n\r\n0",
        "nonsense\r\n\r\n",
    ] {
        let status = status_of(&server, request);
        let expected = if request.contains("1.10") { 505 } else { 400 };
        assert_eq!(status, expected, "{request:?}");
    }
}

#[test]
fn e8_chunks_that_two_readers_could_see_differently_are_400_and_close() {
    let server = server();
    for chunks in [
        "3;x\ny\r\nabc\r\n0\r\n\r\n",
        "3;x\ry\r\nabc\r\n0\r\n\r\n",
        "3;x\0y\r\nabc\r\n0\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3 3\r\nabc\r\n0\r\n\r\n",
        "x\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        ";x\r\nabc\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\r\n0\n\n",
        "3\r\nabc\r\n0\r\n\n",
        "3\r\nabc\r\n0\r\nX: a\n\r\n",
        "3\r\nabc\r\n0\r\nX a\r\n\r\n",
        "3\r\nabc\r\n0\r\nX: a\0b\r\n\r\n",
    ] {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}\
             GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        assert_eq!(status_of(&server, &request), 400, "{chunks:?}");
    }
}

#[test]
fn e8_an_ambiguous_request_behind_others_is_refused_after_their_answers() {
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
fn e9_a_request_is_for_one_host() {
    let server = server();
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: b\u{fc}cher.example\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\n\r\n",
        "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a/b HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /.. HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(status_of(&server, request), 400, "{request:?}");
    }
}

#[test]
fn e9_methods_that_are_not_for_servers_are_501() {
    let app = server();
    let files = Server::start(&["--static", "html", "--app", &format!("/app={}", guest("hello"))]);
    for request in [
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "get / HTTP/1.1\r\nHost: a\r\n\r\n",
        "Get / HTTP/1.1\r\nHost: a\r\n\r\n",
        "post / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
    ] {
        assert_eq!(status_of(&app, request), 501, "{request:?}");
        let mut client = files.connect();
        client.send(request.as_bytes());
        assert_eq!(client.read_answer().map(|answer| answer.status), Some(501), "{request:?}");
    }
    // What is only unknown is the app's to know.
    let answer = app.request("PURGE", "/", "", b"");
    assert!(answer.status == 200 && answer.text().contains("PURGE"), "{answer:?}");
    assert_eq!(files.request("PURGE", "/", "", b"").status, 405);
}

#[test]
fn e9_versions_that_are_not_known_are_505() {
    let server = server();
    for version in ["1.2", "1.9", "2.0", "3.0", "0.9", "9", "11.1"] {
        let request = format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n");
        assert_eq!(status_of(&server, &request), 505, "{version}");
    }
    assert_eq!(status_of(&server, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"), 505);
    assert_eq!(status_of(&server, "PRI / HTTP/1.1\r\nHost: a\r\n\r\n"), 505);
    for no_version in ["GET /\r\n\r\n", "GET / HTTP/x\r\n\r\n", "GET / http/1.1\r\n\r\n"] {
        assert_eq!(status_of(&server, no_version), 400, "{no_version:?}");
    }
}

#[test]
fn e9_old_and_absolute_forms_are_understood() {
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
