//! A signal stops the server: running requests end, and nothing waits for ever.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::support::{BINARY, PATIENCE, Server, signal, test_guest, wait};

fn server(drain: &str) -> Server {
    let limits = ["--max-cpu", "60s", "--max-wall", "60s", "--drain", drain];
    Server::start(&[&["--app", &test_guest("misbehave")], &limits[..]].concat())
}

/// Sends a request, and returns when its guest has begun.
fn begin(server: &Server, target: &str) -> crate::support::Client {
    let mut client = server.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    server.wait_for_log("began");
    client
}

#[test]
fn running_requests_end_within_the_drain_limit() {
    for signal in ["TERM", "INT"] {
        let mut server = server("30s");
        let mut client = begin(&server, "/sleep?ms=1500");
        server.signal(signal);
        let answer = client.read_answer().expect("the running request is answered");
        assert_eq!(answer.text(), "ok\n");
        assert!(client.is_closed());
        assert_eq!(server.wait().code(), Some(0), "{signal}");
    }
}

#[test]
fn guests_that_outlast_the_drain_limit_are_stopped() {
    for guest in ["/loop", "/sleep?ms=60000"] {
        let mut server = server("200ms");
        let mut client = begin(&server, guest);
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0), "{guest}");
        assert!(client.read_answer().is_none(), "{guest}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = server("60s");
    let _client = begin(&server, "/loop");
    server.signal("TERM");
    // The listener is closed once the first signal was seen.
    while std::net::TcpStream::connect(server.address).is_ok() {}
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(130));
}

/// Keeps threads from running for as long as its standard input is open (ptrace(2)).
const FREEZE: &str = "
import ctypes, os, sys
ptrace = ctypes.CDLL(None).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
ptrace.restype = ctypes.c_long
SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000
for thread in map(int, sys.argv[1:]):
    if ptrace(SEIZE, thread, None, None) or ptrace(INTERRUPT, thread, None, None):
        sys.exit(1)
    os.waitpid(thread, WALL)
print('frozen', flush=True)
sys.stdin.read()
";

/// The threads of a process that have this name.
fn threads(process: u32, name: &str) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("Linux");
    let named = tasks.filter_map(|task| {
        let path = task.ok()?.path();
        let is_it = std::fs::read_to_string(path.join("comm")).ok()?.trim() == name;
        is_it.then(|| path.file_name()?.to_str().map(str::to_owned)).flatten()
    });
    named.collect()
}

#[test]
fn a_second_signal_ends_a_server_whose_workers_stand_still() {
    let mut server = server("60s");
    let workers = threads(server.pid(), "tokio-rt-worker");
    assert!(!workers.is_empty());
    let mut command = Command::new("python3");
    command.args(["-c", FREEZE]).args(&workers).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut freezer) = command.spawn() else { return println!("skipped: no python3") };
    let mut said = String::new();
    let output = freezer.stdout.take().expect("standard output is piped");
    BufReader::new(output).read_line(&mut said).expect("a line");
    if said != "frozen\n" {
        return println!("skipped: nothing may stop threads here");
    }
    server.signal("TERM");
    // Neither worker runs: only the handler of the signal can tell that it has come.
    server.signal("INT");
    let stat = format!("/proc/{}/stat", server.pid());
    let has_ended = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "));
    let deadline = Instant::now() + PATIENCE;
    while !has_ended() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let ended = has_ended();
    drop(freezer.stdin.take());
    freezer.wait().expect("the freezer ends");
    assert!(ended, "the process went on after two signals");
    assert_eq!(server.wait().code(), Some(130));
}

#[test]
fn a_server_that_builds_its_apps_is_stopped_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let places = state.join("build/places");
    std::fs::create_dir_all(&places).expect("a folder");
    // Other processes build, and do not end.
    let locks: Vec<_> = (0..256)
        .map(|number| {
            let lock = std::fs::File::create(places.join(number.to_string())).expect("a file");
            lock.lock().expect("nobody holds it");
            lock
        })
        .collect();
    std::fs::write(folder.path().join("app.py"), "app = None\n").expect("a file");
    let mut command = Command::new(BINARY);
    command.args(["--wsgi", "app:app", "--addr", "127.0.0.1:0", "--state", "state"]);
    let mut child =
        command.current_dir(folder.path()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut log = BufReader::new(child.stderr.take().expect("standard error is piped")).lines();
    let waits = log.by_ref().map(|line| line.expect("a text"));
    assert!(waits.into_iter().any(|line| line.contains("other builds run")));
    signal(&child, "TERM");
    assert_eq!(wait(&mut child).code(), Some(0));
    assert_eq!(log.count(), 0);
    drop(locks);
}

#[test]
fn idle_connections_do_not_keep_the_server() {
    let mut server = server("60s");
    let mut client = server.connect();
    assert_eq!(client.get("/ok").status, 200);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(client.is_closed());
}
