//! The configuration file: what it means, and what is said when it is wrong.

mod mistakes;

use std::fs;

use crate::support::{Server, blocks, guest, root, run};

/// A folder with a `myweb.toml`, and `hello.wasm` and `html` beside it.
pub fn folder(toml: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("myweb.toml"), toml).expect("a file");
    fs::copy(guest("hello"), folder.path().join("hello.wasm")).expect("a copy");
    fs::create_dir(folder.path().join("html")).expect("a folder");
    fs::write(folder.path().join("html/index.html"), "page\n").expect("a file");
    folder
}

/// A sound tenant, with more lines of its own and of its only route.
fn tenant(more: &str, route: &str) -> String {
    format!(
        "[[tenant]]\nname = \"a\"\nhosts = [\"a.example\"]\n{more}\n[[tenant.route]]\npath = \"/*\"\n{route}\n"
    )
}

#[test]
fn the_file_of_the_docs_is_valid_and_found_by_itself() {
    let shown = blocks("docs/configuration.md", "toml").concat();
    let toml = shown.replace("guests/hello.wasm", "hello.wasm").replace(":7788", ":0");
    let folder = folder(&toml);
    let (code, output) = run(folder.path(), &["check"]);
    assert_eq!((code, output.as_str()), (Some(0), "valid: 2 tenants, 4 routes\n"));
    let (_, table) = run(folder.path(), &["routes"]);
    assert!(table.contains("acme: acme.example *.acme.example\n"), "{table}");
    assert!(table.contains("GET,POST  /api/:item  hello.wasm, reused 1000 times\n"), "{table}");
    let server = Server::start_in(folder.path(), &[]);
    assert_eq!(server.get("/sayhello").text(), "Hello, world!\n");
}

#[test]
fn flags_of_limits_go_before_the_file() {
    let folder = folder(&tenant("", "app = \"hello.wasm\"").replace("a.example", "*"));
    let server = Server::start_in(folder.path(), &["--max-uri", "16"]);
    assert_eq!(server.get("/sayhello").status, 200);
    assert_eq!(server.get("/sayhello?name=somebody").status, 414);
}

#[test]
fn a_changed_file_is_loaded_and_a_broken_one_is_not() {
    let toml = tenant("", "app = \"hello.wasm\"").replace("a.example", "*");
    let folder = folder(&toml);
    let path = folder.path().join("myweb.toml");
    let server = Server::start_in(folder.path(), &[]);
    fs::write(&path, "broken").expect("a file");
    server.signal("HUP");
    server.wait_for_log("not reloaded, the old site goes on");
    assert_eq!(server.get("/sayhello").status, 200);
    fs::write(&path, toml.replace("/*", "/app/*")).expect("a file");
    server.signal("HUP");
    server.wait_for_log("INFO reloaded");
    fs::write(&path, format!("limits = {{ instances = 0x40 }}\n{toml}")).expect("a file");
    server.signal("HUP");
    server.wait_for_log("instances = 64: the server runs with 1000; restart the server");
    let large = toml.replacen("[[tenant]]", "[limits]\nmemory = \"256MiB\"\n[[tenant]]", 1);
    fs::write(&path, large).expect("a file");
    server.signal("HUP");
    let said =
        "myweb.toml:2: limits.memory = \"256MiB\": the server was started for at most 128MiB";
    server.wait_for_log(said);
    assert_eq!((server.get("/sayhello").status, server.get("/app/sayhello").status), (404, 200));
}

#[test]
fn a_thousand_tenants_start_and_the_last_is_answered() {
    let mut toml = String::new();
    for tenant in 0..1_000 {
        toml += &format!("[[tenant]]\nname = \"t{tenant}\"\nhosts = [\"t{tenant}.example\"]\n");
        for route in 0..10 {
            toml += &format!("[[tenant.route]]\npath = \"/r{route}/*\"\napp = \"hello.wasm\"\n");
        }
    }
    let folder = folder(&toml);
    let (code, output) = run(folder.path(), &["check"]);
    assert_eq!((code, output.as_str()), (Some(0), "valid: 1000 tenants, 10000 routes\n"));
    let server = Server::start_in(folder.path(), &[]);
    let mut client = server.connect();
    for host in ["t0.example", "t999.example"] {
        client.send(format!("GET /r9/sayhello HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(client.read_answer().expect("an answer").text(), "Hello, world!\n");
    }
    assert_eq!(client.get("/r9/sayhello").status, 404);
}

#[test]
fn the_example_sites_are_served() {
    let examples = root().join("docs/examples");
    let serve = |name: &str| Server::start_in(&examples.join(name), &[]);
    let one = serve("one-app");
    assert_eq!(one.get("/sayhello").text(), "Hello, world!\n");
    assert!(one.get("/static/index.html").text().contains("<h1>"));
    let three = serve("three-tenants");
    let ask = |host: &str, request: &str| {
        let mut client = three.connect();
        client.send(format!("{request} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        client.read_answer().expect("an answer")
    };
    for host in ["small.example", "www.large.example", "other.example"] {
        assert_eq!(ask(host, "GET /sayhello").text(), "Hello, world!\n", "{host}");
    }
    let moved = ask("large.example", "GET /old/sayhello?name=a");
    assert_eq!((moved.status, moved.header("location")), (308, Some("/sayhello?name=a")));
    assert_eq!(ask("other.example", "POST /sayhello").status, 405);
    assert_eq!(ask("other.example", "GET /ctime").status, 404);
    // Their limits differ: ten requests a second, and a hundred from one address.
    let refused = |host: &str| (0..60).any(|_| ask(host, "GET /sayhello").status == 429);
    assert!(refused("small.example") && !refused("large.example"));
}
