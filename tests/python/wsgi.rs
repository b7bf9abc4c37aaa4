//! PEP 3333, and what an app may do badly.

use serde_json::Value;

use super::{json, plain};
use crate::support::Server;

#[test]
fn the_environ_is_that_of_the_request() {
    let Some(server) = plain() else { return };
    let headers =
        "X-Twice: 1\r\nX-Twice: 2\r\nX_Twice: 3\r\nCookie: a=1\r\nContent-Type: text/x\r\n";
    let mut client = server.connect();
    let answer = client.request("POST", "/environ?q=%20&r", headers, b"a body");
    let seen = json(&answer);
    for (key, expected) in [
        ("REQUEST_METHOD", "POST"),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", "/environ"),
        ("QUERY_STRING", "q=%20&r"),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REQUEST_URI", "/environ?q=%20&r"),
        ("CONTENT_TYPE", "text/x"),
        ("CONTENT_LENGTH", "6"),
        ("HTTP_X_TWICE", "1,2"),
        ("HTTP_COOKIE", "a=1"),
        ("HTTP_HOST", "localhost"),
        ("wsgi.version", "(1, 0)"),
        ("wsgi.url_scheme", "http"),
        ("wsgi.multithread", "False"),
        ("wsgi.multiprocess", "True"),
        ("wsgi.run_once", "False"),
    ] {
        assert_eq!(seen[key], expected, "{key}");
    }
    assert!(seen["HTTP_CONTENT_LENGTH"].is_null() && seen["HTTP_CONTENT_TYPE"].is_null());
}

#[test]
fn a_path_is_the_bytes_of_its_text() {
    let Some(server) = plain() else { return };
    let answer = server.get("/path_info/caf%C3%A9%2Fx");
    // UTF-8 read as latin-1, written as UTF-8 again.
    assert_eq!(answer.text(), "/path_info/cafÃ©/x");
}

#[test]
fn characters_of_headers_are_bytes() {
    let Some(server) = plain() else { return };
    // The bytes of UTF-8 are two characters in between.
    let answer = server.request("GET", "/latin", "X-Latin: caf\u{e9}\r\n", b"");
    assert_eq!((answer.status, answer.header("x-empty")), (200, Some("")));
    assert_eq!(answer.header("x-latin"), Some("caf\u{e9}"));
}

#[test]
fn no_request_sees_anything_of_another() {
    let Some(server) = plain() else { return };
    let mut client = server.connect();
    // More kinds of requests than are known at the same time, each of them twice.
    for number in 0..100 {
        for marked in [true, false, true] {
            let mark = if marked { "X-Mark: mine\r\n" } else { "" };
            let headers = format!("X-Number-{number}: 1\r\n{mark}");
            let answer = client.request("GET", "/marks", &headers, b"");
            let seen = if marked { "'mine'" } else { "None" };
            assert_eq!(answer.text(), format!("[None, '', {seen}]"));
        }
    }
    let seen = json(&client.get("/environ?q"));
    for (key, expected) in
        [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/environ"), ("REQUEST_URI", "/environ?q")]
    {
        assert_eq!(seen[key], expected, "{key}");
    }
    assert!(seen["HTTP_X_NUMBER_99"].is_null() && seen["marked"].is_null(), "{seen}");
    assert_eq!(seen["myweb.params"], "[]");
}

#[test]
fn what_a_route_captured_is_text() {
    let arguments = ["--wsgi", "plain/app:app"];
    let Some(component) = crate::support::scripts::component(&arguments, "plain") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!(
        "listen = [\"127.0.0.1:0\"]\n[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n\
         [[tenant.route]]\npath = \"/:shelf/:book\"\napp = {component:?}\n"
    );
    std::fs::write(folder.path().join("myweb.toml"), config).expect("a file");
    let server = Server::start_in(folder.path(), &[]);
    let seen = json(&server.request("GET", "/caf%C3%A9/%E2%82%AC?way=environ", "X-A: 1\r\n", b""));
    assert_eq!(seen["myweb.params"], "[('shelf', 'café'), ('book', '€')]", "{seen}");
    assert_eq!(seen["HTTP_X_A"], "1");
}

#[test]
fn pythons_own_validator_finds_nothing() {
    let Some(server) = plain() else { return };
    let answer = server.request("POST", "/validated", "Content-Type: text/plain\r\n", b"four");
    assert_eq!((answer.status, answer.text()), (200, "written, returned, read 4\n"));
    let head = server.request("HEAD", "/validated", "", b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn bodies_are_read_by_lines_and_given_in_parts() {
    let Some(server) = plain() else { return };
    assert_eq!(server.request("POST", "/lines", "", b"a\nb\nc").text(), "a\n|<b><c>");
    assert_eq!(server.get("/generated").text(), "one two\n");
    assert_eq!(server.get("/written_file").body.len(), 100_000);
}

#[test]
fn exc_info_replaces_the_head_until_a_byte_was_sent() {
    let Some(server) = plain() else { return };
    let answer = server.get("/replaced");
    assert_eq!((answer.status, answer.header("x-replaced")), (503, Some("yes")));
    assert_eq!(server.get("/too_late").status, 500);
}

#[test]
fn what_old_servers_took_is_taken_with_a_warning() {
    let Some(server) = plain() else { return };
    assert_eq!(server.get("/bytes_not_list").text(), "one chunk\n");
    let answer = server.get("/bytes_headers");
    assert_eq!((answer.status, answer.header("x-bytes")), (201, Some("yes")));
    let answer = server.request("GET", "/cookies", "Cookie: c=3\r\n", b"");
    assert_eq!(answer.head.matches("set-cookie: ").count(), 2, "{}", answer.head);
    assert_eq!(answer.text(), "c=3");
}

#[test]
fn every_fault_has_its_status_and_the_next_request_is_served() {
    let Some(server) = plain() else { return };
    for (way, status) in [
        ("raises", 500),
        ("exits", 500),
        ("returns_nothing", 500),
        ("starts_twice", 500),
        ("never_starts", 500),
        ("yields_text", 500),
        ("bad_status", 500),
        ("lies_about_length", 502),
        ("bad_header", 502),
        ("nul_header", 500),
        ("recurses", 500),
        ("eats_memory", 500),
        ("threads", 500),
        ("sockets", 500),
        ("processes", 500),
        ("ctypes", 500),
    ] {
        let mut client = server.connect();
        let answer = client.get(&format!("/{way}"));
        assert_eq!(answer.status, status, "{way}");
        assert!(!answer.text().contains("secret"), "{}", answer.text());
        assert_eq!(client.get("/").text(), "home\n", "after {way}");
    }
}

#[test]
fn random_numbers_differ_between_instances_and_seeded_ones_do_not() {
    let Some(component) = crate::support::scripts::component(&["--wsgi", "plain/app:app"], "plain")
    else {
        return;
    };
    let server = crate::support::Server::start(&["--app", &component, "--reuse", "1"]);
    let seen: Vec<Value> = (0..2).map(|_| json(&server.get("/random_numbers"))).collect();
    for (name, value) in seen[0]["fresh"].as_object().expect("an object") {
        assert_ne!(&seen[1]["fresh"][name], value, "{name}");
    }
    assert_eq!(seen[0]["seeded"], seen[1]["seeded"]);
}
