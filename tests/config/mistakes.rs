//! What is said of each mistake in the file: where it is, and the mend.

use super::{folder, tenant};
use crate::support::run;

const APP: &str = "app = \"hello.wasm\"";

/// Checks that each file is refused, with what is said of it.
fn told(mistakes: &[(String, &str)]) {
    for (toml, said) in mistakes {
        let folder = folder(toml);
        let (code, output) = run(folder.path(), &["check"]);
        assert_eq!(code, Some(1), "{toml}: {output}");
        assert!(output.contains(said), "{toml}\nsays {output}\nnot {said}");
        assert!(!output.contains("panicked"), "{output}");
        let lines = output.lines().all(|line| line.contains("myweb.toml"));
        assert!(lines, "each line has a place: {output}");
    }
}

/// A tenant with these lines of its own.
fn with(more: &str) -> String {
    tenant(more, APP)
}

/// A tenant whose limits have this.
fn limit(limit: &str) -> String {
    with(&format!("limits = {{ {limit} }}"))
}

/// A tenant whose only route has these lines.
fn route(more: &str) -> String {
    tenant("", more)
}

/// A tenant whose only route has an app and these lines.
fn app(more: &str) -> String {
    route(&format!("{APP}\n{more}"))
}

/// A line at the top, and a sound tenant.
fn top(line: &str) -> String {
    format!("{line}\n{}", with(""))
}

#[test]
fn mistakes_of_syntax_have_their_line() {
    told(&[
        (String::new(), "myweb.toml:1: there is no [[tenant]]; add one with a name"),
        ("x".to_owned(), "myweb.toml:1:"),
        ("listen = [".to_owned(), "myweb.toml:1:"),
        (top("listen = [\"127.0.0.1:0\"]\nlisten = []"), "myweb.toml:2: listen is there twice"),
        (with("name = \"b\""), "myweb.toml:4: name is there twice"),
        (limit("cpu = \"1s\", cpu = \"2s\""), "myweb.toml:4: cpu is there twice"),
        (top("a = \"\\q\""), "myweb.toml:1:"),
        (top("[[]]"), "myweb.toml:1:"),
        (top("tenant = 1"), "myweb.toml:"),
        (
            "[tenant]\nname = \"a\"\n".to_owned(),
            "myweb.toml:1: [tenant]: there may be several: write [[tenant]], in double brackets",
        ),
        (
            "[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n[tenant.route]\npath = \"/*\"\n".to_owned(),
            "there may be several: write [[tenant.route]], in double brackets",
        ),
        ("tenant = 5".to_owned(), "myweb.toml:1: tenant = 5: a list in brackets is expected"),
        ("tenant = [5]".to_owned(), "tenant[0] = 5: a table is expected"),
        (format!("{}[[limits]]\ncpu = \"1s\"\n", with("")), "there is one: write [limits]"),
        (top("limits = 5"), "limits = 5: a table is expected"),
        (top("access-log = \"a\""), "access-log = \"a\": a table is expected"),
    ]);
}

/// What is around something that cannot be read is not judged: it may be there.
#[test]
fn what_cannot_be_read_is_all_that_is_told() {
    let path = app("").replace("path = ", "path ");
    for broken in [top("listen = [\"127.0.0.1:0\""), path] {
        let folder = folder(&broken);
        let (code, said) = run(folder.path(), &["check"]);
        assert_eq!(code, Some(1), "{said}");
        for judged in ["there is no [[tenant]]", "has no path", "has nothing that answers"] {
            assert!(!said.contains(judged), "{said}");
        }
    }
}

#[test]
fn unknown_keys_are_told_at_every_level_with_what_was_meant() {
    told(&[
        (top("lisen = []"), "myweb.toml:1: lisen: an unknown key; did you mean listen?"),
        (top("Listen = []"), "did you mean listen?"),
        (top("proxy_protocol = []"), "did you mean proxy-protocol?"),
        (top("nonsense = 1"), "nonsense: an unknown key; known are listen, "),
        (top("cpu = \"1s\""), "cpu: an unknown key; it belongs in limits = { ... }"),
        (top("hosts = []"), "hosts: an unknown key; it belongs in a [[tenant]]"),
        (with("host = [\"a\"]"), "tenant[0].host: an unknown key; did you mean hosts?"),
        (
            with("app = \"a.wasm\""),
            "tenant[0].app: an unknown key; it belongs in a [[tenant.route]]",
        ),
        (with("tenant-memory = \"1GiB\""), "it belongs in limits = { ... }"),
        (with("listen = []"), "it belongs at the top of the file"),
        (
            limit("memmory = \"1MiB\""),
            "tenant[0].limits.memmory: an unknown key; did you mean memory?",
        ),
        (limit("tenant_memory = \"1MiB\""), "did you mean tenant-memory?"),
        (
            with("tls = { certifcate = \"a\" }"),
            "tls.certifcate: an unknown key; did you mean certificate?",
        ),
        (app("metods = [\"GET\"]"), "route[0].metods: an unknown key; did you mean methods?"),
        (app("hosts = [\"a\"]"), "it belongs in a [[tenant]]"),
        (app("grants = { file = \"html\" }"), "grants.file: an unknown key; did you mean files?"),
        (
            app("grants = { outbond = [] }"),
            "grants.outbond: an unknown key; did you mean outbound?",
        ),
        (
            app("grants = { outbound = [\"api.example.com\"] }"),
            "grants.outbound[0] = \"api.example.com\": write an origin, https://api.example.com",
        ),
        (
            app("limits = { cpus = \"1s\" }"),
            "route[0].limits.cpus: an unknown key; did you mean cpu?",
        ),
        (top("access-log = { pth = \"a\" }"), "access-log.pth: an unknown key; did you mean path?"),
    ]);
}

#[test]
fn limits_that_are_none_are_told_with_the_mend() {
    told(&[
        (
            limit("memory = \"64MB\""),
            "myweb.toml:4: tenant[0].limits.memory = \"64MB\": \"64MB\" is no size: write it like 512, 64KiB",
        ),
        (
            limit("memory = \"0\""),
            "memory = \"0\": a limit of zero would refuse everything: write 1",
        ),
        (limit("memory = \"5GiB\""), "a WebAssembly memory has at most 4GiB: lower it"),
        (limit("memory = \"99999999999GiB\""), "is no size"),
        (limit("memory = \"-1MiB\""), "\"-1MiB\" is no size"),
        (limit("memory = 64"), "memory = 64: text in quotes is expected: \"64MiB\""),
        (
            limit("cpu = \"0s\""),
            "tenant[0].limits.cpu = \"0s\": a limit of zero would end everything",
        ),
        (limit("cpu = \"0ms\""), "write 1ms or more"),
        (limit("cpu = \"-5s\""), "\"-5s\" is no duration: write it like 250ms, 10s or 2m"),
        (limit("cpu = \"1.5s\""), "\"1.5s\" is no duration"),
        (limit("cpu = 5"), "cpu = 5: text in quotes is expected: \"250ms\""),
        (limit("wall = \"2000m\""), "is longer than a day: write 1440m or less"),
        (limit("concurrency = 0"), "concurrency = 0: \"0\" is no number from 1 to 30000"),
        (limit("concurrency = -1"), "tenant[0].limits.concurrency = -1"),
        (limit("concurrency = 1.5"), "a whole number without quotes is expected"),
        (limit("queue = \"5\""), "a whole number without quotes is expected"),
        (limit("queue = 99999999999999999999999999999999999999999999"), "queue = 999"),
        (limit("rate = \"5/h\""), "write it like 200/s or 10/m"),
        (limit("rate = \"0/s\""), "a rate of zero would refuse everything"),
        (limit("rate = 5"), "text in quotes is expected: \"200/s\""),
        (limit("log-rate = \"1MiB\""), "is no size a second: write it like 64KiB/s or 1MiB/s"),
        (limit("log-rate = \"0/s\""), "a limit of zero"),
        (limit("drain = \"1s\""), "set it in the file's own limits"),
        (app("limits = { rate = \"1/s\" }"), "set it in the tenant's limits"),
        (top("[limits]\nmemory = \"900GiB\""), "limits.memory = \"900GiB\": a WebAssembly memory"),
    ]);
}

#[test]
fn limits_above_the_machine_have_their_place() {
    told(&[
        (
            top("[limits]\ninstances = 30000"),
            "myweb.toml:2: limits.instances = 30000: the machine gives",
        ),
        (
            top("[limits]\nfile-cache = \"900GiB\""),
            "myweb.toml:2: limits.file-cache = \"900GiB\": the machine has",
        ),
        (
            with("limits = { tenant-memory = \"900GiB\" }"),
            "myweb.toml:4: tenant[0].limits.tenant-memory = \"900GiB\": the machine has",
        ),
        (
            "[limits]\ninstances = 10\n".to_owned() + &with("") + &with("").replace("\"a", "\"b"),
            "could take all of the server's instances = 10",
        ),
    ]);
}

#[test]
fn hosts_and_listeners_that_are_none_are_told() {
    told(&[
        (with("").replace("name = \"a\"\n", ""), "the tenant has no name; add name = \"acme\""),
        (with("").replace("\"a\"", "\"\""), "name = \"\": a name has 1 to 64 letters"),
        (with("").replace("\"a\"", "\"a b\""), "a name has 1 to 64 letters, digits"),
        (with("").replace("\"a\"", "5"), "name = 5: text in quotes is expected"),
        (with("").replace("hosts = [\"a.example\"]\n", ""), "the tenant has no hosts; add hosts"),
        (
            with("").replace("[\"a.example\"]", "[]"),
            "hosts is empty: nobody would reach the tenant",
        ),
        (with("").replace("[\"a.example\"]", "[\"\"]"), "hosts[0] = \"\": no host name"),
        (with("").replace("[\"a.example\"]", "\"a\""), "a list in brackets is expected"),
        (
            with("").replace("a.example", "http://a"),
            "hosts[0] = \"http://a\": a host has no scheme",
        ),
        (with("").replace("a.example", "a*"), "a * stands alone, or in front as in *.acme.example"),
        (
            with("").replace("[\"a.example\"]", "[\"a\", \"A.\"]"),
            "hosts[1] = \"A.\": a is there twice, first at myweb.toml:3; remove one",
        ),
        (with("") + &with(""), "the tenant at myweb.toml:2 is called \"a\" too; rename one"),
        (
            with("") + &with("").replace("\"a\"", "\"b\""),
            "hosts[0] = \"a.example\": a.example is claimed by the tenant at myweb.toml:3 too",
        ),
        (top("listen = []"), "listen is empty: nobody would be answered; leave it out"),
        (top("listen = \"127.0.0.1:80\""), "a list in brackets is expected"),
        (top("listen = [\"nonsense\"]"), "listen[0] = \"nonsense\": not an address; write it like"),
        (top("listen = [\"127.0.0.1\"]"), "listen[0] = \"127.0.0.1\": not an address"),
        (top("listen = [\"127.0.0.1:99999\"]"), "not an address"),
        (top("listen = [\"::1:80\"]"), "[::1]:7788"),
        (top("listen = [\"http://a:80/x\"]"), "has a path; write HOST:PORT"),
        (top("listen = [\"unix:\"]"), "the path of the socket is missing"),
        (top("listen = [\"a:80\", \"a:80\"]"), "listen[1] = \"a:80\": it is there twice"),
        (top("listen = [\"https://a:80\"]"), "no tenant has a certificate; add tls"),
        (top("trusted-proxies = [\"10.0.0.0/33\"]"), "write an address or a network"),
        (top("client-header = \"X-Real-IP\""), "write x-forwarded-for or forwarded"),
    ]);
}

#[test]
fn routes_that_answer_nothing_are_told() {
    told(&[
        (route(""), "myweb.toml:5: tenant[0].route[0]: the route has nothing that answers"),
        (
            "[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n".to_owned(),
            "the tenant has no [[tenant.route]]; add one with a path and an app",
        ),
        (app("").replace("path = \"/*\"\n", ""), "the route has no path; add path = \"/*\""),
        (app("static = \"html\""), "app and static are one too many"),
        (route("static = \"html\"\nreuse = 2"), "reuse = 2: it belongs to a route with app"),
        (app("reuse = 0"), "reuse = 0: write a number: 1 for fresh"),
        (app("reuse = -1"), "reuse = -1: write a number: 1 for fresh"),
        (app("reuse = 5000000000"), "or more, up to 4294967295"),
        (
            app("reuse-concurrency = 0"),
            "reuse-concurrency = 0: write a number: 1 for one at a time",
        ),
        (app("reuse-concurrency = 2"), "an instance serves 1 requests in all; raise reuse"),
        (
            route("static = \"html\"\nreuse-concurrency = 2"),
            "reuse-concurrency = 2: it belongs to a route with app",
        ),
        (app("listing = true"), "it belongs to a route with static"),
        (app("etag = 1"), "etag = 1: true or false, without quotes"),
        (route("static = \"html\"\nfallback = \"a\""), "write a path below the directory"),
        (route("static = \"html\"\nindex = [\"../a\"]"), "write a file's name: index.html"),
        (
            route("static = \"html\"").replace("/*", "/a"),
            "static files need a path that ends with /*",
        ),
        (
            app("headers = { Content-Length = \"1\" }"),
            "the server sets this header itself; leave it out",
        ),
        (app("headers = { \"a b\" = \"1\" }"), "the name is no header's"),
        (app("cache-control = \"a\\nb\""), "a header's value is text on one line"),
        (app("methods = [\"get\"]"), "methods[0] = \"get\": a method is written like GET"),
        (app("methods = []"), "methods is empty; leave it out for any method"),
        (app("methods = [\"GET\", \"GET\"]"), "the method GET is there twice; remove one"),
        (route("redirect = \"x\""), "write an address: /new"),
        (route("redirect = \"/*\""), "it leads to itself; write another address"),
        (route("redirect = \"/a\"\nstatus = 200"), "write 301, 302, 303, 307 or 308"),
        (
            app("[[tenant.route]]\npath = \"/*\"\napp = \"hello.wasm\""),
            "/* is claimed by the route at myweb.toml:5 too, /*; change the path or the methods",
        ),
        (
            app(
                "[[tenant.route]]\npath = \"/:a/b\"\napp = \"hello.wasm\"\n[[tenant.route]]\npath = \"/:c/b\"\napp = \"hello.wasm\"",
            ),
            "/:c/b is claimed by the route at myweb.toml:8 too, /:a/b",
        ),
        (
            app("[[tenant.route]]\npath = \"a\"\napp = \"hello.wasm\""),
            "path = \"a\": a path starts with a slash",
        ),
        (app("").replace("/*", "/a/*/b"), "a * matches the rest: it is the last segment"),
    ]);
}

#[test]
fn what_is_not_there_has_the_place_where_it_is_named() {
    told(&[
        (
            route("app = \"none.wasm\""),
            "myweb.toml:7: tenant[0].route[0].app = \"none.wasm\": none.wasm: no such file",
        ),
        (route("app = \"\""), "app = \"\": the path is empty"),
        (
            route("app = \"html/index.html\""),
            "myweb.toml:7: tenant[0].route[0].app = \"html/index.html\": html/index.html: not a WebAssembly component",
        ),
        (
            route("static = \"none\""),
            "myweb.toml:7: tenant[0].route[0].static = \"none\": none: no such file or directory",
        ),
        (
            app("grants = { files = \"none\" }"),
            "route[0].grants.files = \"none\": none: no such file",
        ),
        (
            with("log = \"none/a.log\""),
            "myweb.toml:4: tenant[0].log = \"none/a.log\": none/a.log: no such file",
        ),
        (
            top("access-log = { path = \"html\" }"),
            "myweb.toml:1: access-log.path = \"html\": html: is a directory",
        ),
        (with("tls = { certificate = \"none.pem\" }"), "tls.certificate = \"none.pem\": none.pem"),
        (with("tls = { key = \"a.pem\" }"), "there is a key without a certificate"),
        (with("tls = { hsts = \"for ever\" }"), "hsts = \"for ever\": write for how many seconds"),
        (
            with("error-pages = { 200 = \"a.html\" }"),
            "error-pages.200 = \"a.html\": a page is for a status from 400 to 599",
        ),
        (
            with("error-pages = { 404 = \"none.html\" }"),
            "myweb.toml:4: tenant[0].error-pages.404 = \"none.html\": none.html: no such file or directory",
        ),
        (
            app("limits = { memory = \"64KiB\" }"),
            "64KiB are allowed; raise the memory limit at myweb.toml:8",
        ),
        (limit("memory = \"64KiB\""), "64KiB are allowed; raise the memory limit at myweb.toml:4"),
    ]);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_their_lines() {
    let toml = "[limits]\ninstances = 30000\ncpu = \"x\"\n[[tenant]]\nname = \"a\"\nhosts = [\"a:1\"]\nlog = \"none/log\"\n\
         tls = { certificate = \"none.pem\" }\n[[tenant.route]]\npath = \"/a\"\napp = 1\n\
         [[tenant.route]]\npath = \"b\"\napp = \"none.wasm\"\n";
    let folder = folder(toml);
    let (_, output) = run(folder.path(), &["check"]);
    let lines: Vec<&str> =
        output.lines().map(|line| line.split("myweb.toml:").nth(1).unwrap_or(line)).collect();
    let starts: Vec<&str> = lines.iter().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(starts, ["2", "3", "6", "7", "8", "11", "13", "14"], "{output}");
    // The same is said by a start.
    let (code, of_start) = run(folder.path(), &["--addr", "127.0.0.1:0"]);
    assert_eq!((code, of_start), (Some(1), output));
}

#[test]
fn check_and_routes_make_no_files() {
    let toml = top("access-log = { path = \"access.log\" }");
    let folder = folder(&toml.replace("[[tenant.route]]", "log = \"a.log\"\n[[tenant.route]]"));
    let names = || {
        let entries = std::fs::read_dir(folder.path()).expect("a folder");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    for command in ["check", "routes"] {
        assert_eq!(run(folder.path(), &[command]).0, Some(0));
        assert_eq!(names(), before, "{command}");
    }
}

#[test]
fn a_file_that_is_no_text_is_told_so() {
    let folder = folder("");
    std::fs::write(folder.path().join("myweb.toml"), b"\0asm\xff").expect("a file");
    let (code, output) = run(folder.path(), &["check"]);
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("myweb.toml: not a text; name a configuration file"), "{output}");
}
