//! Instances that serve several requests at the same time (`reuse-concurrency`): who
//! meets whom, and what becomes of the others when one fails.

use std::time::{Duration, Instant};

use super::begin;
use crate::config::folder;
use crate::support::{Client, Server, run, test_guest, wait_for};

/// A server whose instances serve so many requests at the same time.
fn server(at_once: &str, more: &[&str]) -> Server {
    let app = test_guest("wasi_http_03");
    let reuse = ["--app", &app, "--reuse", "100000", "--reuse-concurrency", at_once];
    Server::start(&[&reuse[..], more].concat())
}

/// A client whose request waits in an instance until as many have come as it says.
fn waits(server: &Server, target: &str, number: &str) -> Client {
    let mut client = server.connect();
    begin(&mut client, target, "Content-Length: 0\r\n");
    wait_for(|| server.get("/met").text().trim() == number);
    client
}

#[test]
fn two_requests_meet_in_one_instance_and_each_has_its_own_log() {
    let server = server("2", &[]);
    let mut first = waits(&server, "/meet?count=2", "1");
    assert_eq!(server.get("/meet?count=2").text(), "2\n");
    assert_eq!(first.read_answer().expect("an answer").text(), "1\n");
    let lines = [(); 2].map(|()| server.wait_for_log("guest: met as"));
    let id = |line: &str| {
        line.split("request ").nth(1).and_then(|rest| rest.get(..16)).map(String::from)
    };
    assert!(id(&lines[0]).is_some() && id(&lines[0]) != id(&lines[1]), "{lines:?}");
}

#[test]
fn no_more_meet_than_may() {
    let server = server("2", &["--max-wall", "700ms"]);
    let clients: Vec<Client> = (0..3)
        .map(|_| {
            let mut client = server.connect();
            begin(&mut client, "/meet?count=3", "Content-Length: 0\r\n");
            client
        })
        .collect();
    for mut client in clients {
        assert_eq!(client.read_answer().expect("an answer").status, 504);
    }
    // One at a time is what nobody has asked to change.
    let alone = Server::start(&["--app", &test_guest("wasi_http_03"), "--reuse", "100"]);
    let mut waiting = alone.connect();
    begin(&mut waiting, "/meet?count=2", "Content-Length: 0\r\n");
    assert_eq!(alone.get("/met").text(), "0\n");
}

#[test]
fn a_fault_ends_all_that_are_in_the_instance_and_the_next_has_another() {
    for (fault, status) in [("/no-answer", 500), ("/loop", 504)] {
        let server = server("3", &["--max-cpu", "100ms"]);
        let mut waiting = waits(&server, "/meet?count=9", "1");
        assert_eq!(server.get(fault).status, status, "{fault}");
        assert_eq!(waiting.read_answer().expect("an answer").status, status, "{fault}");
        assert_eq!([server.get("/calls").text(), server.get("/met").text()], ["1\n", "0\n"]);
    }
}

#[test]
fn what_is_used_is_divided_and_the_limit_holds() {
    let server = server("2", &["--max-cpu", "200ms"]);
    let mut waiting = waits(&server, "/meet?count=9", "1");
    let began = Instant::now();
    assert_eq!(server.get("/loop").status, 504);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(300), "two have twice as much: {took:?}");
    assert_eq!(waiting.read_answer().expect("an answer").status, 504);
    let line = server.wait_for_log("of CPU time, its limit is 200ms");
    assert!(line.contains("the guest used 2"), "{line}");
}

#[test]
fn a_client_that_leaves_ends_only_its_own_request() {
    let server = server("3", &["--max-concurrency", "3", "--max-queue", "0"]);
    // Alone, its guest is stopped and its place is free.
    let sleeping = [(); 3].map(|()| {
        let mut client = server.connect();
        client.send(b"GET /sleep-after-head HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.read_head();
        client
    });
    assert_eq!(server.get("/hello").status, 503);
    drop(sleeping);
    wait_for(|| server.get("/hello").status == 200);
    // With another, that one is served to its end, and nobody else comes in.
    let leaves = waits(&server, "/meet?count=9", "1");
    let mut stays = server.connect();
    begin(&mut stays, "/late", "Content-Length: 6\r\n");
    assert!(stays.read_head().starts_with("HTTP/1.1 200"));
    assert_eq!(stays.read_chunk(), b"begun\n");
    assert_eq!(server.get("/met").text(), "1\n", "it is the same instance");
    drop(leaves);
    wait_for(|| server.get("/met").text() == "0\n");
    stays.send(b"123456");
    assert_eq!(stays.read_chunk(), b"6\n");
    assert_eq!(stays.read_chunk(), b"");
}

#[test]
fn an_instance_serves_its_share_and_no_more() {
    let app = test_guest("wasi_http_03");
    let reuse = ["--app", &app, "--reuse", "3", "--reuse-concurrency", "3"];
    let server = Server::start(&reuse);
    let calls: Vec<String> = (0..5).map(|_| server.get("/calls").text().to_owned()).collect();
    assert_eq!(calls, ["1\n", "2\n", "3\n", "1\n", "2\n"]);
    let server = Server::start(&reuse);
    let _waiting = waits_for_share(&server);
    let answers = [(); 2].map(|()| server.get("/met").text().to_owned());
    assert_eq!(answers, ["0\n", "0\n"], "what it serves at all counts those that it serves now");
}

/// A request that waits in an instance which has served all it may.
fn waits_for_share(server: &Server) -> Client {
    let mut waiting = server.connect();
    begin(&mut waiting, "/meet?count=9", "Content-Length: 0\r\n");
    wait_for(|| server.get("/met").text() == "1\n");
    wait_for(|| server.get("/met").text() == "0\n");
    waiting
}

#[test]
fn c2_no_two_tenants_meet() {
    let app = test_guest("wasi_http_03");
    let tenant = |name: &str| {
        format!(
            "[[tenant]]\nname = \"{name}\"\nhosts = [\"{name}.example\"]\n\
             [[tenant.route]]\npath = \"/*\"\napp = \"{app}\"\nreuse = 100\nreuse-concurrency = 16\n"
        )
    };
    let folder = folder(&(tenant("first") + &tenant("second")));
    let server = Server::start_in(folder.path(), &[]);
    let get = |host: &str, path: &str| {
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}.example\r\n\r\n").as_bytes());
        client
    };
    let met = |host| get(host, "/met").read_answer().expect("an answer").text().to_owned();
    let mut first = get("first", "/meet?count=2");
    wait_for(|| met("first") == "1\n");
    assert_eq!(met("second"), "0\n");
    let mut second = get("second", "/meet?count=1");
    assert_eq!(second.read_answer().expect("an answer").text(), "1\n");
    assert_eq!(met("first"), "1\n");
    let mut other = get("first", "/meet?count=2");
    assert_eq!(other.read_answer().expect("an answer").text(), "2\n");
    assert_eq!(first.read_answer().expect("an answer").text(), "1\n");
}

#[test]
fn what_cannot_be_is_said_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = test_guest("wasi_http_02");
    let new = test_guest("wasi_http_03");
    for (app, reuse, said) in [
        (&old, "100", "one request at a time, unless it is of wasi:http 0.3"),
        (&new, "1", "--reuse-concurrency 2: an instance serves 1 requests in all; raise reuse"),
    ] {
        let arguments = ["--app", app.as_str(), "--reuse", reuse, "--reuse-concurrency", "2"];
        let (code, output) = run(folder.path(), &arguments);
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains(said) && output.lines().count() == 1, "{output}");
    }
}
