//! Many tenants in one process: hosts lead to the right one, and each is held
//! to its own limits.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::config::folder;
use crate::hostile::{Victim, ask as get, good_tenant};
use crate::support::{Client, PATIENCE, Server, run, test_guest, wait_for};

/// Two tenants with `misbehave` at all their paths, and the first's own lines; and
/// a good one.
fn two(of_first: &str) -> (tempfile::TempDir, Server) {
    let app = test_guest("misbehave");
    let tenant = |name: &str, more: &str| {
        format!(
            "[[tenant]]\nname = \"{name}\"\nhosts = [\"{name}.example\", \"*.{name}.example\"]\n{more}\n\
             [[tenant.route]]\npath = \"/*\"\napp = \"{app}\"\nheaders = {{ X-Tenant = \"{name}\" }}\n"
        )
    };
    let toml = tenant("first", of_first) + &tenant("second", "") + &good_tenant();
    let folder = folder(&toml);
    let server = Server::start_in(folder.path(), &["--max-cpu", "300ms", "--max-wall", "20s"]);
    (folder, server)
}

#[test]
fn c3_a_host_leads_to_one_tenant_however_it_is_written() {
    let (_folder, server) = two("");
    Victim::of(&server).beside(1, || {
        for (request, status) in [
            ("GET /ok HTTP/1.1\r\nHost: first.example", 200),
            ("GET /ok HTTP/1.1\r\nHost: FIRST.Example.:80", 200),
            ("GET /ok HTTP/1.1\r\nHost: x.y.first.example", 200),
            ("GET http://first.example/ok HTTP/1.1\r\nHost: first.example", 200),
            ("GET http://FIRST.example./ok HTTP/1.1\r\nHost: first.example", 200),
            ("GET http://second.example/ok HTTP/1.1\r\nHost: first.example", 400),
            ("GET http://first.example:81/ok HTTP/1.1\r\nHost: first.example", 400),
            ("GET /ok HTTP/1.1\r\nHost: first.example\r\nHost: second.example", 400),
            ("GET /ok HTTP/1.1\r\nHost: first.example, second.example", 400),
            ("GET /ok HTTP/1.1\r\nHost: first.example@second.example", 400),
            ("GET /ok HTTP/1.1\r\nHost: first.example..", 400),
            ("GET /ok HTTP/1.1\r\nHost: f\u{ef}rst.example", 400),
            ("GET /ok HTTP/1.1\r\nHost: unknown.example", 404),
            ("GET /ok HTTP/1.1\r\nHost: notfirst.example", 404),
            ("GET /ok HTTP/1.1\r\nHost: ", 404),
        ] {
            let mut client = server.connect();
            client.send(format!("{request}\r\n\r\n").as_bytes());
            let answer = client.read_answer().expect("an answer");
            assert_eq!(answer.status, status, "{request}");
            let first = (status == 200).then_some("first");
            assert_eq!(answer.header("x-tenant"), first, "{request}");
        }
    });
    let second = get(&mut server.connect(), "second.example", "/ok");
    assert_eq!(second.header("x-tenant"), Some("second"));
}

#[test]
fn rates_are_per_tenant_and_say_when_to_come_again() {
    let (_folder, server) = two("limits = { rate = \"2/m\" }");
    let mut client = server.connect();
    assert_eq!(get(&mut client, "first.example", "/ok").status, 200);
    assert_eq!(get(&mut client, "a.first.example", "/ok").status, 200);
    let refused = get(&mut client, "first.example", "/ok");
    let after: u32 =
        refused.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!(refused.status == 429 && (1..=30).contains(&after), "{refused:?}");
    assert_eq!(get(&mut client, "second.example", "/ok").status, 200);
}

#[test]
fn c4_a_tenant_that_takes_all_its_places_is_refused_and_others_are_served() {
    let (_folder, server) = two("limits = { concurrency = 3, queue = 2, queue-time = \"60s\" }");
    let sleeping = sleepers(&server, 3);
    let victim = Victim::of(&server);
    let (sender, answers) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            let (server, sender) = (&server, sender.clone());
            scope.spawn(move || {
                let answer = get(&mut server.connect(), "first.example", "/ok");
                let again = answer.header("retry-after").map(str::to_owned);
                sender.send((answer.status, again)).expect("the test goes on");
            });
        }
        let next = || answers.recv_timeout(PATIENCE).expect("an answer");
        // Two wait, whichever; the others are refused while they do.
        for _ in 0..4 {
            assert_eq!(next(), (503, Some("1".to_owned())));
        }
        victim.is_well();
        drop(sleeping);
        for _ in 0..2 {
            assert_eq!(next(), (200, None), "its turn came");
        }
    });
}

#[test]
fn c4_who_waits_for_a_place_waits_for_so_long_and_no_longer() {
    let (_folder, server) = two("limits = { concurrency = 1, queue = 2, queue-time = \"300ms\" }");
    let _sleeping = sleepers(&server, 1);
    for _ in 0..2 {
        let asked = Instant::now();
        assert_eq!(get(&mut server.connect(), "first.example", "/ok").status, 503);
        // The longest is what no load of a test machine explains.
        let waited = asked.elapsed();
        let so_long = Duration::from_millis(300)..Duration::from_secs(10);
        assert!(so_long.contains(&waited), "{waited:?}");
    }
    assert_eq!(get(&mut server.connect(), "second.example", "/ok").status, 200);
}

/// So many clients of the first tenant whose guests sleep for a minute.
fn sleepers(server: &Server, count: usize) -> Vec<Client> {
    let sleeping = (0..count).map(|_| {
        let mut client = server.connect();
        client.send(b"GET /sleep?ms=60000 HTTP/1.1\r\nHost: first.example\r\n\r\n");
        server.wait_for_log("began");
        client
    });
    sleeping.collect()
}

#[test]
fn a5_the_memory_of_a_tenant_is_bounded_over_all_its_instances() {
    let (_folder, server) = two("limits = { memory = \"16MiB\", tenant-memory = \"20MiB\" }");
    let mut client = server.connect();
    let mut holding = server.connect();
    holding.send(b"GET /hold?mib=12 HTTP/1.1\r\nHost: first.example\r\n\r\n");
    server.wait_for_log("holds");
    assert_eq!(get(&mut client, "first.example", "/hold?mib=12").status, 507);
    assert_eq!(get(&mut client, "first.example", "/ok").status, 200);
    assert_eq!(get(&mut client, "second.example", "/huge?mib=20").status, 200);
    // A body counts, too.
    let body = vec![b'x'; 8 << 20];
    let head = format!(
        "POST /ok HTTP/1.1\r\nHost: first.example\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(&[head.as_bytes(), &body].concat());
    assert_eq!(client.read_answer().expect("an answer").status, 503);
}

#[test]
fn idle_instances_of_one_app_make_room_for_another() {
    let app = test_guest("misbehave");
    let arguments = [
        "--app",
        &format!("/a={app}"),
        "--app",
        &format!("/b={app}"),
        "--reuse",
        "1000",
        "--instances",
        "2",
        "--max-concurrency",
        "2",
    ];
    let server = Server::start(&arguments);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(server.get("/a/sleep?ms=100").status, 200));
        }
    });
    assert_eq!(server.get("/b/ok").status, 200);
}

#[test]
fn idle_instances_of_one_app_give_their_memory_to_another_of_the_tenant() {
    let app = test_guest("misbehave");
    let route = |path: &str, reuse: u32| {
        format!("[[tenant.route]]\npath = \"{path}/*\"\napp = {app:?}\nreuse = {reuse}\n")
    };
    let limits = "limits = { memory = \"16MiB\", tenant-memory = \"20MiB\" }\n";
    let tenant = "[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n".to_owned() + limits;
    let folder = folder(&(tenant + &route("/a", 1_000) + &route("/b", 2_000)));
    let server = Server::start_in(folder.path(), &[]);
    assert_eq!(server.get("/a/grow").status, 200, "it keeps all of its 16 MiB");
    assert_eq!(server.get("/b/fill?mib=8").text(), "1\n");
    assert_eq!(server.get("/a/grow").status, 200);
    let body = vec![b'x'; 8 << 20];
    assert_eq!(server.request("POST", "/b/ok", "", &body).status, 200);
}

#[test]
fn a_tenant_whose_guests_do_not_yield_does_not_hold_up_another() {
    // One that has waited first is not found out by its first poll.
    for fault in ["/fill?mib=100", "/nap-fill?mib=100"] {
        beside_guests_that_do_not_yield(fault);
    }
}

fn beside_guests_that_do_not_yield(fault: &str) {
    let (_folder, server) = two("limits = { tenant-memory = \"4GiB\", cpu = \"10s\" }");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = server.connect();
                while !over.load(Relaxed) {
                    assert_eq!(get(&mut client, "first.example", fault).status, 200);
                }
            });
        }
        let mut client = server.connect();
        let began = Instant::now();
        for _ in 0..200 {
            assert_eq!(get(&mut client, "second.example", "/ok").status, 200);
        }
        over.store(true, Relaxed);
        // Alone it takes 20 ms; behind guests that hold up everyone, minutes.
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
}

#[test]
fn a_component_that_starts_above_its_limit_is_refused() {
    let app = test_guest("misbehave");
    let folder = folder(&format!(
        "[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n[[tenant.route]]\npath = \"/*\"\n\
         app = {app:?}\nlimits = {{ memory = \"64KiB\" }}\n"
    ));
    let (code, output) = run(folder.path(), &["check"]);
    assert_eq!(code, Some(1));
    assert!(output.contains("64KiB are allowed; raise the memory limit"), "{output}");
}

#[test]
fn each_request_has_a_line_in_the_access_log() {
    let app = test_guest("misbehave");
    let toml = "[access-log]\npath = \"access.log\"\n[[tenant]]\nname = \"a\"\nhosts = [\"a.example\"]\nlog = \"a.log\"\n\
         [limits]\ncpu = \"100ms\"\n";
    let route = format!(
        "[[tenant.route]]\npath = \"/app/*\"\napp = \"{app}\"\nlimits = {{ log = \"1KiB\" }}\n"
    );
    let toml = toml.replace("[limits]", &format!("{route}[limits]"));
    let folder = folder(&toml);
    let mut server = Server::start_in(folder.path(), &[]);
    let mut client = server.connect();
    let said = get(&mut client, "a.example", "/app/print?text=a%0d%1b%5b31mb");
    assert_eq!(said.status, 200);
    assert_eq!(get(&mut client, "a.example", "/app/flood?lines=1000").status, 200);
    assert_eq!(get(&mut client, "a.example", "/app/loop").status, 504);
    assert_eq!(get(&mut client, "b.example", "/app/ok\"").status, 404);
    let current = folder.path().join("access.log");
    wait_for(|| fs::read_to_string(&current).is_ok_and(|log| log.lines().count() == 4));
    fs::rename(&current, folder.path().join("access.1")).expect("a move");
    server.signal("USR1");
    // The next line is in a new file: its arrival shows that it was opened again.
    wait_for(|| {
        get(&mut server.connect(), "a.example", "/app/ok");
        current.exists()
    });
    drop(client);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let log = fs::read_to_string(folder.path().join("access.1")).expect("the access log");
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["tenant"], "a");
    assert_eq!(lines[0]["route"], "/app/*");
    assert_eq!(lines[0]["bytes_out"], 3);
    assert!(lines[0]["memory"].as_u64().is_some_and(|bytes| bytes >= 1 << 20), "{}", lines[0]);
    assert!(lines[1]["log_dropped"].as_u64().is_some_and(|bytes| bytes > 0), "{}", lines[1]);
    assert_eq!(lines[2]["status"], 504);
    assert!(lines[2]["cpu_us"].as_u64().is_some_and(|cpu| cpu >= 100_000), "{}", lines[2]);
    assert_eq!((&lines[3]["tenant"], &lines[3]["status"]), (&serde_json::Value::Null, &404.into()));
    let guests = fs::read_to_string(folder.path().join("a.log")).expect("the tenant's log");
    assert!(guests.contains("tenant a route /app/* request "), "{guests}");
    assert!(guests.contains("guest: a\\r\\u{1b}[31mb"), "{guests}");
    assert!(guests.contains("bytes of output dropped"), "{guests}");
}

#[test]
fn redirects_take_over_the_rest() {
    let toml = "[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n[[tenant.route]]\npath = \"/old/*\"\nredirect = \"/new/*\"\nstatus = 301\n";
    let folder = folder(toml);
    let server = Server::start_in(folder.path(), &[]);
    let answer = server.get("/old/a%20b?c=d");
    assert_eq!((answer.status, answer.header("location")), (301, Some("/new/a%20b?c=d")));
}

#[test]
fn c6_a_frozen_clock_stands_still_while_a_request_runs() {
    let (_folder, server) = two("clock = \"frozen\"");
    Victim::of(&server).beside(1, || {
        let mut client = server.connect();
        assert_eq!(get(&mut client, "first.example", "/now").text(), "0\n");
        assert_ne!(get(&mut client, "second.example", "/now").text(), "0\n");
        let first = get(&mut client, "first.example", "/time").text().to_owned();
        wait_for(|| get(&mut server.connect(), "first.example", "/time").text() != first);
        assert_eq!(get(&mut client, "first.example", "/sleep?ms=50").text(), "ok\n");
    });
}

#[test]
fn c2_instances_are_reused_by_their_own_tenant_only() {
    let app = test_guest("misbehave");
    let tenant = |name: &str, reuse: u32| {
        format!(
            "[[tenant]]\nname = \"{name}\"\nhosts = [\"{name}.example\"]\n\
             [[tenant.route]]\npath = \"/*\"\napp = \"{app}\"\nreuse = {reuse}\n"
        )
    };
    let tenants = tenant("first", 100) + &tenant("second", 100) + &tenant("fresh", 1);
    let folder = folder(&(tenants + &good_tenant()));
    let server = Server::start_in(folder.path(), &[]);
    Victim::of(&server).beside(1, || {
        let mut client = server.connect();
        let mut calls = |host| get(&mut client, host, "/calls").text().to_owned();
        assert_eq!([calls("first.example"), calls("first.example")], ["1\n", "2\n"]);
        assert_eq!(calls("second.example"), "1\n");
        assert_eq!([calls("fresh.example"), calls("fresh.example")], ["1\n", "1\n"]);
    });
}
