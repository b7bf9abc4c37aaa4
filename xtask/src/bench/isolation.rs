//! `cargo xtask bench isolation`: what a tenant notices of what another does.

#![allow(clippy::disallowed_methods, reason = "a load keeps to its times")]

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::open_loop::{Came, Load, connect, get, get_with};
use super::peers::{self, Peer, Site};
use super::process::Server;
use super::report::median;

/// The victim's requests a second, a fraction of what the server can do.
const RATE: u32 = 1_000;
const UNDER_LOAD: Duration = Duration::from_secs(5);
/// Each measurement of a victim beside an attacker follows one of it alone.
const ROUNDS: usize = 3;

/// Something that a tenant does to others.
struct Attack {
    name: &'static str,
    path: &'static str,
    clients: usize,
    kind: Kind,
}

/// Asks for a coding that costs much.
const BROTLI: &str = "Accept-Encoding: br\r\n";

enum Kind {
    /// Asks again and again.
    Requests,
    /// Asks again and again for a text that is encoded while it is sent.
    Encoded,
    /// Announces a body and sends a byte now and then.
    SlowBodies,
    /// Asks once and waits.
    Waiting,
}

/// The attacks, for a machine with so many cores.
fn attacks(cores: usize) -> [Attack; 6] {
    let attack = |name, path, clients, kind| Attack { name, path, clients, kind };
    [
        attack("infinite loops", "/loop", 8 * cores, Kind::Requests),
        attack("allocation bombs", "/allocate", 8 * cores, Kind::Requests),
        attack("log floods", "/flood?lines=100000", 8 * cores, Kind::Requests),
        attack("slow bodies", "/ok", 500, Kind::SlowBodies),
        attack("20 MB of text in Brotli", "/texts/text.txt", 64, Kind::Encoded),
        attack("10,000 sleepers", "/sleep?ms=60000", 10_000, Kind::Waiting),
    ]
}

impl Attack {
    /// Attacks until it is told to stop.
    fn run(&self, address: SocketAddr, host: &'static str, stop: &AtomicBool, ready: &AtomicUsize) {
        if let Kind::Requests | Kind::Encoded = self.kind {
            let lines = if let Kind::Encoded = self.kind { BROTLI } else { "" };
            thread::scope(|scope| {
                for _ in 0..self.clients {
                    scope.spawn(|| {
                        ready.fetch_add(1, Relaxed);
                        while !stop.load(Relaxed) {
                            let Ok(mut stream) = connect(address) else { continue };
                            while !stop.load(Relaxed)
                                && get_with(&mut stream, host, self.path, lines).is_ok()
                            {
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

/// Measures, prints, and writes `target/bench/isolation.json`.
pub(crate) fn run() -> Result<()> {
    let cores = thread::available_parallelism()?.get();
    let site = Site::new()?;
    write_text(&site)?;
    exactness(&site)?;
    let peer = peers::tenants(&site, &config(&site))?;
    let mut records = Vec::new();
    println!("\nThe victim at {RATE} requests a second, beside:\n");
    println!(
        "{:34}{:>9}{:>9}{:>9}{:>10}{:>9}",
        "", "req/s", "p50 ms", "p99 ms", "p99.9 ms", "errors"
    );
    let (victim, attacker) = (("victim.example", "/sayhello"), "attacker.example");
    for attack in attacks(cores) {
        records.extend(beside("myweb", &peer, &attack, victim, attacker)?);
    }
    let [loops, ..] = attacks(cores);
    let own = Attack { name: "loops of its own tenant", ..loops };
    records.extend(beside("myweb", &peer, &own, ("attacker.example", "/good/sayhello"), attacker)?);
    if let Some(peer) = peers::wasmtime_serve_with_timeout(&site) {
        let loops = Attack { clients: 2, ..attacks(cores).into_iter().next().context("loops")? };
        records.extend(beside("wasmtime serve", &peer, &loops, ("localhost", "/"), "localhost")?);
    }
    fs::write("target/bench/isolation.json", serde_json::to_string_pretty(&records)?)?;
    println!(
        "\nMedians of {ROUNDS}, each alone and beside in turn; also in target/bench/isolation.json."
    );
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
        let most = match attack.as_str() {
            Some("infinite loops") => 3.0,
            Some("20 MB of text in Brotli") => 10.0,
            _ => continue,
        };
        if !(kept >= 0.9 && later <= most) {
            missed.push(format!("beside {attack}, {kept:.2} of the rate, {later:.1} ms later"));
        }
    }
    missed
}

/// The victim alone and beside an attack, in turn.
fn beside(
    server: &str,
    peer: &Peer,
    attack: &Attack,
    (host, path): (&'static str, &'static str),
    attacker: &'static str,
) -> Result<Vec<Value>> {
    let (mut alone, mut attacked) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let process = Server::start_on_all_cores(peer)?;
        let address: SocketAddr = process.address()?;
        let load = Load { address, host, path, rate: RATE, time: UNDER_LOAD };
        alone.push(load.run());
        let (stop, ready) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| attack.run(address, attacker, &stop, &ready));
            while ready.load(Relaxed) < attack.clients {
                thread::sleep(Duration::from_millis(10));
            }
            attacked.push(load.run());
            stop.store(true, Relaxed);
            // Ends the connections that wait for an answer.
            drop(process);
        });
    }
    let mut records = Vec::new();
    for (name, all) in [("nothing", &alone), (attack.name, &attacked)] {
        let figure = |figure: &dyn Fn(&Came) -> f64| median(all.iter().map(figure));
        let per_second = figure(&Came::per_second);
        let [p50, p99, p999] =
            [0.5, 0.99, 0.999].map(|part| figure(&|came| came.percentile_ms(part)));
        let errors: usize = all.iter().map(|came| came.errors).sum();
        println!(
            "{:34}{per_second:>9.0}{p50:>9.2}{p99:>9.2}{p999:>10.2}{errors:>9}",
            format!("{server}, {name}")
        );
        records.push(json!({
            "server": server, "beside": name, "per_second": per_second,
            "p50_ms": p50, "p99_ms": p99, "p999_ms": p999, "errors": errors,
        }));
    }
    Ok(records)
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

/// A text of 20 MB below the site.
fn write_text(site: &Site) -> Result<()> {
    let number = |line: u64| line.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let mut text = String::new();
    for line in 0.. {
        text.push_str(&format!("line {line} has the number {}\n", number(line)));
        if text.len() >= 20_000_000 {
            break;
        }
    }
    let folder = site.folder.join("texts");
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join("text.txt"), text)?)
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
        + "[[tenant.route]]\npath = \"/texts/*\"\nstatic = \"texts\"\n"
        + &tenant("exact", &misbehave, &exact)
}
