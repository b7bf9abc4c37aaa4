//! Broken files of one tenant: a start from a file, a reload and an upgrade serve the
//! rest. Row F8 of the catalogue.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::config::folder;
use crate::hostile::component::{Core, numbered, small};
use crate::hostile::{ask, good_tenant};
use crate::support::tls::Authority;
use crate::support::{Answer, Server, guest, run};

/// A tenant with one route, and more lines of its own and of the route.
fn tenant(name: &str, more: &str, route: &str) -> String {
    format!(
        "[[tenant]]\nname = \"{name}\"\nhosts = [\"{name}.example\"]\n{more}\n\
         [[tenant.route]]\npath = \"/*\"\n{route}\n"
    )
}

fn get(server: &Server, host: &str, target: &str) -> Answer {
    ask(&mut server.connect(), host, target)
}

/// What the server said at its start, maybe only after where it listens. Lines are asked
/// for in their order.
pub fn said_at_start(server: &Server, text: &str) -> String {
    let before = server.warnings.iter().find(|line| line.contains(text));
    before.cloned().unwrap_or_else(|| server.wait_for_log(text))
}

fn victim_is_well(server: &Server) {
    assert_eq!(get(server, "good.example", "/good/sayhello").text(), "Hello, world!\n");
}

/// An app that imports what no server offers.
fn wants_more() -> Vec<u8> {
    let before = "(import \"other:host/thing@1.0.0\" (instance (export \"f\" (func))))".to_owned();
    Core { before, ..Core::default() }.bytes()
}

/// Files that are no app, by their names, with a part of the reason.
fn broken_files(folder: &Path) -> Vec<(&'static str, &'static str)> {
    let sound = small();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(format!("{name}.wasm")), bytes).expect("a file");
    };
    write("empty", b"");
    write("text", b"(component)");
    write("cut", &sound[..sound.len() / 2]);
    write("core", b"\0asm\x01\0\0\0");
    write("elf", b"\x7fELF\x02\x01\x01\0");
    write("wants", &wants_more());
    write("large", &[sound.as_slice(), &[0; 3 << 20]].concat());
    write("memory", &Core { memory: "64", ..Core::default() }.bytes());
    fs::create_dir(folder.join("directory.wasm")).expect("a folder");
    symlink("nowhere", folder.join("dangling.wasm")).expect("a link");
    vec![
        ("missing", "missing.wasm: no such file"),
        ("empty", "empty.wasm: the file is empty"),
        ("text", "text.wasm: not a WebAssembly component"),
        ("cut", "cut.wasm: "),
        ("core", "core.wasm: a core WebAssembly module"),
        ("elf", "elf.wasm: compiled code"),
        ("wants", "wants.wasm: needs what the server does not offer"),
        ("large", "raise the component limit"),
        ("memory", "raise the memory limit"),
        ("directory", "directory.wasm: is a directory"),
        ("dangling", "dangling.wasm: no such file"),
    ]
}

#[test]
fn f8_a_start_from_a_file_serves_all_but_broken_components() {
    let folder = folder("");
    let broken = broken_files(folder.path());
    let tenants = broken.iter().map(|(name, _)| {
        let limits = "limits = { memory = \"2MiB\" }";
        tenant(name, "", &format!("app = \"{name}.wasm\"\n{limits}"))
    });
    let toml = tenants.collect::<String>() + &good_tenant();
    let toml = format!("[limits]\ncomponent = \"2MiB\"\n{toml}");
    fs::write(folder.path().join("myweb.toml"), toml).expect("a file");
    let server = Server::start_in(folder.path(), &[]);
    victim_is_well(&server);
    for (name, why) in &broken {
        let effect = format!("tenant {name}, route * /*, responds 500: myweb.toml:");
        let said = said_at_start(&server, &effect);
        assert!(said.contains(" WARN ") && said.contains(why), "{name}: {said}");
    }
    for (name, why) in &broken {
        let answer = get(&server, &format!("{name}.example"), "/x");
        assert_eq!(answer.status, 500, "{name}");
        assert!(answer.text().contains("<p>Request "), "{name}: {}", answer.text());
        assert!(!answer.text().contains("wasm"), "{name}: {}", answer.text());
        let line = server.wait_for_log(why);
        assert!(line.contains(&format!("tenant {name} ")), "{line}");
    }
    victim_is_well(&server);
    // `check` stays strict, and names all of them.
    let (code, output) = run(folder.path(), &["check"]);
    assert_eq!(code, Some(1), "{output}");
    assert!(broken.iter().all(|(_, why)| output.contains(why)), "{output}");
}

#[test]
fn f8_a_start_by_flags_and_a_mistake_of_the_operator_stay_errors() {
    let folder = folder("");
    fs::write(folder.path().join("broken.wasm"), "nonsense").expect("a file");
    let (code, output) = run(folder.path(), &["--app", "broken.wasm"]);
    assert_eq!(code, Some(1), "{output}");
    let broken = tenant("a", "", "app = \"broken.wasm\"");
    for mistake in [
        "colour = 1\n",
        "[limits]\nmemory = \"much\"\n",
        "access-log = { path = \"none/a.log\" }\n",
        // The tenant is there twice.
        &good_tenant(),
    ] {
        let toml = format!("{mistake}{broken}{}", good_tenant());
        fs::write(folder.path().join("myweb.toml"), toml).expect("a file");
        let (code, output) = run(folder.path(), &["--addr", "127.0.0.1:0"]);
        assert_eq!(code, Some(1), "{mistake}: {output}");
        assert!(output.contains("broken.wasm: not a WebAssembly component"), "{mistake}: {output}");
    }
}

#[test]
fn f8_other_files_of_one_tenant_leave_the_rest_served() {
    let hello = guest("hello");
    let app = format!("app = {hello:?}");
    let granted = |grants: &str| format!("{app}\ngrants = {{ {grants} }}");
    let toml = tenant("static", "", "static = \"none\"")
        + &tenant("files", "", &granted("files = \"none\""))
        + &tenant("file", "", &granted("config = { key = { file = \"none\" } }"))
        + &tenant("variable", "", &granted("env = { KEY = { env = \"NONE_SUCH\" } }"))
        + &tenant("store", "keyvalue = { file = \"none\" }", &granted("keyvalue = [\"a\"]"))
        + &tenant("page", "error-pages = { 404 = \"none.html\" }", &app)
        + &tenant("log", "log = \"none/a.log\"", &app)
        + &good_tenant();
    let folder = folder(&toml);
    let server = Server::start_in(folder.path(), &[]);
    victim_is_well(&server);
    let broken = [
        ("static", "none: no such file or directory"),
        ("files", "none: no such file or directory"),
        ("file", "grants.config.key: none: no such file"),
        ("variable", "grants.env.KEY: the server's environment has no text NONE_SUCH"),
        ("store", "keyvalue: none: no such file"),
    ];
    for (name, why) in broken {
        let effect = format!("tenant {name}, route * /*, responds 500: myweb.toml:");
        let said = said_at_start(&server, &effect);
        assert!(said.contains(why), "{name}: {said}");
    }
    said_at_start(&server, "tenant page has the server's own page for 404");
    said_at_start(&server, "tenant log writes to the server's log");
    for (name, why) in broken {
        assert_eq!(get(&server, &format!("{name}.example"), "/sayhello").status, 500, "{name}");
        let line = server.wait_for_log(why);
        assert!(line.contains(&format!("tenant {name} ")), "{line}");
    }
    assert_eq!(get(&server, "page.example", "/none").status, 404);
    for host in ["page.example", "log.example"] {
        assert_eq!(get(&server, host, "/sayhello").text(), "Hello, world!\n");
    }
    let (code, output) = run(folder.path(), &["check"]);
    assert_eq!((code, output.lines().count()), (Some(1), 7), "{output}");
}

#[test]
fn f8_a_broken_certificate_fails_the_handshakes_of_its_hosts_alone() {
    let folder = folder("");
    let authority = Authority::new();
    let hello = guest("hello");
    let of = |name: &str| {
        let tls = format!("tls = {{ certificate = \"{name}.pem\" }}");
        tenant(name, &tls, &format!("app = {hello:?}"))
    };
    authority.certify(folder.path(), "good", &["good.example"]);
    authority.certify(folder.path(), "any", &["bad.example", "missing.example"]);
    fs::write(folder.path().join("bad.pem"), "nonsense").expect("a file");
    // Another tenant's certificate for all other hosts is not shown for them.
    let any = of("any").replace("any.example", "*");
    let toml = of("good") + &of("bad") + &of("missing") + &any;
    fs::write(folder.path().join("myweb.toml"), toml).expect("a file");
    let server = Server::start_in(folder.path(), &["--addr", "https://127.0.0.1:0"]);
    let handshake = |host: &str| {
        let mut stream = authority.connect(server.address, host, &[]);
        stream.conn.complete_io(&mut stream.sock).map(drop)
    };
    assert!(handshake("good.example").is_ok());
    for (name, why) in [("bad", "no PEM file with certificates"), ("missing", "no such file")] {
        assert!(handshake(&format!("{name}.example")).is_err(), "{name}");
        let effect = format!("tenant {name} has no certificate, TLS handshakes fail: myweb.toml:");
        let said = said_at_start(&server, &effect);
        assert!(said.contains(why), "{said}");
    }
    // Repaired at the next reload; broken again, the last good one goes on.
    for name in ["bad", "missing"] {
        authority.certify(folder.path(), name, &[&format!("{name}.example")]);
    }
    server.signal("HUP");
    server.wait_for_log("INFO reloaded");
    assert!(handshake("bad.example").is_ok() && handshake("missing.example").is_ok());
    fs::remove_file(folder.path().join("missing.pem")).expect("a file");
    server.signal("HUP");
    server.wait_for_log("not reloaded, the old one goes on: myweb.toml:");
    assert!(handshake("missing.example").is_ok());
}

#[test]
fn f8_a_repaired_app_is_loaded_by_the_next_reload_and_a_broken_one_keeps_its_old_one() {
    let toml = tenant("a", "", "app = \"a.wasm\"") + &tenant("b", "", "static = \"b\"");
    let folder = folder(&(toml.clone() + &good_tenant()));
    let path = |name: &str| folder.path().join(name);
    let server = Server::start_in(folder.path(), &[]);
    assert_eq!(get(&server, "a.example", "/").status, 500);
    assert_eq!(get(&server, "b.example", "/").status, 500);
    fs::write(path("a.wasm"), small()).expect("a file");
    fs::create_dir(path("b")).expect("a folder");
    fs::write(path("b/index.html"), "page").expect("a file");
    server.signal("HUP");
    server.wait_for_log("INFO reloaded");
    assert_eq!(get(&server, "a.example", "/").text(), "ok\n");
    assert_eq!(get(&server, "b.example", "/").text(), "page");
    // Broken in place, gone, and replaced by a path where there is nothing.
    let hello = guest("hello");
    for round in 0..3 {
        let gone = path("a.wasm");
        match round {
            0 => fs::write(&gone, "nonsense").expect("a file"),
            1 => fs::remove_file(&gone).expect("a file"),
            _ => {
                let moved = toml.replace("\"a.wasm\"", "\"none.wasm\"");
                let moved = moved.replace("static = \"b\"", "static = \"none\"");
                let new = tenant("new", "", &format!("app = {hello:?}"));
                let broken = tenant("other", "", "app = \"none.wasm\"");
                let toml = moved + &new + &broken + &good_tenant();
                fs::write(path("myweb.toml"), toml).expect("a file");
            }
        }
        server.signal("HUP");
        let line = server.wait_for_log("not reloaded, the old one goes on: myweb.toml:");
        assert!(line.contains(".wasm"), "{line}");
        assert_eq!(get(&server, "a.example", "/").text(), "ok\n", "round {round}");
        assert_eq!(get(&server, "b.example", "/").text(), "page", "round {round}");
    }
    server.wait_for_log("tenant other, route * /*, responds 500: myweb.toml:");
    // The rest of the new configuration is served.
    assert_eq!(get(&server, "new.example", "/sayhello").text(), "Hello, world!\n");
    assert_eq!(get(&server, "other.example", "/").status, 500);
    victim_is_well(&server);
}

/// Routes of one tenant at `/0`, `/1` and so on, more than are loaded at a start.
fn many(folder: &Path, first: u64) -> String {
    let toml = "[[tenant]]\nname = \"many\"\nhosts = [\"many.example\"]\n".to_owned();
    (0..101).fold(toml, |toml, n| {
        let bytes = numbered(&small(), first + n);
        fs::write(folder.join(format!("many{n}.wasm")), bytes).expect("a file");
        toml + &format!("[[tenant.route]]\npath = \"/{n}\"\napp = \"many{n}.wasm\"\n")
    })
}

#[test]
fn f8_an_app_that_is_loaded_when_it_is_asked_for_is_repaired_and_kept_too() {
    let folder = folder("");
    let toml = many(folder.path(), 0) + &good_tenant();
    fs::write(folder.path().join("myweb.toml"), toml).expect("a file");
    let broken = folder.path().join("many7.wasm");
    fs::write(&broken, "nonsense").expect("a file");
    let server = Server::start_in(folder.path(), &[]);
    assert_eq!(get(&server, "many.example", "/7").status, 500);
    fs::write(&broken, numbered(&small(), 7)).expect("a file");
    server.signal("HUP");
    server.wait_for_log("INFO reloaded");
    assert_eq!(get(&server, "many.example", "/7").text(), "ok\n");
    // All change, so none is loaded by the reload: the old one of a broken one goes on.
    many(folder.path(), 1_000);
    fs::write(&broken, "nonsense").expect("a file");
    server.signal("HUP");
    server.wait_for_log("INFO reloaded");
    assert_eq!(get(&server, "many.example", "/7").text(), "ok\n");
    let line = server.wait_for_log("not reloaded, the old one goes on");
    assert!(line.contains("many7.wasm: not a WebAssembly component"), "{line}");
    assert_eq!(get(&server, "many.example", "/8").text(), "ok\n");
    victim_is_well(&server);
}

#[test]
fn f8_a_broken_app_fills_no_log() {
    let limits = "limits = { log-rate = \"4KiB/s\" }";
    let folder = folder(&(tenant("a", limits, "app = \"none.wasm\"") + &good_tenant()));
    let server = Server::start_in(folder.path(), &[]);
    let mut client = server.connect();
    for _ in 0..2_000 {
        assert_eq!(ask(&mut client, "a.example", "/x").status, 500);
    }
    victim_is_well(&server);
    let written: usize = server.log_so_far().iter().map(String::len).sum();
    assert!(written > 0 && written < 200_000, "{written} bytes");
}

#[test]
fn f8_an_upgrade_is_refused_where_what_worked_would_not_work() {
    let working = tenant("a", "", "app = \"a.wasm\"") + &tenant("files", "", "static = \"html\"");
    let folder = folder(&(working + &tenant("b", "", "app = \"b.wasm\"") + &good_tenant()));
    let app = folder.path().join("a.wasm");
    fs::write(&app, small()).expect("a file");
    // The app of `b` never worked: an upgrade does not make that worse.
    let server = Server::start_in(folder.path(), &[]);
    let refused = |said: &str| {
        server.signal("USR2");
        server.wait_for_log(said);
        server.wait_for_log("the new process does not serve, this one goes on");
        assert_eq!(get(&server, "a.example", "/").text(), "ok\n");
        assert_eq!(get(&server, "files.example", "/").text(), "page\n");
        victim_is_well(&server);
    };
    fs::write(&app, "nonsense").expect("a file");
    refused("tenant a, route * /*: ");
    fs::write(&app, small()).expect("a file");
    fs::rename(folder.path().join("html"), folder.path().join("away")).expect("a move");
    // The old process has the folder open.
    refused("tenant files, route * /*: ");
    fs::rename(folder.path().join("away"), folder.path().join("html")).expect("a move");
    let _successor = Successor::of(&server);
    assert_eq!(get(&server, "a.example", "/").text(), "ok\n");
    assert_eq!(get(&server, "b.example", "/").status, 500);
}

#[test]
fn f8_an_upgrade_asks_for_apps_that_were_loaded_when_they_were_asked_for() {
    let folder = folder("");
    let toml = many(folder.path(), 2_000) + &good_tenant();
    fs::write(folder.path().join("myweb.toml"), toml).expect("a file");
    let server = Server::start_in(folder.path(), &[]);
    assert_eq!(get(&server, "many.example", "/7").text(), "ok\n");
    fs::write(folder.path().join("many7.wasm"), "nonsense").expect("a file");
    server.signal("USR2");
    let line = server.wait_for_log("tenant many, route * /7: ");
    assert!(line.contains("many7.wasm: not a WebAssembly component"), "{line}");
    server.wait_for_log("the new process does not serve, this one goes on");
    assert_eq!(get(&server, "many.example", "/7").text(), "ok\n");
    fs::write(folder.path().join("many7.wasm"), numbered(&small(), 7)).expect("a file");
    let _successor = Successor::of(&server);
    assert_eq!(get(&server, "many.example", "/7").text(), "ok\n");
}

/// A process that took over from a server, ended when dropped.
struct Successor(String);

impl Successor {
    /// Lets a new process take over.
    fn of(server: &Server) -> Successor {
        server.signal("USR2");
        let line = server.wait_for_log("serves now");
        let mut words = line.split_whitespace().skip_while(|word| *word != "process");
        Successor(words.nth(1).expect(&line).to_owned())
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", &self.0]).status();
    }
}
