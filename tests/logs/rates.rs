//! Rows F4 and F5: whatever requests do after their head, a tenant's log keeps to its
//! rate, and the access log to its own.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use super::text;
use crate::config::folder;
use crate::http2::Frames;
use crate::support::{Client, PATIENCE, Server, test_guest, wait_for};

/// The versions of `wasi:http`.
const GUESTS: [&str; 2] = ["wasi_http_02", "wasi_http_03"];

/// The log rate of the tenant that fails, in bytes a second.
const RATE: usize = 1 << 10;

/// Requests of each kind.
const TIMES: usize = 1_000;

/// A site with a tenant that fails, and one that prints.
fn site(guest: &str, more: &str) -> String {
    let (failing, quiet) = (test_guest(guest), test_guest("misbehave"));
    format!(
        "access-log = {{ path = \"access.log\" }}\nlimits = {{ send-time = \"300ms\" }}\n\
         [[tenant]]\nname = \"loud\"\nhosts = [\"*\"]\nlog = \"loud.log\"\n\
         limits = {{ log-rate = \"1KiB/s\", queue = 10000, queue-time = \"60s\" }}\n\
         [[tenant.route]]\npath = \"/*\"\napp = \"{failing}\"\n{more}\n\
         [[tenant]]\nname = \"quiet\"\nhosts = [\"quiet.example\"]\n\
         [[tenant.route]]\npath = \"/*\"\napp = \"{quiet}\"\n"
    )
}

/// Asks for a target again and again, by several clients at once, and reads each
/// answer as far as it comes.
fn ask(server: &Server, target: &str, times: usize) {
    const CLIENTS: usize = 8;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                for _ in 0..times / CLIENTS {
                    let mut client = server.connect();
                    let head = format!(
                        "GET {target} HTTP/1.1\r\nHost: loud\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n"
                    );
                    client.send(head.as_bytes());
                    client.read_to_end();
                }
            });
        }
    });
}

/// Asks for an answer without end, and leaves once it has begun.
fn leave(server: &Server, times: usize) {
    for _ in 0..times {
        let mut client = server.connect();
        client.send(b"GET /endless HTTP/1.1\r\nHost: loud\r\n\r\n");
        client.read(100);
    }
}

/// Asks for answers without end over HTTP/2, and resets each once it has begun.
fn reset(server: &Server, times: usize) {
    for _ in 0..times / 50 {
        let stream = TcpStream::connect(server.address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut client = Frames::over(Box::new(stream));
        for number in 0..50 {
            let stream: u32 = number * 2 + 1;
            client.get(stream, "/endless");
            client.status(stream).expect("an answer");
            let cancel = [&[0, 0, 4, 3, 0][..], &stream.to_be_bytes(), &[0, 0, 0, 8]].concat();
            client.send(&cancel);
        }
    }
}

/// Asks for answers without end, and takes none of them until the server gives up:
/// then each has its line in the access log.
fn stall(server: &Server, folder: &Path, times: usize) {
    const AT_ONCE: usize = 50;
    let ended = || text(folder, "access.log").matches("/endless").count();
    for _ in 0..times / AT_ONCE {
        let before = ended();
        let mut clients: Vec<Client> = (0..AT_ONCE).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(b"GET /endless HTTP/1.1\r\nHost: loud\r\n\r\n");
        }
        wait_for(|| ended() == before + AT_ONCE);
    }
}

/// Runs an attack in a server of its own, and asserts that its tenant's logs are
/// within the rate, that the rest is counted if each request `fails`, and that another tenant lost no line.
fn assert_bounded(
    name: &str,
    guest: &str,
    more: &str,
    fails: bool,
    attack: impl Fn(&Server, &Path),
) {
    let folder = folder(&site(guest, more));
    let mut server = Server::start_in(folder.path(), &[]);
    let began = Instant::now();
    for turn in 0..4 {
        attack(&server, folder.path());
        let mut client = server.connect();
        let get = format!("GET /print?text=seen-{turn} HTTP/1.1\r\nHost: quiet.example\r\n\r\n");
        client.send(get.as_bytes());
        assert_eq!(client.read_answer().map(|answer| answer.status), Some(200), "{name}");
    }
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{name}");
    // A second's bytes at once and in each second, and the line that went beyond.
    let seconds = usize::try_from(began.elapsed().as_secs()).expect("seconds") + 2;
    let most = seconds * RATE + 512;
    let lines = server.log_to_end();
    let of_server: usize =
        lines.iter().filter(|line| line.contains("tenant loud ")).map(|line| line.len() + 1).sum();
    let own = text(folder.path(), "loud.log");
    assert!(of_server <= most, "{name}: {of_server} bytes in {seconds} s");
    assert!(own.len() <= most, "{name}: {} bytes in {seconds} s", own.len());
    assert!(!fails || own.lines().count() > 2, "{name}: {own}");
    for turn in 0..4 {
        let seen = format!("guest: seen-{turn}");
        assert!(lines.iter().any(|line| line.ends_with(&seen)), "{name}: {seen}");
    }
    let totals = lines.iter().find(|line| line.contains("INFO tenant loud: ")).expect("totals");
    let dropped =
        totals.strip_suffix(" bytes of log dropped").and_then(|line| line.rsplit(' ').next());
    let dropped: usize = dropped.and_then(|number| number.parse().ok()).expect("a number");
    assert!(!fails || dropped > 10_000, "{name}: {totals}");
}

#[test]
fn f4_answers_that_break_off_are_logged_within_the_rate() {
    for guest in GUESTS {
        for target in [
            "/dropped",
            "/unfinished",
            "/trap-after-head",
            "/trap-at-once",
            "/exit-after-head",
            "/length?declared=9&sent=5&ms=1",
            "/length?declared=5&sent=9&ms=1",
            "/trailers?name=x&times=101&ms=1",
            "/no-answer",
            "/error-answer",
        ] {
            let name = format!("{guest} {target}");
            // The wall limit ends those that do not end themselves.
            let more = if target == "/unfinished" { "limits = { wall = \"50ms\" }" } else { "" };
            assert_bounded(&name, guest, more, true, |server, _| ask(server, target, TIMES / 4));
        }
    }
}

#[test]
fn f4_answers_of_shared_instances_that_break_off_are_logged_within_the_rate() {
    let more = "reuse = 1000\nreuse-concurrency = 8";
    for target in ["/trap-after-head", "/dropped?ms=1", "/length?declared=9&sent=5&ms=1"] {
        assert_bounded(target, GUESTS[1], more, true, |server, _| ask(server, target, TIMES / 4));
    }
}

#[test]
fn f4_clients_that_leave_are_logged_within_the_rate() {
    for guest in GUESTS {
        let name = |how: &str| format!("{guest} {how}");
        assert_bounded(&name("leaves"), guest, "", false, |server, _| leave(server, TIMES / 4));
        assert_bounded(&name("resets"), guest, "", false, |server, _| reset(server, TIMES / 4));
        assert_bounded(&name("stalls"), guest, "", false, |server, folder| {
            stall(server, folder, TIMES / 10);
        });
    }
}

#[test]
fn f5_fields_of_the_access_log_are_cut_and_its_bytes_have_a_rate() {
    for format in ["json", "combined"] {
        let app = test_guest("misbehave");
        let toml = format!(
            "access-log = {{ path = \"access.log\", format = \"{format}\" }}\n\
             [limits]\naccess-log-rate = \"16KiB/s\"\n\
             [[tenant]]\nname = \"a\"\nhosts = [\"a.example\"]\n\
             [[tenant.route]]\npath = \"/*\"\napp = \"{app}\"\n\
             [[tenant]]\nname = \"b\"\nhosts = [\"b.example\"]\n\
             [[tenant.route]]\npath = \"/*\"\napp = \"{app}\"\n"
        );
        let folder = folder(&toml);
        let mut server = Server::start_in(folder.path(), &[]);
        let began = Instant::now();
        let mut client = server.connect();
        let long = "\u{7f}\"\\".repeat(1_000);
        for host in ["a.example", "nobody.example"] {
            for _ in 0..100 {
                let target = format!("/none?{}", "x".repeat(5_000));
                client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n").as_bytes());
                let fields = format!(
                    "User-Agent: {0}\r\nReferer: {0}\r\n\r\n",
                    long.replace('\u{7f}', "\u{e9}")
                );
                client.send(fields.as_bytes());
                client.read_answer().expect("an answer");
            }
        }
        // Another tenant's lines are all there.
        for number in 0..10 {
            let get = format!("GET /ok?b={number} HTTP/1.1\r\nHost: b.example\r\n\r\n");
            client.send(get.as_bytes());
            assert_eq!(client.read_answer().map(|answer| answer.status), Some(200));
        }
        wait_for(|| text(folder.path(), "access.log").contains("/ok?b=9"));
        drop(client);
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0));
        let seconds = usize::try_from(began.elapsed().as_secs()).expect("seconds") + 2;
        let log = text(folder.path(), "access.log");
        let most = 2 * (seconds * (16 << 10) + 3_000) + 10 * 1_000;
        assert!(log.len() <= most, "{format}: {} bytes in {seconds} s", log.len());
        assert!((0..10).all(|number| log.contains(&format!("/ok?b={number}"))), "{log}");
        for line in log.lines() {
            assert!(line.len() < 2_500, "{} bytes: {line}", line.len());
            if format == "json" {
                let line: Value = serde_json::from_str(line).expect("JSON");
                let uri = line["uri"].as_str().expect("a target");
                let is_cut = uri.ends_with("...[5006 bytes]");
                assert!(uri.len() <= 512 && is_cut == uri.starts_with("/none"), "{uri}");
            }
        }
        let log = server.log_to_end();
        let said = |text: &str| log.iter().any(|line| line.contains(text));
        assert!(said(" lines of the access log dropped, "), "{log:?}");
    }
}

#[test]
fn f5_dropped_lines_of_the_access_log_are_reported_with_their_number() {
    let toml = format!(
        "access-log = {{ path = \"access.log\" }}\n\
         [[tenant]]\nname = \"a\"\nhosts = [\"a.example\"]\n\
         limits = {{ access-log-rate = \"1KiB/s\" }}\n\
         [[tenant.route]]\npath = \"/*\"\napp = \"{}\"\n",
        test_guest("misbehave")
    );
    let folder = folder(&toml);
    let server = Server::start_in(folder.path(), &[]);
    let mut client = server.connect();
    let mut asked = 0;
    // The report comes with a later line that is within the rate.
    let report = loop {
        client.send(b"GET /ok HTTP/1.1\r\nHost: a.example\r\n\r\n");
        client.read_answer().expect("an answer");
        asked += 1;
        let log = server.log_so_far();
        if let Some(line) = log.into_iter().find(|line| line.contains("access-log-rate")) {
            break line;
        }
    };
    let said = " lines of the access log dropped: over access-log-rate = 1KiB/s";
    let (_, dropped) =
        report.strip_suffix(said).and_then(|line| line.rsplit_once(' ')).expect(&report);
    let dropped: usize = dropped.parse().expect("a number");
    let written = text(folder.path(), "access.log").lines().count();
    assert!(dropped + written <= asked + 1 && dropped > 0, "{dropped} {written} {asked}");
    assert!(report.contains("WARN tenant a: "), "{report}");
}

#[test]
fn f5_lines_for_developers_have_a_rate() {
    let toml = "[[tenant]]\nname = \"a\"\nhosts = [\"a.example\"]\n\
                limits = { log-rate = \"1KiB/s\" }\n\
                [[tenant.route]]\npath = \"/*\"\nstatic = \"html\"\n";
    let folder = folder(&format!("[limits]\nlog-rate = \"1KiB/s\"\n{toml}"));
    let mut command = Command::new(crate::support::BINARY);
    command.current_dir(folder.path()).env("MYWEB_LOG", "debug");
    let mut server = Server::start_by(&mut command, &[]);
    let began = Instant::now();
    for host in ["a.example", "nobody.example"] {
        let mut client = server.connect();
        for _ in 0..TIMES {
            client.send(format!("GET /none HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
            assert_eq!(client.read_answer().map(|answer| answer.status), Some(404));
        }
    }
    for _ in 0..TIMES {
        server.connect().send(b"nonsense\r\n\r\n");
    }
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let seconds = usize::try_from(began.elapsed().as_secs()).expect("seconds") + 2;
    let log = server.log_to_end();
    let bytes = |text: &str| -> usize {
        log.iter()
            .filter(|line| line.contains("DEBUG") && line.contains(text))
            .map(String::len)
            .sum()
    };
    // One rate for the tenant, and one for what is about none.
    assert!(bytes("") <= 2 * seconds * (1 << 10) + 1_000, "{} in {seconds} s", bytes(""));
    assert!(bytes("tenant a ") > 0 && bytes("DEBUG request ") > 0);
}
