//! `cargo xtask bench isolation`: what a tenant notices of what another does.

#![allow(clippy::disallowed_methods, reason = "a load keeps to its times")]

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;

use super::open_loop::{connect, get};
use super::peers::{self, Site};
use super::process::Server;
use super::victim::{self, Attacker, Victim};

/// The victim's requests a second, a fraction of what the server can do.
const RATE: u32 = 1_000;

/// Something that a tenant does to others.
struct Attack {
    name: &'static str,
    host: &'static str,
    path: &'static str,
    clients: usize,
    kind: Kind,
}

enum Kind {
    /// Asks again and again.
    Requests,
    /// Announces a body and sends a byte now and then.
    SlowBodies,
    /// Asks once and waits.
    Waiting,
}

/// The attacks, for a machine with so many cores.
fn attacks(cores: usize) -> [Attack; 5] {
    let host = "attacker.example";
    let attack = |name, path, clients, kind| Attack { name, host, path, clients, kind };
    [
        attack("infinite loops", "/loop", 8 * cores, Kind::Requests),
        attack("allocation bombs", "/allocate", 8 * cores, Kind::Requests),
        attack("log floods", "/flood?lines=100000", 8 * cores, Kind::Requests),
        attack("slow bodies", "/ok", 500, Kind::SlowBodies),
        attack("10,000 sleepers", "/sleep?ms=60000", 10_000, Kind::Waiting),
    ]
}

impl Attacker for Attack {
    fn name(&self) -> &'static str {
        self.name
    }

    fn clients(&self) -> usize {
        self.clients
    }

    fn run(&self, address: SocketAddr, stop: &AtomicBool, ready: &AtomicUsize) {
        let host = self.host;
        if let Kind::Requests = self.kind {
            thread::scope(|scope| {
                for _ in 0..self.clients {
                    scope.spawn(|| {
                        ready.fetch_add(1, Relaxed);
                        while !stop.load(Relaxed) {
                            let Ok(mut stream) = connect(address) else { continue };
                            while !stop.load(Relaxed) && get(&mut stream, host, self.path).is_ok() {
                            }
                        }
                    });
                }
            });
            return;
        }
        let length =
            if let Kind::SlowBodies = self.kind { "Content-Length: 1000000\r\n" } else { "" };
        let head = format!("GET {} HTTP/1.1\r\nHost: {host}\r\n{length}\r\n", self.path);
        let mut held = Vec::new();
        for _ in 0..self.clients {
            if let Ok(mut stream) = connect(address) {
                let _ = stream.get_mut().write_all(head.as_bytes());
                held.push(stream);
            }
        }
        ready.store(self.clients, Relaxed);
        while !stop.load(Relaxed) {
            thread::sleep(Duration::from_millis(100));
            if let Kind::SlowBodies = self.kind {
                for stream in &mut held {
                    let _ = stream.get_mut().write_all(b"x");
                }
            }
        }
    }
}

/// Measures, prints, and writes `target/bench/isolation.json`. An older server, if
/// one is named, is measured in turn with ours.
pub(crate) fn run(older: Option<&Path>) -> Result<()> {
    let cores = thread::available_parallelism()?.get();
    let site = Site::new()?;
    exactness(&site)?;
    let servers = victim::servers(&site, older, &config(&site))?;
    let mut records = Vec::new();
    println!("\nThe victim at {RATE} requests a second, beside:\n");
    victim::heading();
    let target = Victim { host: "victim.example", path: "/sayhello", rate: RATE };
    for attack in attacks(cores) {
        records.extend(victim::beside(&servers, &attack, &target)?);
    }
    let [loops, ..] = attacks(cores);
    let own = Attack { name: "loops of its own tenant", ..loops };
    let target = Victim { host: "attacker.example", path: "/good/sayhello", rate: RATE };
    records.extend(victim::beside(&servers, &own, &target)?);
    if let Some(peer) = peers::wasmtime_serve_with_timeout(&site) {
        let [loops, ..] = attacks(cores);
        let loops = Attack { clients: 2, host: "localhost", ..loops };
        let target = Victim { host: "localhost", path: "/", rate: RATE };
        let servers = [("wasmtime serve".to_owned(), peer)];
        records.extend(victim::beside(&servers, &loops, &target)?);
    }
    fs::write("target/bench/isolation.json", serde_json::to_string_pretty(&records)?)?;
    println!("\n{} Also in target/bench/isolation.json.", victim::LEGEND);
    let missed = missed(&records);
    if missed.is_empty() { Ok(()) } else { bail!("not as promised: {}", missed.join("; ")) }
}

/// What the victim lost that docs/specification.md promises it.
fn missed(records: &[Value]) -> Vec<String> {
    let ours = records.chunks_exact(2).filter(|pair| pair[0]["server"] == "myweb");
    let mut missed = Vec::new();
    for pair in ours {
        let [alone, beside] =
            [&pair[0], &pair[1]].map(|record| |key: &str| record[key].as_f64().unwrap_or(f64::NAN));
        let attack = &pair[1]["beside"];
        if beside("errors") != 0.0 {
            missed.push(format!("beside {attack}, {} errors", beside("errors")));
        }
        let kept = beside("per_second") / alone("per_second");
        let later = beside("p99_ms") - alone("p99_ms");
        if attack == "infinite loops" && !(kept >= 0.9 && later <= 3.0) {
            missed.push(format!("beside {attack}, {kept:.2} of the rate, {later:.1} ms later"));
        }
    }
    missed
}

const CPU_MS: f64 = 200.0;
const WALL_MS: f64 = 500.0;
const MEMORY: f64 = 16_777_216.0;

/// What is charged, beside what is allowed, as the access log has it.
fn exactness(site: &Site) -> Result<()> {
    let peer = peers::tenants(site, &config(site))?;
    let log = peer.directory.join("access.log");
    fs::write(&log, "")?;
    let server = Server::start_on_all_cores(&peer)?;
    let mut stream = connect(server.address()?)?;
    for path in ["/loop", "/sleep?ms=60000", "/grow"] {
        for _ in 0..10 {
            get(&mut stream, "exact.example", path)?;
        }
    }
    drop(stream);
    let lines = loop {
        let lines = fs::read_to_string(&log)?;
        if lines.lines().count() >= 30 {
            break lines;
        }
        thread::sleep(Duration::from_millis(10));
    };
    let lines: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let most = |path: &str, key: &str, least: bool| {
        let of_path = lines.iter().filter(|line| line["uri"].as_str() == Some(path));
        let figures = of_path.filter_map(|line| line[key].as_f64());
        if least { figures.fold(f64::MAX, f64::min) } else { figures.fold(0.0, f64::max) }
    };
    println!("\n{:10}{:>12}{:>14}{:>14}", "limit", "allowed", "least used", "most used");
    for (name, path, key, unit, allowed) in [
        ("CPU ms", "/loop", "cpu_us", 1e3, CPU_MS),
        ("wall ms", "/sleep?ms=60000", "wall_us", 1e3, WALL_MS),
        ("memory B", "/grow", "memory", 1.0, MEMORY),
    ] {
        let (least, most) = (most(path, key, true) / unit, most(path, key, false) / unit);
        println!("{name:10}{allowed:>12.0}{least:>14.2}{most:>14.2}");
        if !most.is_finite() || most == 0.0 {
            bail!("{name} was not measured");
        }
    }
    Ok(())
}

/// The tenants: a victim, an attacker, and one whose limits are measured.
fn config(site: &Site) -> String {
    let tenant = |name: &str, app: &str, limits: &str| {
        format!(
            "[[tenant]]\nname = \"{name}\"\nhosts = [\"{name}.example\"]\nlog = \"{name}.log\"\n\
             limits = {{ {limits} }}\n[[tenant.route]]\npath = \"/*\"\napp = \"{app}\"\n"
        )
    };
    let misbehave = site.test_guest("misbehave");
    let exact = format!("cpu = \"{CPU_MS}ms\", wall = \"{WALL_MS}ms\", memory = \"16MiB\"");
    "listen = [\"127.0.0.1:0\"]\nlimits = { connections = 15000, client-connections = 15000 }\n\
                access-log = { path = \"access.log\" }\n"
        .to_owned()
        + &tenant("victim", &site.guest("hello"), "")
        + &tenant("attacker", &misbehave, "")
        + &format!("[[tenant.route]]\npath = \"/good/*\"\napp = \"{}\"\n", site.guest("hello"))
        + &tenant("exact", &misbehave, &exact)
}
