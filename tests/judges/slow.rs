//! slowhttptest: a thousand connections that are as slow as they can be. The
//! service stays, and they are closed.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{is_there, tool};
use crate::support::process::descriptors;
use crate::support::{Server, test_guest, wait_for};

/// Connections of each attack.
const CONNECTIONS: usize = 1_000;

/// All are closed within this time.
const CLOSED: Duration = Duration::from_secs(60);

/// An attack: its name, what is asked for, and its flags.
struct Attack {
    name: &'static str,
    path: &'static str,
    flags: Vec<&'static str>,
}

/// Slow heads, slow bodies, slow readers, and many ranges. A reader takes this
/// many bytes a second.
fn attacks(reads: &'static str) -> [Attack; 4] {
    let attack = |name, path, flags: &[&'static str]| Attack { name, path, flags: flags.to_vec() };
    let small_window = ["-w", "256", "-y", "512", "-n", "1", "-k", "3", "-z", reads];
    [
        attack("heads", "/large.bin", &["-H", "-i", "10"]),
        attack("bodies", "/echo/", &["-B", "-i", "10", "-s", "8192"]),
        attack("readers", "/large.bin", &[&["-X"], &small_window[..]].concat()),
        attack("ranges", "/large.bin", &["-R", "-t", "HEAD", "-a", "5", "-b", "3000"]),
    ]
}

/// Attacks a server of its own, and asks it for a file meanwhile.
fn attack(attack: &Attack, limits: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("large.bin"), vec![b'x'; 2 << 20]).expect("a file");
    fs::write(folder.path().join("small.txt"), "small").expect("a file");
    let echo = format!("/echo={}", test_guest("echo"));
    let server =
        Server::start_in(folder.path(), &[&["--app", &echo, "--static", "."], limits].concat());
    let before = descriptors(&server);
    let began = Instant::now();
    let connections = CONNECTIONS.to_string();
    let mut child = tool("slowhttptest")
        .args(["-c", &connections, "-r", "500", "-p", "5", "-l", "60", "-g", "-o", "said"])
        .args(&attack.flags)
        .args(["-u", &format!("http://{}{}", server.address, attack.path)])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("slowhttptest");
    let mut slowest = Duration::ZERO;
    while child.try_wait().expect("a process").is_none() {
        let asked = Instant::now();
        assert_eq!(server.get("/small.txt").text(), "small", "{}", attack.name);
        slowest = slowest.max(asked.elapsed());
    }
    let ended = began.elapsed();
    let most = was_available(attack.name, folder.path());
    wait_for(|| descriptors(&server) <= before + 4);
    println!(
        "{}: over after {ended:.1?}, slowest answer {slowest:.1?}, {most} at once",
        attack.name
    );
    assert!(ended < CLOSED, "{}: not all connections are closed after {ended:?}", attack.name);
}

/// Whether slowhttptest says that the service was there all the time, and that
/// it has closed all connections. How many there were at the same time.
fn was_available(name: &str, folder: &Path) -> usize {
    let said = fs::read_to_string(folder.join("said.csv")).expect("a report");
    let mut most = 0;
    let mut closed = 0;
    for line in said.lines().skip(1) {
        let numbers: Vec<usize> = line.split(',').filter_map(|text| text.parse().ok()).collect();
        let [_, gone, _, connected, available] = numbers[..] else { panic!("{name}: {line}") };
        assert!(available > 0, "{name}: the service was not available: {line}");
        most = most.max(connected);
        closed = gone;
    }
    assert!(closed + most >= CONNECTIONS / 2, "{name}: it was no attack: {said}");
    most
}

fn all(reads: &'static str, limits: &[&str]) {
    if !is_there("slowhttptest") {
        return;
    }
    std::thread::scope(|scope| {
        for one in attacks(reads) {
            scope.spawn(move || attack(&one, limits));
        }
    });
}

#[test]
fn e2_e3_e4_slow_clients_are_closed_and_the_service_stays() {
    let limits = ["header", "body", "send", "idle"].map(|name| format!("--max-{name}-time=2s"));
    all("200", &limits.each_ref().map(String::as_str));
}

#[test]
#[ignore = "a minute: with `cargo xtask test --long`"]
fn e2_e3_e4_slow_clients_are_closed_within_a_minute_by_the_default_limits() {
    all("100", &[]);
}
