//! Limits that need a server to be seen: memory of all tenants, rates of clients,
//! the pool, the cache; what a reload changes of them and what it keeps.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::config::folder;
use crate::hostile::component::{Core, write};
use crate::support::process::{cpu, memory, pass};
use crate::support::{Answer, BINARY, Client, PATIENCE, Server, test_guest, wait_for};

fn send(client: &mut Client, host: &str, target: &str, headers: &str) {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").as_bytes());
}

fn get(server: &Server, host: &str, target: &str) -> Answer {
    let mut client = server.connect();
    send(&mut client, host, target, "");
    client.read_answer().expect("an answer")
}

/// A tenant with `misbehave` at all its paths.
fn tenant(name: &str, more: &str) -> String {
    format!(
        "[[tenant]]\nname = \"{name}\"\nhosts = [\"{name}.example\"]\n{more}\n\
         [[tenant.route]]\npath = \"/*\"\napp = \"{}\"\n",
        test_guest("misbehave")
    )
}

fn is_come_again(answer: &Answer) -> bool {
    (answer.status, answer.header("retry-after")) == (503, Some("1"))
}

#[test]
fn a5_a_hundred_tenants_get_what_the_machine_has_and_the_rest_is_503() {
    let tenants: String = (0..100).map(|number| tenant(&format!("t{number}"), "")).collect();
    let folder = folder(&(tenants + &tenant("good", "")));
    // 128 MiB are left for tenants.
    let bounds = ["--max-server-memory", "144MiB", "--max-connection-memory", "16MiB"];
    let server = Server::start_in(folder.path(), &[&bounds[..], &["--max-cpu", "20s"]].concat());
    // Each may have it by its own limits; there is room for four.
    let ask = |number: usize| {
        let mut client = server.connect();
        send(&mut client, &format!("t{number}.example"), "/hold?mib=28", "");
        client
    };
    let hold = |number| {
        let client = ask(number);
        server.wait_for_log("holds");
        client
    };
    let holding: Vec<Client> = (0..4).map(hold).collect();
    let mut refused: Vec<Client> = (4..100).map(ask).collect();
    for client in &mut refused {
        let answer = client.read_answer().expect("an answer");
        assert!(is_come_again(&answer), "{answer:?}");
    }
    let line = server.wait_for_log("all tenants together have");
    assert!(line.contains("of 134217728 bytes of memory"), "{line}");
    for _ in 0..20 {
        assert_eq!(get(&server, "good.example", "/ok").text(), "ok\n");
    }
    let mut large = server.connect();
    large.send(b"POST /ok HTTP/1.1\r\nHost: good.example\r\nContent-Length: 4000000\r\n\r\n");
    large.send(&vec![b'x'; 4_000_000]);
    assert_eq!(large.read_answer().expect("an answer").status, 200, "there is so much left");
    assert!(memory(&server) < 320 << 20, "{}", memory(&server));
    drop(holding);
    wait_for(|| get(&server, "t99.example", "/fill?mib=100").status == 200);
}

#[test]
fn memory_that_another_tenant_does_not_use_is_taken_back() {
    let reused = |name| tenant(name, "") + "reuse = 1000\n";
    let folder = folder(&(reused("a") + &reused("b")));
    let limits = ["--max-server-memory", "40MiB", "--max-memory", "32MiB"];
    let server = Server::start_in(folder.path(), &limits);
    for host in ["a.example", "b.example", "a.example"] {
        assert_eq!(get(&server, host, "/fill?mib=24").text(), "1\n", "{host}");
    }
}

#[test]
fn limits_that_are_above_what_there_is_are_refused_with_the_numbers() {
    let folder = folder(&tenant("a", ""));
    for (limit, said) in [
        (["--max-server-memory", "900GiB"], "server-memory = 900GiB: the machine"),
        (["--max-server-memory", "64MiB"], "memory = 128MiB: all tenants together have"),
    ] {
        let (code, output) = crate::support::run(folder.path(), &limit);
        assert!(code == Some(1) && output.contains(said), "{output}");
    }
}

#[test]
fn the_rate_of_a_client_is_its_own_and_an_ipv6_network_is_one() {
    let toml = "trusted-proxies = [\"127.0.0.1\"]\n".to_owned()
        + &tenant("a", "limits = { client-rate = \"2/m\" }");
    let folder = folder(&toml);
    let server = Server::start_in(folder.path(), &[]);
    let mut client = server.connect();
    let mut ask = |address: &str| {
        send(&mut client, "a.example", "/ok", &format!("X-Forwarded-For: {address}\r\n"));
        client.read_answer().expect("an answer")
    };
    let statuses = ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"].map(|one| ask(one).status);
    assert_eq!(statuses, [200, 200, 429, 200]);
    let network = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"];
    assert_eq!(network.map(|one| ask(one).status), [200, 200, 429, 200]);
    let after = ask("192.0.2.1");
    let after = after.header("retry-after").and_then(|text| text.parse().ok());
    assert!(after.is_some_and(|seconds: u32| (1..=30).contains(&seconds)));
}

#[test]
fn a_reload_keeps_what_a_tenant_has_used_and_takes_its_new_limits_and_log() {
    let toml = |log: &str, memory: &str| {
        let limits = format!("rate = \"5/m\", memory = \"{memory}\", tenant-memory = \"40MiB\"");
        tenant("a", &format!("log = \"{log}\"\nlimits = {{ {limits} }}"))
    };
    let folder = folder(&toml("one.log", "32MiB"));
    let path = |name: &str| folder.path().join(name);
    let mut server = Server::start_in(folder.path(), &[]);
    assert_eq!(get(&server, "a.example", "/print?text=before").status, 200);
    let mut holding = server.connect();
    send(&mut holding, "a.example", "/hold?mib=24", "");
    wait_for(|| fs::read_to_string(path("one.log")).is_ok_and(|log| log.contains("holds")));
    fs::write(path("myweb.toml"), toml("two.log", "20MiB")).expect("a file");
    server.signal("HUP");
    server.wait_for_log("INFO reloaded");
    // What it holds still counts, and so do its requests.
    assert_eq!(get(&server, "a.example", "/hold?mib=16").status, 507, "of its tenant's memory");
    assert_eq!(get(&server, "a.example", "/fill?mib=24").status, 507, "its new limit");
    assert_eq!(get(&server, "a.example", "/print?text=after").status, 200);
    assert_eq!(get(&server, "a.example", "/ok").status, 429);
    drop(holding);
    server.signal("TERM");
    server.wait_for_log("tenant a: 6 requests");
    assert_eq!(server.wait().code(), Some(0));
    let logs = ["one.log", "two.log"].map(|name| fs::read_to_string(path(name)).expect("a log"));
    assert!(logs[0].contains("guest: before") && !logs[0].contains("after"), "{}", logs[0]);
    assert!(logs[1].contains("guest: after") && !logs[1].contains("before"), "{}", logs[1]);
}

#[test]
fn a_reload_changes_how_many_may_run_and_takes_nobodys_place() {
    let toml =
        |most: usize| tenant("a", &format!("limits = {{ concurrency = {most}, queue = 0 }}"));
    let folder = folder(&toml(2));
    let server = Server::start_in(folder.path(), &[]);
    let change = |most| {
        fs::write(folder.path().join("myweb.toml"), toml(most)).expect("a file");
        server.signal("HUP");
        server.wait_for_log("INFO reloaded");
    };
    let sleep = || {
        let mut client = server.connect();
        send(&mut client, "a.example", "/sleep?ms=60000", "");
        server.wait_for_log("began");
        client
    };
    let sleeping = [sleep(), sleep()];
    assert_eq!(get(&server, "a.example", "/ok").status, 503);
    change(3);
    assert_eq!(get(&server, "a.example", "/ok").status, 200);
    change(1);
    assert_eq!(get(&server, "a.example", "/ok").status, 503);
    drop(sleeping);
    wait_for(|| get(&server, "a.example", "/ok").status == 200);
}

#[test]
fn a_pool_without_a_free_instance_is_503() {
    let app = format!("/={}", test_guest("misbehave"));
    let server = Server::start(&["--app", &app, "--instances", "1"]);
    let mut client = server.connect();
    send(&mut client, "localhost", "/sleep?ms=60000", "");
    server.wait_for_log("began");
    assert!(is_come_again(&server.get("/ok")));
    drop(client);
    wait_for(|| server.get("/ok").status == 200);
}

#[test]
fn a_component_of_two_memories_has_one_place_of_the_pool() {
    let core = Core { memory: "2 10", ..Core::default() };
    let plain = fs::read(core.build("limits-one-memory")).expect("a component");
    let two = write("limits-two-memories", &core.beside(&plain));
    let server = Server::start(&["--app", &format!("/={two}"), "--instances", "1"]);
    for _ in 0..3 {
        assert_eq!(server.get("/app").text(), "ok\n");
    }
}

#[test]
fn memory_that_was_not_given_is_not_charged() {
    // More than its own maximum, a thousand times; then what it may have.
    let grow = "
        (local.set $at (i32.const 1000))
        (loop $again
          (if (i32.ne (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable))
          (local.set $at (i32.sub (local.get $at) (i32.const 1)))
          (br_if $again (local.get $at)))
        (if (i32.eq (memory.grow (i32.const 8)) (i32.const -1)) (then unreachable))";
    let core = Core { memory: "2 10", application: grow, ..Core::default() };
    let app = format!("/={}", core.build("limits-failed-growth"));
    let server = Server::start(&["--app", &app, "--max-memory", "8MiB"]);
    assert_eq!(server.get("/app").text(), "ok\n");
}

#[test]
fn large_tables_are_their_tenants_memory() {
    let core = Core { more: "(table 20000 funcref)".to_owned(), ..Core::default() };
    let app = format!("/={}", core.build("limits-tables"));
    let server = Server::start(&["--app", &app, "--max-tenant-memory", "700KiB"]);
    assert!(is_come_again(&server.get("/app")));
    let server = Server::start(&["--app", &app, "--max-tenant-memory", "900KiB"]);
    assert_eq!(server.get("/app").text(), "ok\n");
}

#[test]
fn what_came_at_once_buys_an_upload_no_time() {
    let server = Server::start(&["--app", &test_guest("misbehave")]);
    let mut client = server.connect();
    client.send(b"POST /ok HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n");
    client.send(&vec![b'x'; 4_000_000]);
    let began = Instant::now();
    assert_eq!(client.read_answer().map(|answer| answer.status), Some(408));
    // At the least rate, what came would be worth two hours.
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

#[test]
fn the_cache_of_files_is_no_larger_than_its_limit() {
    let folder = folder("");
    fs::remove_file(folder.path().join("myweb.toml")).expect("the file");
    for number in 0..400 {
        let path = folder.path().join(format!("html/{number}.bin"));
        fs::write(path, vec![number as u8; 100_000]).expect("a file");
    }
    let server = Server::start_in(folder.path(), &["--static", "html", "--file-cache", "1MiB"]);
    let mut client = server.connect();
    let mut all = || {
        for number in 0..400 {
            assert_eq!(client.get(&format!("/{number}.bin")).body.len(), 100_000);
        }
    };
    all();
    let before = memory(&server);
    all();
    // All of them are 40 MB.
    assert!(memory(&server) < before + (8 << 20) && before < 100 << 20, "{before}");
}

#[test]
fn a_guest_is_gone_before_its_place_is_free() {
    let folder = folder(&tenant(
        "a",
        "limits = { cpu = \"60s\", wall = \"60s\", concurrency = 1, queue-time = \"30s\" }",
    ));
    let server = Server::start_in(folder.path(), &[]);
    for _ in 0..3 {
        let mut client = server.connect();
        send(&mut client, "a.example", "/loop", "");
        server.wait_for_log("began");
        drop(client);
        assert_eq!(get(&server, "a.example", "/ok").status, 200);
        // What waited had the loop's place: no guest runs any more.
        let before = cpu(&server);
        pass(Duration::from_millis(300));
        let used = cpu(&server).saturating_sub(before);
        assert!(used < Duration::from_millis(100), "{used:?} after the client left");
    }
}

#[test]
fn a_guest_that_does_not_yield_when_its_client_leaves_is_stopped_when_it_does() {
    let app = format!("/={}", test_guest("misbehave"));
    let limits = ["--max-cpu", "60s", "--max-memory", "1GiB", "--max-tenant-memory", "2GiB"];
    let server = Server::start(&[&["--app", &app], &limits[..]].concat());
    let mut client = server.connect();
    send(&mut client, "localhost", "/fill-loop?mib=900", "");
    server.wait_for_log("fills");
    drop(client);
    // Nobody else asks for anything: the clock ticks for this guest alone.
    wait_for(|| {
        let before = cpu(&server);
        pass(Duration::from_millis(300));
        cpu(&server).saturating_sub(before) < Duration::from_millis(30)
    });
}

/// Runs the binary with variables.
fn with(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.current_dir(folder).args(arguments).envs(variables.iter().copied());
    command.output().expect("the binary runs")
}

#[test]
fn check_judges_what_would_be_started_with_these_variables() {
    let folder = folder(&(tenant("a", "") + &tenant("b", "")));
    let check = |variables: &[(&str, &str)]| with(folder.path(), variables, &["check"]);
    assert_eq!(check(&[]).status.code(), Some(0));
    for (variable, said) in [
        (("MYWEB_INSTANCES", "10"), "could take all of the server's instances = 10"),
        (("MYWEB_ADDR", "https://127.0.0.1:0"), "no tenant has a certificate"),
        (("MYWEB_MAX_SERVER_MEMORY", "1MiB"), "all tenants together have"),
        (("MYWEB_CONFIG", "other.toml"), "other.toml: no such file"),
    ] {
        let output = check(&[variable]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && error.contains(said), "{variable:?}: {error}");
    }
    let output = check(&[("MYWEB_MAX_CPU", "soon")]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(2) && error.contains("'soon' for 'MYWEB_MAX_CPU'"),
        "{error}"
    );
}

#[test]
fn flags_are_the_defaults_of_tenants_and_leave_what_is_their_own() {
    let own = tenant("own", "limits = { uri = \"64\" }");
    let folder = folder(&(own + &tenant("other", "")));
    let server = Server::start_in(folder.path(), &["--max-uri", "16"]);
    let target = "/ok?longer-than-the-default";
    assert_eq!(get(&server, "own.example", target).status, 200);
    assert_eq!(get(&server, "other.example", target).status, 414);
}

#[test]
fn a_limit_that_is_reached_is_told_with_what_is_allowed_also_in_the_tenants_log() {
    let limits = "log = \"a.log\"\nlimits = { rate = \"2/m\", body = \"10B\", cpu = \"50ms\" }";
    let folder = folder(&tenant("a", limits));
    let server = Server::start_in(folder.path(), &[]);
    let mut client = server.connect();
    client.send(b"POST /ok HTTP/1.1\r\nHost: a.example\r\nContent-Length: 11\r\n\r\nhello world");
    assert_eq!(client.read_answer().expect("an answer").status, 413);
    assert_eq!(get(&server, "a.example", "/loop").status, 504);
    assert_eq!(get(&server, "a.example", "/ok").status, 429);
    for said in
        ["larger than body = 10 bytes", "its limit is 50ms", "more requests than rate = 2/m"]
    {
        let line = server.wait_for_log(said);
        assert!(line.contains("tenant a "), "{line}");
        let kept = || std::fs::read_to_string(folder.path().join("a.log")).unwrap_or_default();
        wait_for(|| kept().contains(said));
    }
}
