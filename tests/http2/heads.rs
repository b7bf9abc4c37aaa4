//! C3, E7, E9 and E13: whom a request is for, and heads that are too large once
//! they are decoded.

use super::{
    END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM, head, head_for, literal, post,
    status_in,
};
use crate::config::folder;
use crate::support::process::memory;
use crate::support::tls::Authority;
use crate::support::{Server, guest, test_guest, wait_for};

/// A head of fields as they are, in the order in which they are given.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

/// The status of the answer to a head on a connection of its own; 0 if the
/// stream is reset, or the connection ended.
fn status_of(server: &Server, head: &[u8]) -> u16 {
    let mut client = Frames::connect(server);
    client.frame(HEADERS, END_STREAM | END_HEADERS, 1, head);
    client.status(1).unwrap_or(0)
}

const TWO: &str = r#"
    [[tenant]]
    name = "a"
    hosts = ["a.example", "b\u00fccher.example"]
    limits = { concurrency = 10 }
    error-pages = { 404 = "a.html" }
    [[tenant.route]]
    path = "/a"
    app = "hello.wasm"
    [[tenant]]
    name = "b"
    hosts = ["b.example"]
    limits = { concurrency = 10 }
    [[tenant.route]]
    path = "/b"
    app = "hello.wasm"
"#;

#[test]
fn c3_a_request_of_http2_is_for_one_host() {
    let folder = folder(TWO);
    std::fs::write(folder.path().join("a.html"), "page of a").expect("a file");
    let server = Server::start_in(folder.path(), &[]);
    let with = |more: &[(&str, &str)]| {
        let usual = [(":method", "GET"), (":scheme", "http"), (":path", "/none")];
        fields(&[&usual[..], more].concat())
    };
    let (a, b) = ((":authority", "a.example"), (":authority", "b.example"));
    // It is the same host in any spelling, and `host` may repeat it.
    for more in [
        &[a][..],
        &[a, ("host", "a.example")],
        &[(":authority", "A.Example"), ("host", "a.example.")],
        &[(":authority", "a.example.:80")],
        &[("host", "a.example")],
        &[(":authority", "xn--bcher-kva.example")],
        &[(":authority", "XN--BCHER-KVA.example.")],
    ] {
        let mut client = Frames::connect(&server);
        client.frame(HEADERS, END_STREAM | END_HEADERS, 1, &with(more));
        assert_eq!(client.status(1), Some(404), "{more:?}");
        let (.., body) = client.next_of(1, &[super::DATA]).expect("a body");
        assert_eq!(body, b"page of a", "{more:?}");
    }
    // Two hosts, none, or none that is valid: no tenant's.
    for more in [
        &[a, ("host", "b.example")][..],
        &[b, ("host", "a.example")],
        &[a, ("host", "a.example:81")],
        &[a, ("host", "a.example"), ("host", "a.example")],
        &[a, ("host", "")],
        &[],
        &[(":authority", "")],
        &[(":authority", "user@a.example")],
        &[(":authority", "a.example, b.example")],
        &[(":authority", "b\u{fc}cher.example")],
        &[(":authority", "a.example/b")],
        &[a, b],
        &[("host", "a.example"), b],
    ] {
        let status = status_of(&server, &with(more));
        assert!([0, 400].contains(&status), "{more:?}: {status}");
    }
}

#[test]
fn c3_a_connection_to_one_tenant_does_not_reach_another_over_http2() {
    let authority = Authority::new();
    let tls = "tls = { certificate = \"all.pem\" }\nlimits";
    let folder = folder(&TWO.replace("limits", tls));
    std::fs::write(folder.path().join("a.html"), "page of a").expect("a file");
    let hosts = ["a.example", "b.example", "xn--bcher-kva.example"];
    authority.certify(folder.path(), "all", &hosts);
    let server = Server::start_in(folder.path(), &["--addr", "https://127.0.0.1:0"]);
    // One certificate for all of them: a client may well think that they are one.
    for (named, asked, status) in [
        ("a.example", "a.example", 404),
        ("A.EXAMPLE", "a.example.", 404),
        ("a.example", "A.Example:443", 404),
        ("a.example", "xn--bcher-kva.example", 404),
        ("a.example", "b.example", 421),
        ("b.example", "a.example", 421),
        ("b.example", "b.example:8443", 404),
        ("xn--bcher-kva.example", "b.example", 421),
        ("a.example", "c.example", 404),
    ] {
        let mut client = Frames::over_tls(authority.connect(server.address, named, &["h2"]));
        client.frame(HEADERS, END_STREAM | END_HEADERS, 1, &head_for(asked, "/none"));
        assert_eq!(client.status(1), Some(status), "{named} {asked}");
        let (.., body) = client.next_of(1, &[super::DATA]).expect("a body");
        let of_a = asked != "c.example" && status == 404 && !asked.starts_with("b.");
        assert_eq!(body == b"page of a", of_a, "{named} {asked}");
        // The connection goes on for who it is for.
        client.frame(HEADERS, END_STREAM | END_HEADERS, 3, &head_for(named, "/none"));
        assert_eq!(client.status(3), Some(404), "{named} after {asked}");
    }
}

#[test]
fn e7_e9_heads_that_are_too_large_or_for_nobody_have_their_statuses() {
    let server = Server::start(&["--app", &test_guest("echo")]);
    let many: Vec<u8> = (0..101).flat_map(|n| literal(&format!("x-{n}"), "1")).collect();
    let most: Vec<u8> = (0..100).flat_map(|n| literal(&format!("x-{n}"), "1")).collect();
    assert_eq!(status_of(&server, &[head("/"), most].concat()), 200);
    assert_eq!(status_of(&server, &[head("/"), many].concat()), 431);
    let target = format!("/{}", "x".repeat(9_000));
    let usual = [(":scheme", "http"), (":authority", "a")];
    let long = fields(&[&[(":method", "GET"), (":path", &target)][..], &usual].concat());
    assert_eq!(status_of(&server, &long), 414);
    for method in ["TRACE", "get", "Post"] {
        let head = fields(&[&[(":method", method), (":path", "/")][..], &usual].concat());
        assert_eq!(status_of(&server, &head), 501, "{method}");
    }
    let connect = fields(&[(":method", "CONNECT"), (":authority", "a:80")]);
    assert_eq!(status_of(&server, &connect), 501);
    for path in ["", "x", "*", "http://a/", "/\u{0}"] {
        let head = fields(&[&[(":method", "GET"), (":path", path)][..], &usual].concat());
        let status = status_of(&server, &head);
        assert!([0, 400].contains(&status), "{path}: {status}");
    }
    // What frames say is what counts; headers of the connection have no place.
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("content-length", "5"),
        ("content-length", "x"),
        ("te", "gzip"),
        ("upper-Case", "x"),
        ("x", "a\r\nb"),
        ("x", "a\0b"),
        ("x y", "a"),
    ] {
        let status = status_of(&server, &[head("/"), literal(name, value)].concat());
        let passed_over = ["transfer-encoding", "connection", "te"].contains(&name);
        assert!([0, 400].contains(&status) || passed_over && status == 200, "{name}: {status}");
    }
}

/// A head with one large field in the table, then named again and again by one
/// byte each.
fn bomb(size: usize, times: usize) -> Vec<u8> {
    let field = literal("x", &"y".repeat(size));
    let named = std::iter::repeat_n(0xbe, times);
    [head("/"), vec![0x40], field[1..].to_vec()].concat().into_iter().chain(named).collect()
}

#[test]
fn e13_heads_that_grow_when_they_are_decoded_are_refused() {
    let server = Server::start(&["--app", &guest("hello")]);
    let before = memory(&server);
    // 100 fields at most, 72 KiB at most, whatever they were on their way.
    let crumbs: Vec<u8> = (0..5_000).flat_map(|_| literal("cookie", "a")).collect();
    for head in [
        bomb(4_000, 10_000),
        bomb(0, 15_000),
        bomb(4_000, 17),
        [head("/"), crumbs[..15_000].to_vec()].concat(),
    ] {
        for _ in 0..20 {
            let status = status_of(&server, &head);
            assert!([0, 431].contains(&status), "{status} for {} bytes", head.len());
        }
    }
    let after = memory(&server);
    assert!(after < before + (8 << 20), "{before} bytes of memory grew to {after}");
}

#[test]
fn e13_the_heads_of_a_connection_are_bounded_together_and_do_not_stay() {
    let server = Server::start(&["--app", &guest("hello"), "--max-header-time", "1s"]);
    let before = memory(&server);
    // Each is 60 KB when it is decoded; its body never comes.
    let mut client = Frames::connect(&server);
    let large = [post("/"), bomb(3_900, 14)[head("/").len()..].to_vec()].concat();
    let again = [post("/"), vec![0xbe; 15]].concat();
    client.frame(HEADERS, END_HEADERS, 1, &large);
    for stream in 1..90 {
        client.frame(HEADERS, END_HEADERS, 2 * stream + 1, &again);
    }
    let mut statuses = Vec::new();
    while statuses.len() < 90 {
        let (kind, _, _, payload) = client.next().expect("the connection goes on");
        assert_ne!(kind, GOAWAY, "{payload:?}");
        if kind == HEADERS {
            statuses.push(status_in(&payload));
        }
        let now = memory(&server);
        assert!(now < before + (16 << 20), "{before} bytes of memory grew to {now}");
    }
    // 17 of them are a mebibyte, and wait for their bodies until they are 408.
    let refused = statuses.iter().take_while(|status| **status == 503).count();
    assert!((60..80).contains(&refused), "{refused} of 90 are refused at once");
    assert!(statuses[refused..].iter().all(|status| *status == 408), "{statuses:?}");
    client.frame(HEADERS, END_STREAM | END_HEADERS, 201, &head("/sayhello"));
    assert_eq!(client.status(201), Some(200), "there is room again");
}

#[test]
fn e13_a_client_has_a_hundred_streams() {
    let app = test_guest("misbehave");
    let limits = ["--max-cpu", "60s", "--max-wall", "60s", "--max-queue", "1000"];
    let server = Server::start(&[&["--app", &app], &limits[..]].concat());
    let mut client = Frames::connect(&server);
    for n in 0..101 {
        client.get(2 * n + 1, "/sleep?ms=60000");
    }
    // REFUSED_STREAM: it may be asked for again.
    let (_, _, stream, payload) = std::iter::from_fn(|| client.next())
        .find(|(kind, ..)| *kind == RST_STREAM)
        .expect("one too many");
    assert_eq!((stream, payload), (201, vec![0, 0, 0, 7]));
    drop(client);
    wait_for(|| server.get("/ok").status == 200);
}
