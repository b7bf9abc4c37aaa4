//! The configuration file: what it means, and what is said when it is wrong.

use std::fs;
use std::path::Path;

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
fn every_mistake_is_told_with_its_line_key_value_and_mend() {
    let app = "app = \"hello.wasm\"";
    for (toml, said) in [
        (String::new(), "there is no [[tenant]]"),
        ("x".to_owned(), "myweb.toml:1:"),
        (
            "lisen = []\n".to_owned() + &tenant("", app),
            "myweb.toml:1: lisen: an unknown key; did you mean listen?",
        ),
        (
            tenant("limits = { memory = \"64MB\" }", app),
            "myweb.toml:4: tenant[0].limits.memory = \"64MB\": \"64MB\" is no size: write it like 512, 64KiB",
        ),
        (tenant("limits = { cpu = \"0s\" }", app), "tenant[0].limits.cpu = \"0s\""),
        (
            tenant("limits = { concurrency = 0 }", app),
            "tenant[0].limits.concurrency = 0: \"0\" is no number from 1 to 30000",
        ),
        (tenant("limits = { concurrency = -1 }", app), "tenant[0].limits.concurrency = -1"),
        (tenant("limits = { rate = \"5/h\" }", app), "write it like 200/s or 10/m"),
        (tenant("limits = { cpu = 5 }", app), "text in quotes is expected"),
        (tenant("limits = { queue = \"5\" }", app), "a whole number without quotes is expected"),
        (tenant("limits = { drain = \"1s\" }", app), "set it in the file's own limits"),
        (
            tenant("", &format!("{app}\nlimits = {{ rate = \"1/s\" }}")),
            "set it in the tenant's limits",
        ),
        (tenant("", ""), "myweb.toml:5: tenant[0].route[0]: the route has nothing that answers"),
        (tenant("", &format!("{app}\nstatic = \"html\"")), "app and static are one too many"),
        (tenant("", "static = \"html\"\nreuse = 2"), "reuse = 2: it belongs to a route with app"),
        (tenant("", &format!("{app}\nreuse = 0")), "reuse = 0: write 1 for fresh"),
        (tenant("", &format!("{app}\nlisting = true")), "it belongs to a route with static"),
        (tenant("", &format!("{app}\netag = 1")), "etag = 1: true or false, without quotes"),
        (tenant("", "static = \"html\"\nfallback = \"a\""), "write a path below the directory"),
        (tenant("", "static = \"html\"\nindex = [\"../a\"]"), "write a file's name: index.html"),
        (
            tenant("", &format!("{app}\nheaders = {{ Content-Length = \"1\" }}")),
            "the server sets this header itself; leave it out",
        ),
        (tenant("", &format!("{app}\nheaders = {{ \"a b\" = \"1\" }}")), "the name is no header's"),
        (
            tenant("", &format!("{app}\ncache-control = \"a\\nb\"")),
            "a header's value is text on one line",
        ),
        (
            tenant("error-pages = { 200 = \"a.html\" }", app),
            "error-pages.200 = \"a.html\": a page is for a status from 400 to 599",
        ),
        (
            tenant("error-pages = { 404 = \"none.html\" }", app),
            "myweb.toml:4: none.html: no such file or directory",
        ),
        (
            tenant("", &format!("{app}\nmethods = [\"get\"]")),
            "methods[0] = \"get\": a method is written like GET",
        ),
        (
            tenant("", &format!("{app}\ngrants = {{ outbond = [] }}")),
            "grants.outbond: an unknown key; did you mean outbound?",
        ),
        (
            tenant("", &format!("{app}\ngrants = {{ outbound = [\"api.example.com\"] }}")),
            "grants.outbound[0] = \"api.example.com\": write an origin, https://api.example.com",
        ),
        (tenant("", "app = \"none.wasm\""), "myweb.toml:5: none.wasm: no such file"),
        (tenant("", "static = \"none\""), "none: no such file or directory"),
        (tenant("", "redirect = \"x\""), "write an address: /new"),
        (
            tenant("", &format!("{app}\n[[tenant.route]]\npath = \"/*\"\n{app}")),
            "is claimed by the route at",
        ),
        (
            tenant("", &format!("{app}\n[[tenant.route]]\npath = \"a\"\n{app}")),
            "path = \"a\": a path starts with a slash",
        ),
        (tenant("", app) + &tenant("", app), "tenant[0] is called \"a\" too"),
        (tenant("", app) + &tenant("", app), "the host a.example is claimed by tenant[0] too"),
        (
            tenant("", app).replace("a.example", "http://a"),
            "hosts[0] = \"http://a\": a host has no scheme",
        ),
        ("[limits]\nmemory = \"900GiB\"\n".to_owned() + &tenant("", app), "the machine has"),
        ("[limits]\ninstances = 30000\n".to_owned() + &tenant("", app), "vm.max_map_count"),
        (
            "[limits]\ninstances = 10\n".to_owned()
                + &tenant("", app)
                + &tenant("", app).replace("\"a", "\"b"),
            "could take all of the server's instances = 10",
        ),
    ] {
        let folder = folder(&toml);
        let (code, output) = run(folder.path(), &["check"]);
        assert_eq!(code, Some(1), "{toml}: {output}");
        assert!(output.contains(said), "{toml}\nsays {output}\nnot {said}");
        assert!(!output.contains("panicked"), "{output}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_their_lines() {
    let toml = "[limits]\ncpu = \"x\"\n[[tenant]]\nname = \"a\"\nhosts = [\"a:1\"]\nlog = \"\"\n[[tenant.route]]\napp = 1\n";
    let (_, output) = run(folder(toml).path(), &["check"]);
    let lines: Vec<&str> =
        output.lines().map(|line| line.split("myweb.toml:").nth(1).unwrap_or(line)).collect();
    let starts: Vec<&str> = lines.iter().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(starts, ["2", "5", "6", "7", "8"], "{output}");
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
    for (host, status) in
        [("small.example", 200), ("www.large.example", 200), ("other.example", 200)]
    {
        let mut client = three.connect();
        client.send(format!("GET /sayhello HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(client.read_answer().expect("an answer").status, status, "{host}");
    }
    assert!(Path::exists(&examples.join("three-tenants/myweb.toml")));
}
