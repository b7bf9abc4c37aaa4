//! Apps in JavaScript, built as components. `tests/scripts` has them.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::origin::Origin;
use crate::support::scripts::{build, component, serving};
use crate::support::{Answer, Server, root, run};

/// What runs them; all is the same in each but where it is said.
const ENGINES: [&str; 2] = ["starlingmonkey", "quickjs"];

/// The component of `FOLDER/app.js`.
fn built(folder: &str, engine: &str) -> Option<String> {
    component(&[&format!("{folder}/app.js"), "--engine", engine], &format!("{folder}-{engine}"))
}

/// A server of it, which tests share.
fn served(folder: &str, engine: &str) -> Option<Arc<Server>> {
    let app = format!("{folder}/app.js");
    serving(&[&app, "--engine", engine], &format!("{folder}-{engine}"))
}

/// The servers of it in each engine.
fn in_each(folder: &str) -> impl Iterator<Item = Arc<Server>> {
    ENGINES.into_iter().filter_map(move |engine| served(folder, engine))
}

fn read(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"))
}

#[test]
fn a_handler_sees_the_request_and_answers_in_any_form() {
    in_each("javascript").for_each(|server| sees_and_answers(&server));
}

fn sees_and_answers(server: &Server) {
    assert_eq!(server.get("/").text(), "home\n");
    let answer = server.request("POST", "/env?q=%20", "X-Twice: 1\r\nX-Twice: 2\r\n", b"ab");
    let env = read(&answer);
    for (key, expected) in
        [("method", "POST"), ("pathInfo", "/env"), ("queryString", "q=%20"), ("host", "localhost")]
    {
        assert_eq!(env[key], expected, "{key}");
    }
    assert_eq!(env["body"], json!([97, 98]));
    // What an app does with the bytes of one request is not in the next.
    assert_eq!((server.get("/keeps").text(), server.get("/keeps").text()), ("1", "1"));
    let headers = env["headers"].as_array().expect("pairs");
    assert_eq!(headers.iter().filter(|header| header[0] == "x-twice").count(), 2);
    let bytes = server.get("/bytes");
    assert_eq!((bytes.status, bytes.text()), (201, "hi"));
    assert_eq!(bytes.head.matches("x-twice: ").count(), 2);
    assert_eq!(server.get("/nothing").status, 204);
    // Characters of a value are bytes, if they can be.
    let octets = server.get("/octets").head;
    for header in ["x-text: é\r\n", "x-wide: ✓\r\n", "x-bytes: é\r\n"] {
        assert!(octets.contains(header), "{octets:?}");
    }
    assert_eq!(server.get("/later").text(), "waited");
}

#[test]
fn every_fault_has_its_status_and_the_next_request_is_served() {
    in_each("javascript").for_each(|server| survives_faults(&server));
}

fn survives_faults(server: &Server) {
    for (way, status) in [
        ("throws", 500),
        ("rejects", 500),
        ("text", 500),
        ("name", 500),
        ("status", 502),
        ("split", 502),
        ("nul", 500),
        ("length", 502),
        ("recurses", 500),
    ] {
        let mut client = server.connect();
        let answer = client.get(&format!("/{way}"));
        assert_eq!(answer.status, status, "{way}");
        assert!(!answer.text().contains("secret"), "{}", answer.text());
        assert_eq!(client.get("/").text(), "home\n", "after {way}");
    }
    server.get("/logs");
    server.wait_for_log("TypeError: a secret cause");
    server.wait_for_log("guest: said 1");
}

#[test]
fn instances_are_reused_and_fresh_ones_differ_in_their_random_numbers() {
    for engine in ENGINES {
        let Some(path) = built("javascript", engine) else { return };
        let server = Server::start(&["--app", &path, "--max-concurrency", "1"]);
        let count = || server.get("/count").text().parse::<u32>().expect("a number");
        assert!(count() < count());
        let fresh = Server::start(&["--app", &path, "--reuse", "1"]);
        assert_eq!((fresh.get("/count").text(), fresh.get("/count").text()), ("2", "2"));
        let (first, second) = (read(&fresh.get("/random")), read(&fresh.get("/random")));
        for place in 0..3 {
            assert_ne!(first[place], second[place], "{engine}");
        }
    }
}

#[test]
fn fetch_reaches_the_origins_that_are_granted_and_no_other() {
    let Some(path) = built("javascript", "starlingmonkey") else { return };
    let origin = Origin::saying("HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello");
    let server = Server::start(&["--app", &path, "--outbound", &origin.grant()]);
    let from = |authority: &str| server.get(&format!("/fetch?from=http://{authority}/"));
    let answer = from(&origin.authority());
    assert_eq!((answer.status, answer.text()), (201, "hello"));
    assert_eq!(from("127.0.0.1:1").status, 500);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn requests_and_answers_of_workers_are_those_of_browsers() {
    in_each("fetch").for_each(|server| is_as_in_browsers(&server));
}

fn is_as_in_browsers(server: &Server) {
    assert_eq!(server.request("GET", "/checks", "X-One: 1\r\n", b"").text(), "");
    let text = server.get("/text");
    assert_eq!(text.text(), "schön ✓");
    let headers = (text.header("content-type"), text.header("x-name"));
    assert_eq!(headers, (Some("text/plain"), Some("tea")));
    let bytes = server.get("/bytes");
    assert_eq!((bytes.status, bytes.text()), (201, "bytes"));
    let changed = server.get("/changed");
    assert_eq!((changed.text(), changed.header("x-a")), ("given", Some("given")));
    assert_eq!(changed.header("x-b"), Some("added"));
    let cookies = server.get("/cookies");
    assert_eq!((cookies.status, cookies.head.matches("set-cookie: ").count()), (204, 2));
    let kind = "Content-Type: application/json\r\n";
    let got = server.request("POST", "/json", kind, "{\"a\":\"é\"}".as_bytes());
    assert_eq!((got.status, read(&got)), (202, json!({ "got": { "a": "é" } })));
    assert_eq!(server.get("/large").body.len(), 100_000);
    let echo = server.request("POST", "/echo", "", b"\0\xff");
    assert_eq!((echo.body.as_slice(), echo.header("x-used")), (&b"\0\xff"[..], Some("true")));
    assert_eq!(server.get("/stream").text(), "ab");
    for way in ["/used", "/rejects", "/text-only", "/status"] {
        let answer = server.get(way);
        assert_eq!((answer.status, answer.header("x-injected")), (500, None), "{way}");
    }
    assert_eq!(server.get("/left").text(), "left");
    server.wait_for_log("guest: what was left is done");
}

#[test]
fn a_request_that_is_kept_is_the_same_after_its_answer() {
    for engine in ENGINES {
        let Some(path) = built("fetch", engine) else { return };
        let server = Server::start(&["--app", &path, "--max-concurrency", "1"]);
        let mut client = server.connect();
        assert_eq!(client.get("/before?1").text(), "first");
        assert_eq!(client.get("/before?2").text(), "GET /before?1, kept");
    }
}

#[test]
fn an_app_has_the_variables_that_it_was_granted() {
    for engine in ENGINES {
        let Some(path) = built("fetch", engine) else { return };
        let server = Server::start(&["--app", &path, "--debug"]);
        assert_eq!(read(&server.get("/env")), json!({ "MYWEB_DEBUG": "1" }), "{engine}");
    }
}

#[test]
fn quickjs_says_what_it_lacks_and_how_to_have_it() {
    let Some(path) = built("javascript", "quickjs") else { return };
    let server = Server::start(&["--app", &path]);
    assert_eq!(server.get("/fetch?from=http://a.example/").status, 500);
    server.wait_for_log("no fetch in QuickJS; build the app with --engine starlingmonkey");
}

#[test]
fn the_webs_apis_of_quickjs_are_those_of_browsers() {
    let Some(server) = served("web", "quickjs") else { return };
    assert_eq!(server.get("/").text(), "");
}

#[test]
fn a_promise_that_nothing_settles_is_an_error_and_the_next_request_is_served() {
    let Some(server) = served("web", "quickjs") else { return };
    let mut client = server.connect();
    assert_eq!(client.get("/never").status, 500);
    assert_eq!(client.get("/").text(), "");
    server.wait_for_log("a promise that nothing will settle");
}

#[test]
fn hono_answers_as_it_does_elsewhere() {
    in_each("hono").for_each(|server| answers_in_hono(&server));
}

fn answers_in_hono(server: &Server) {
    assert_eq!(server.get("/").text(), "home");
    assert_eq!(read(&server.get("/item/3")), json!({ "number": 3 }));
    let shared = server.request("GET", "/cors/it", "Origin: https://a.example\r\n", b"");
    assert_eq!(shared.header("access-control-allow-origin"), Some("https://a.example"));
    let kind = "Content-Type: application/json\r\n";
    assert_eq!(read(&server.request("POST", "/json", kind, b"[1, null]")), json!([1, null]));
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(read(&server.request("POST", "/form", kind, b"a=1&b=x+y"))["b"], "x y");
    let kind = "Content-Type: multipart/form-data; boundary=edge\r\n";
    let head = "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
                Content-Type: application/octet-stream\r\n\r\n";
    let body = [head.as_bytes(), &vec![7; 900_000], b"\r\n--edge--\r\n"].concat();
    let uploaded = read(&server.request("POST", "/upload", kind, &body));
    assert_eq!(uploaded, json!({ "name": "a.bin", "size": 900_000 }));
    let counted = server.get("/count");
    let cookie = counted.header("set-cookie").and_then(|line| line.split(';').next());
    let cookie = format!("Cookie: {}\r\n", cookie.expect("a cookie"));
    assert_eq!(server.request("GET", "/count", &cookie, b"").text(), "2");
    assert_eq!(server.get("/stream").text(), "0\n1\n2\n");
    assert_eq!(server.get("/go").header("location"), Some("/item/3"));
    let teapot = server.get("/teapot");
    assert_eq!((teapot.status, teapot.text()), (418, "short and stout"));
    assert_eq!(server.get("/broken").status, 500);
    assert_eq!(server.get("/later").text(), "now");
    server.wait_for_log("guest: afterwards");
    assert_eq!(server.get("/missing").text(), "no /missing here");
}

#[test]
fn what_is_wrong_with_a_module_is_told_with_its_file_and_line() {
    let folder = tempfile::tempdir().expect("a folder");
    for engine in ENGINES {
        if built("javascript", engine).is_none() {
            return;
        }
        // The tool of QuickJS names no kind of error.
        let kind = if engine == "quickjs" { "Error: " } else { "TypeError" };
        for (text, parts) in [
            ("const a = 1;\nconst b = ;\n", &["app.js:2:11: Unexpected \";\"", "const b = ;"][..]),
            (
                "const a = 1;\nconst b = Math.random();\nexport const application = () => b;\n",
                &["Math.random() cannot be called at the top level", "app.js:2:"],
            ),
            ("import \"nosuch\";\n", &["app.js:1:8: the package \"nosuch\" is not there"]),
            (
                "import \"node:fs\";\n",
                &["\"node:fs\" is a module of Node.js, which a sandbox has not"],
            ),
            ("export const other = 1;\n", &["app.js: the module exports other; a handler exports"]),
            ("null.x;\nexport const application = () => 1;\n", &[kind, "null", "app.js:1:"]),
        ] {
            let said = refused(folder.path(), engine, text);
            for part in parts {
                assert!(said.contains(part), "{engine}: {part}: {said}");
            }
        }
    }
    let waits = "await null;\nexport const application = () => 1;\n";
    let said = refused(folder.path(), "quickjs", waits);
    assert!(said.contains("app.js:1:1: `await` at the top level"), "{said}");
}

/// What is said of a module of this text.
fn refused(folder: &Path, engine: &str, text: &str) -> String {
    std::fs::write(folder.join("app.js"), text).expect("a file");
    let (code, said) = build(folder, &["app.js", "--engine", engine, "-o", "out.wasm"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(!folder.join("out.wasm").exists());
    said
}

#[test]
fn an_unknown_engine_is_told_those_that_there_are() {
    for arguments in
        [&["build", "app.js", "--engine", "v8"][..], &["--app", "app.js", "--engine", "v8"]]
    {
        let (code, said) = run(&root(), arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains("no engine is named \"v8\": write starlingmonkey or quickjs"),
            "{said}"
        );
    }
}

#[test]
fn the_shown_guests_answer() {
    ENGINES.into_iter().for_each(shows_guests);
}

fn shows_guests(engine: &str) {
    let guest = |name: &str| {
        let app = root().join("guests/javascript").join(name).join("app.js").display().to_string();
        component(&[&app, "--engine", engine], &format!("shown-{name}-{engine}"))
    };
    let (Some(hello), Some(picture), Some(book)) =
        (guest("say_hello"), guest("show_pic"), guest("guestbook"))
    else {
        return;
    };
    let (hello, picture) = (format!("/hello={hello}"), format!("/pic={picture}"));
    let granted = root().join("guests/show_pic").display().to_string();
    let files = ["--files", &granted];
    let apps = ["--app", &hello, "--app", &picture, "--app", &book];
    // Not where `html` is, which would stand in front of the app.
    let empty = tempfile::tempdir().expect("a folder");
    let server = Server::start_in(empty.path(), &[&apps[..], &files].concat());
    assert_eq!(server.get("/hello?name=Ada").text(), "Hello, Ada!\n");
    assert_eq!(server.get("/pic").header("content-type"), Some("image/jpeg"));
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    let written = server.request("POST", "/", kind, b"entry=%3Cb%3Ehi");
    assert_eq!(written.status, 303);
    let cookie = written.header("set-cookie").and_then(|line| line.split(';').next());
    let headers = format!("Cookie: {}\r\n", cookie.expect("a cookie"));
    let shown = server.request("GET", "/", &headers, b"");
    assert!(shown.text().contains("<li>&lt;b&gt;hi</li>"), "{}", shown.text());
}
