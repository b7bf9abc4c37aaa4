//! What is logged where: no log keeps a request or another log waiting, and what
//! is lost is told.

mod forged;
mod rates;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::config::folder;
use crate::support::{BINARY, Client, PATIENCE, Server, root, test_guest, wait_for};

/// A tenant with `misbehave` at all its paths, and lines of its own.
fn tenant(name: &str, more: &str) -> String {
    let app = test_guest("misbehave");
    format!(
        "[[tenant]]\nname = \"{name}\"\nhosts = [\"{name}.example\"]\n{more}\n\
         [[tenant.route]]\npath = \"/*\"\napp = \"{app}\"\n"
    )
}

fn get(client: &mut Client, host: &str, target: &str) -> u16 {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}.example\r\n\r\n").as_bytes());
    client.read_answer().expect("an answer").status
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default()
}

/// Limits under which a few requests fill what may wait for a log, 4 MiB.
const MUCH: &str = "limits = { log = \"4MiB\", log-rate = \"1GiB/s\", cpu = \"10s\" }";

/// Asks for five times as much as may wait.
fn flood(client: &mut Client, host: &str) {
    for _ in 0..20 {
        assert_eq!(get(client, host, "/unending?kib=1000"), 200);
    }
}

#[test]
fn a_line_is_written_at_once() {
    // Each write to a socket of datagrams is a message.
    let (ours, theirs) = UnixDatagram::pair().expect("sockets");
    ours.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut command = Command::new(BINARY);
    command.args(["--addr", "127.0.0.1:0"]).current_dir(root()).stderr(OwnedFd::from(theirs));
    let mut child = command.spawn().expect("the server starts");
    let mut message = [0; 4_096];
    let count = ours.recv(&mut message).expect("a message");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let said = String::from_utf8_lossy(&message[..count]);
    assert!(said.starts_with("listening on http://127.0.0.1:"), "{said:?}");
    assert!(said.ends_with('\n'), "{said:?}");
}

#[test]
fn a_log_that_nobody_reads_keeps_no_request_and_no_other_log_waiting() {
    let blocked = tenant("blocked", &format!("log = \"fifo\"\n{MUCH}"));
    let toml =
        format!("access-log = {{ path = \"access.log\" }}\n{blocked}{}", tenant("other", ""));
    let folder = folder(&toml);
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    let server = Server::start_in(folder.path(), &[]);
    let mut client = server.connect();
    // Its file is not even opened before there is a reader.
    flood(&mut client, "blocked");
    assert_eq!(get(&mut client, "other", "/print?text=seen"), 200);
    server.wait_for_log("tenant other route /* request");
    wait_for(|| text(folder.path(), "access.log").lines().count() == 21);
    // Once somebody reads, all that waited is there, and what was lost is told.
    let mut lines = BufReader::new(File::open(&fifo).expect("a reader")).lines();
    assert_eq!(get(&mut client, "blocked", "/print?text=again"), 200);
    let lost = lines.find_map(|line| {
        let line = line.expect("a line");
        let (_, lost) = line.split_once(" WARN ")?;
        lost.strip_suffix(" lines were lost")?.parse::<u64>().ok()
    });
    assert!(lost.is_some_and(|lost| lost > 100), "{lost:?}");
}

#[test]
fn a_server_whose_standard_error_is_not_read_goes_on() {
    let toml = format!(
        "access-log = {{ path = \"access.log\" }}\n{}{}",
        tenant("loud", MUCH),
        tenant("quiet", "log = \"quiet.log\"")
    );
    let folder = folder(&toml);
    let mut child = Command::new(BINARY)
        .args(["--addr", "127.0.0.1:0"])
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("a line");
    let address = line.trim().strip_prefix("listening on http://").expect("an address");
    let mut client = Client::connect(address.parse().expect("an address"));
    flood(&mut client, "loud");
    assert_eq!(get(&mut client, "quiet", "/print?text=seen"), 200);
    wait_for(|| text(folder.path(), "quiet.log").contains("guest: seen"));
    wait_for(|| text(folder.path(), "access.log").lines().count() == 21);
    let told = std::thread::spawn(move || {
        stderr.lines().map_while(Result::ok).any(|line| line.ends_with(" lines were lost"))
    });
    // Whatever comes next: what was lost is told behind it.
    wait_for(|| {
        get(&mut Client::connect(address_of(&line)), "loud", "/print?text=again");
        told.is_finished()
    });
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!(told.join().expect("a reader"), "what was lost is told");
}

fn address_of(line: &str) -> std::net::SocketAddr {
    let address = line.trim().strip_prefix("listening on http://").expect("an address");
    address.parse().expect("an address")
}

#[test]
fn an_access_log_that_nobody_reads_is_told_of_in_the_servers_log() {
    let toml = format!("access-log = {{}}\n{}", tenant("a", ""));
    let folder = folder(&toml);
    let mut command = Command::new(BINARY);
    command.current_dir(folder.path()).args(["--addr", "127.0.0.1:0"]).stdout(Stdio::piped());
    let (mut server, mut stdout) = Server::start_with_stdout(&mut command);
    let mut client = server.connect();
    // Each line has 512 bytes of each of these in it.
    let long = "x".repeat(600);
    for _ in 0..3_000 {
        let fields = format!("User-Agent: {long}\r\nReferer: {long}\r\n");
        client
            .send(format!("GET /ok?{long} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n").as_bytes());
        assert_eq!(client.read_answer().map(|answer| answer.status), Some(200));
    }
    let reading = std::thread::spawn(move || {
        let mut all = String::new();
        stdout.read_to_string(&mut all).map(|_| all)
    });
    get(&mut client, "a", "/ok?last");
    server.wait_for_log("standard output: ");
    drop(client);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let all = reading.join().expect("a reader").expect("text");
    // Programs read it: each line is one of a request.
    for line in all.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(line["tenant"], "a");
    }
    assert!(all.lines().count() < 3_001, "some were lost");
}

#[test]
fn d4_a_full_disk_loses_lines_and_nothing_else() {
    let toml =
        format!("access-log = {{ path = \"access.log\" }}\n{}", tenant("a", "log = \"a.log\""));
    let folder = folder(&toml);
    let path = |name: &str| folder.path().join(name);
    // Every write to it fails, as on a full disk.
    std::os::unix::fs::symlink("/dev/full", path("access.log")).expect("a link");
    let server = Server::start_in(folder.path(), &[]);
    let mut client = server.connect();
    assert_eq!(get(&mut client, "a", "/print?text=first"), 200);
    server.wait_for_log("access.log: No space left on device");
    assert_eq!(get(&mut client, "a", "/print?text=second"), 200);
    wait_for(|| text(folder.path(), "a.log").contains("guest: second"));
    fs::remove_file(path("access.log")).expect("the link is removed");
    server.signal("USR1");
    // It is told how many were lost once it goes on, and the cause was told once.
    wait_for(|| {
        get(&mut client, "a", "/ok");
        !text(folder.path(), "access.log").is_empty()
    });
    let mut told = vec![String::new()];
    while !told.iter().any(|line| line.contains("lines were lost")) {
        told.push(server.wait_for_log(""));
    }
    assert!(!told.iter().any(|line| line.contains("No space left")), "{told:?}");
    assert!(text(folder.path(), "access.log").lines().all(|line| line.starts_with('{')));
}

#[test]
fn b2_a_tenant_logs_so_much_in_a_time_and_loses_no_line_of_another() {
    let toml = format!(
        "access-log = {{ path = \"access.log\" }}\n{}{}",
        tenant("loud", "limits = { log-rate = \"16KiB/s\" }"),
        tenant("quiet", "")
    );
    let folder = folder(&toml);
    let mut server = Server::start_in(folder.path(), &[]);
    let mut client = server.connect();
    // Each may log 64 KiB: together far more than a second's.
    let began = std::time::Instant::now();
    for turn in 0..20 {
        assert_eq!(get(&mut client, "loud", "/flood?lines=500"), 200);
        // Failures are told in the server's log: they count, too.
        assert_eq!(get(&mut client, "loud", "/panic"), 500);
        assert_eq!(get(&mut client, "quiet", &format!("/print?text=seen-{turn}")), 200);
    }
    let seconds = began.elapsed().as_secs() + 1;
    drop(client);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let all: Vec<String> = server.log_to_end();
    let of = |name: &'static str| {
        let tag = format!("tenant {name} ");
        all.iter().filter(move |line| line.contains(&tag))
    };
    // A second's at once, a second's in each, and what our own part of a line takes.
    let most = usize::try_from(seconds + 2).expect("seconds") * (16 << 10) * 3 / 2;
    let kept: usize = of("loud").map(|line| line.len() + 1).sum();
    assert!((4 << 10..most).contains(&kept), "{kept} bytes in {seconds} s");
    for turn in 0..20 {
        let seen = format!("guest: seen-{turn}");
        assert_eq!(of("quiet").filter(|line| line.ends_with(&seen)).count(), 2, "{seen}");
    }
    let access = text(folder.path(), "access.log");
    let dropped: u64 = access
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|line| line["tenant"] == "loud")
        .filter_map(|line| line["log_dropped"].as_u64())
        .sum();
    assert!(dropped > 50_000, "{dropped}");
    let total = all.iter().find(|line| line.contains("INFO tenant loud: ")).expect("the totals");
    assert!(total.ends_with(&format!("{dropped} bytes of log dropped")), "{total}");
}

#[test]
fn the_combined_format_cannot_be_forged_and_is_opened_again() {
    let toml = format!(
        "access-log = {{ path = \"access.log\", format = \"combined\" }}\n{}",
        tenant("a", "")
    );
    let folder = folder(&toml);
    let server = Server::start_in(folder.path(), &[]);
    let mut client = server.connect();
    client.send(
        b"GET /a\"b\\c HTTP/1.1\r\nHost: a.example\r\nReferer: \" 200 0 \\\r\nUser-Agent: a\xff\tb\"\r\n\r\n",
    );
    assert_eq!(client.read_answer().map(|answer| answer.status), Some(404));
    wait_for(|| text(folder.path(), "access.log").ends_with('\n'));
    let line = text(folder.path(), "access.log");
    let (before, rest) = line.split_once("] ").expect("a time");
    assert!(before.starts_with("127.0.0.1 - - ["), "{line}");
    let fields = "\"\\x22 200 0 \\x5C\" \"a\\xEF\\xBF\\xBD\\x09b\\x22\"\n";
    assert!(rest.starts_with("\"GET /a\\x22b\\x5Cc HTTP/1.1\" 404 "), "{line}");
    assert!(rest.ends_with(fields) && rest.matches('"').count() == 6, "{line}");
    fs::rename(folder.path().join("access.log"), folder.path().join("access.1")).expect("a move");
    server.signal("USR1");
    wait_for(|| {
        get(&mut client, "a", "/ok");
        !text(folder.path(), "access.log").is_empty()
    });
}

#[test]
fn json_lines_cannot_be_forged() {
    let toml = format!("access-log = {{ path = \"access.log\" }}\n{}", tenant("a", ""));
    let folder = folder(&toml);
    let server = Server::start_in(folder.path(), &[]);
    let mut client = server.connect();
    client.send(b"GET /ok?a=b HTTP/1.1\r\nHost: a.example\r\nUser-Agent: \",\"status\":1,\"x\":\"\\\xff\t\r\n\r\n");
    assert_eq!(client.read_answer().map(|answer| answer.status), Some(200));
    wait_for(|| text(folder.path(), "access.log").ends_with('\n'));
    let line: Value = serde_json::from_str(&text(folder.path(), "access.log")).expect("JSON");
    assert_eq!((&line["status"], &line["instances"]), (&200.into(), &1.into()));
    assert_eq!(line["user_agent"], "\",\"status\":1,\"x\":\"\\\u{fffd}");
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_answer_has_its_line() {
    let toml = format!(
        "access-log = {{ path = \"access.log\" }}\n{}",
        tenant("a", "limits = { cpu = \"60s\" }")
    );
    let folder = folder(&toml);
    let server = Server::start_in(folder.path(), &[]);
    let mut client = server.connect();
    client.send(b"GET /huge?mib=20 HTTP/1.1\r\nHost: a.example\r\n\r\n");
    client.read(100);
    drop(client);
    let mut client = server.connect();
    client.send(b"GET /loop HTTP/1.1\r\nHost: a.example\r\n\r\n");
    server.wait_for_log("began");
    drop(client);
    wait_for(|| text(folder.path(), "access.log").lines().count() == 2);
    let log = text(folder.path(), "access.log");
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_u64()).collect();
    assert!(statuses.contains(&Some(200)) && statuses.contains(&Some(499)), "{log}");
}

#[test]
fn a_request_that_cannot_be_read_has_its_line() {
    let toml = format!("access-log = {{ path = \"access.log\" }}\n{}", tenant("a", ""));
    let folder = folder(&toml);
    let server = Server::start_in(folder.path(), &[]);
    for (request, status) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
                .to_owned(),
            400,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(70_000)), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(500_000)), 431),
    ] {
        let before = text(folder.path(), "access.log").lines().count();
        let mut client = server.connect();
        client.send(request.as_bytes());
        assert_eq!(client.read_answer().map(|answer| answer.status), Some(status));
        drop(client);
        wait_for(|| text(folder.path(), "access.log").lines().count() > before);
        let log = text(folder.path(), "access.log");
        let line: Value = serde_json::from_str(log.lines().last().expect("a line")).expect("JSON");
        assert_eq!((&line["status"], &line["tenant"]), (&status.into(), &Value::Null), "{line}");
        assert_eq!(line["remote"], "127.0.0.1");
    }
}

#[test]
fn what_encoding_an_answer_takes_is_charged_to_its_request() {
    let toml = "access-log = { path = \"access.log\" }\n[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n\
         [[tenant.route]]\npath = \"/*\"\nstatic = \"html\"\n";
    let folder = folder(toml);
    let numbers: String = (0..500_000).map(|number| format!("{number}\n")).collect();
    fs::write(folder.path().join("html/numbers.txt"), &numbers).expect("a file");
    let server = Server::start_in(folder.path(), &[]);
    for (coding, header) in [("identity", None), ("gzip", Some("gzip")), ("br", Some("br"))] {
        let answer =
            server.request("GET", "/numbers.txt", &format!("Accept-Encoding: {coding}\r\n"), b"");
        assert_eq!((answer.status, answer.header("content-encoding")), (200, header));
    }
    wait_for(|| text(folder.path(), "access.log").lines().count() == 3);
    let log = text(folder.path(), "access.log");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let used: Vec<u64> = lines.filter_map(|line| line["cpu_us"].as_u64()).collect();
    assert!(used[0] == 0 && used[1] > 1_000 && used[2] > 1_000, "{used:?}");
}
