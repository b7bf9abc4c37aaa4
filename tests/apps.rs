//! Components answer, wherever they are mounted.

use crate::support::{Server, guest, root, test_guest};

fn hello() -> Server {
    Server::start(&["--app", &guest("hello")])
}

#[test]
fn one_application_answers_every_path_of_its_table() {
    let server = hello();
    assert_eq!(server.get("/sayhello").text(), "Hello, world!\n");
    assert_eq!(server.get("/sayhello?name=Ada%20L%C3%B8v").text(), "Hello, Ada Løv!\n");
    assert!(server.get("/ctime").text().ends_with(" GMT\n"));
    let picture = server.get("/pic");
    assert_eq!(picture.header("content-type"), Some("image/jpeg"));
    let shipped = std::fs::read(root().join("guests/show_pic/pic.jpg")).expect("the picture");
    assert_eq!(picture.body, shipped);
}

#[test]
fn other_paths_are_404_and_other_methods_405_with_allow() {
    let server = hello();
    assert_eq!(server.get("/picx").status, 404);
    let refused = server.request("POST", "/sayhello", "", b"x");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn head_has_the_length_of_get_and_no_body() {
    let server = hello();
    let mut client = server.connect();
    let head = client.request("HEAD", "/sayhello", "", b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("14")));
    assert_eq!(client.get("/sayhello").text(), "Hello, world!\n");
}

#[test]
fn every_handler_of_a_directory_answers_at_its_name() {
    let server = Server::start(&["--handlers", "guests"]);
    assert_eq!(server.get("/say_hello?name=Ada").text(), "Hello, Ada!\n");
    assert!(server.get("/show_time").text().ends_with(" GMT\n"));
    assert_eq!(server.get("/show_pic").header("content-type"), Some("image/jpeg"));
    assert_eq!(server.get("/say_hello/and/below").status, 200);
    for nothing in ["/show_noexist", "/say_hello.wasm", "/sdk", "/say_hell", "/say_helloo"] {
        assert_eq!(server.get(nothing).status, 404, "{nothing}");
    }
}

#[test]
fn a_url_never_names_a_file_outside_the_handlers() {
    let server = Server::start(&["--handlers", "guests/sdk/.."]);
    for path in [
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/..%2fCargo.toml",
        "/%2e%2e%2fCargo.toml",
        "/say_hello/../../Cargo.toml",
        "/..%5cCargo.toml",
        "/..%00/Cargo.toml",
        "/%252e%252e/Cargo.toml",
        "/static/../Cargo.toml",
        "/static/..%2fCargo.toml",
        "/static/%2e%2e/Cargo.toml",
    ] {
        let answer = server.get(path);
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.text().contains("[workspace]"), "{path}");
    }
}

#[test]
fn apps_are_mounted_at_prefixes_and_see_the_rest_of_the_path() {
    let echo = test_guest("echo");
    let server = Server::start(&["--app", &format!("/a/b={echo}"), "--app", &guest("hello")]);
    assert_eq!(server.get("/sayhello").text(), "Hello, world!\n");
    for (target, script_name, path_info) in [
        ("/a/b", "/a/b", ""),
        ("/a/b/", "/a/b", "/"),
        ("/a/b/c%20d", "/a/b", "/c d"),
        ("/a/b/c%2Fd", "/a/b", "/c%2Fd"),
    ] {
        let text = server.get(target).text().to_owned();
        assert!(text.contains(&format!("[\"SCRIPT_NAME\",\"{script_name}\"]")), "{text}");
        assert!(text.contains(&format!("[\"PATH_INFO\",\"{path_info}\"]")), "{text}");
    }
}

#[test]
fn a_handler_sees_the_request_as_it_was_sent() {
    let server = Server::start(&["--app", &test_guest("echo")]);
    let headers = "X-Twice: 1\r\nx-TWICE: 2\r\n";
    let answer = server.request("POST", "/p%41th?q=%20&r", headers, b"the body");
    let said: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    for pair in [
        ["REQUEST_METHOD", "POST"],
        ["REQUEST_SCHEME", "http"],
        ["SERVER_NAME", "localhost"],
        ["SERVER_PORT", "80"],
        ["SERVER_PROTOCOL", "HTTP/1.1"],
        ["PATH_INFO", "/pAth"],
        ["QUERY_STRING", "q=%20&r"],
        ["REQUEST_URI", "/p%41th?q=%20&r"],
        ["REMOTE_ADDR", "127.0.0.1"],
    ] {
        let expected = serde_json::json!(pair);
        assert!(said["env"].as_array().expect("pairs").contains(&expected), "{pair:?}");
    }
    assert_eq!(said["body"], "the body");
    let twice: Vec<_> =
        said["headers"].as_array().expect("pairs").iter().filter(|h| h[0] == "x-twice").collect();
    assert_eq!(twice, [&serde_json::json!(["x-twice", "1"]), &serde_json::json!(["x-twice", "2"])]);
}

#[test]
fn a_fresh_instance_answers_every_request_unless_it_is_reused() {
    let misbehave = test_guest("misbehave");
    let fresh = Server::start(&["--app", &misbehave]);
    let calls: Vec<String> = (0..3).map(|_| fresh.get("/calls").text().to_owned()).collect();
    assert_eq!(calls, ["1\n", "1\n", "1\n"]);
    let reused = Server::start(&["--app", &misbehave, "--reuse", "3"]);
    let calls: Vec<String> = (0..5).map(|_| reused.get("/calls").text().to_owned()).collect();
    assert_eq!(calls, ["1\n", "2\n", "3\n", "1\n", "2\n"]);
}

#[test]
fn a_granted_file_is_sent_natively() {
    let server = Server::start(&["--app", &guest("show_pic"), "--files", "guests/show_pic"]);
    let mut client = server.connect();
    let sent = client.get("/pic?from=file");
    assert_eq!(sent.header("content-type"), Some("image/jpeg"));
    assert_eq!(sent.body, client.get("/pic").body);
    let etag = format!("If-None-Match: {}\r\n", sent.header("etag").expect("an etag"));
    assert_eq!(client.request("GET", "/pic?from=file", &etag, b"").status, 304);
    let head = client.request("HEAD", "/pic?from=file", "", b"");
    assert_eq!(head.header("content-length"), Some(sent.body.len().to_string().as_str()));
}

#[test]
fn files_that_are_not_granted_are_502_and_cannot_be_read() {
    let misbehave = test_guest("misbehave");
    let without = Server::start(&["--app", &misbehave]);
    assert_eq!(without.get("/file?path=pic.jpg").status, 502);
    without.wait_for_log("no files");
    assert!(without.get("/read?path=pic.jpg").text().contains("granted no files"));
    let server = Server::start(&["--app", &misbehave, "--files", "guests/show_pic"]);
    assert_eq!(
        server.get("/read?path=pic.jpg").body.len(),
        server.get("/file?path=pic.jpg").body.len()
    );
    for path in
        ["nothing", "../hello/Cargo.toml", "/etc/passwd", "src", "%2e%2e/x", "a%00b", ".", ""]
    {
        assert_eq!(server.get(&format!("/file?path={path}")).status, 502, "{path}");
        assert_eq!(server.get(&format!("/read?path={path}")).status, 404, "{path}");
    }
}

#[test]
fn what_a_guest_prints_is_logged_with_the_request_and_escaped() {
    let server = Server::start(&["--app", &test_guest("misbehave")]);
    server.get("/print?text=one%0d%1b%5b31mtwo");
    let line = server.wait_for_log("guest: one");
    assert!(line.contains("one\\r\\u{1b}[31mtwo") && line.contains("request "), "{line}");
    let small = Server::start(&["--app", &test_guest("misbehave"), "--max-log", "1KiB"]);
    small.get("/flood?lines=1000");
    small.wait_for_log("bytes of output dropped");
}

#[test]
fn the_cause_of_a_failure_is_logged_and_the_client_sees_a_reference() {
    let server = Server::start(&["--app", &test_guest("misbehave")]);
    let answer = server.get("/fail");
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("secret"), "{}", answer.text());
    let reference = answer.text().trim_end().rsplit(' ').next().expect("a word").to_owned();
    assert!(server.wait_for_log("a secret cause").contains(&reference));
}
