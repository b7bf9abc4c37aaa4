//! Measures a victim alone and beside an attacker, on one server or on several in
//! turn.

#![allow(clippy::disallowed_methods, reason = "a load keeps to its times")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::open_loop::{Came, Load};
use super::peers::{self, Peer, Site};
use super::process::Server;
use super::report::median;

/// How long the victim is measured, each time.
const UNDER_LOAD: Duration = Duration::from_secs(5);
/// Each measurement of a victim beside an attacker follows one of the victim alone.
const ROUNDS: usize = 3;
/// An attacker that cannot connect all its clients by then attacks with the others.
const GATHERING: Duration = Duration::from_secs(10);

/// The line below the table.
pub(crate) const LEGEND: &str =
    "Medians of 3 rounds, alone and beside in turn; MiB is the most that was resident.";

/// An attack on a server.
pub(crate) trait Attacker: Sync {
    fn name(&self) -> &'static str;

    /// Its connections or threads. The victim is measured once all of them are ready.
    fn clients(&self) -> usize;

    /// Attacks until `stop` is set. Counts each client in `ready` once it attacks.
    fn run(&self, address: SocketAddr, stop: &AtomicBool, ready: &AtomicUsize);
}

/// The requests whose latencies are measured, in an open loop.
pub(crate) struct Victim {
    pub(crate) host: &'static str,
    pub(crate) path: &'static str,
    /// Requests a second.
    pub(crate) rate: u32,
}

/// Our server with a file of tenants, and before it an older one, if one is named.
pub(crate) fn servers(
    site: &Site,
    older: Option<&Path>,
    config: &str,
) -> Result<Vec<(String, Peer)>> {
    let mut servers = Vec::new();
    if let Some(older) = older {
        servers.push(("older".to_owned(), peers::tenants(&Site::of(older)?, config)?));
    }
    servers.push(("myweb".to_owned(), peers::tenants(site, config)?));
    Ok(servers)
}

/// Prints the heading of the table.
pub(crate) fn heading() {
    println!(
        "{:38}{:>9}{:>9}{:>9}{:>10}{:>9}{:>8}",
        "", "req/s", "p50 ms", "p99 ms", "p99.9 ms", "errors", "MiB"
    );
}

/// What one round gave.
struct Round {
    came: Came,
    /// The most that was resident, in bytes.
    resident: u64,
}

/// Measures the victim alone and beside an attack on each server in turn. Prints and
/// returns two records a server.
pub(crate) fn beside(
    servers: &[(String, Peer)],
    attack: &dyn Attacker,
    victim: &Victim,
) -> Result<Vec<Value>> {
    let mut all: Vec<(Vec<Round>, Vec<Round>)> = Vec::new();
    all.resize_with(servers.len(), Default::default);
    for _ in 0..ROUNDS {
        for ((_, peer), (alone, attacked)) in servers.iter().zip(&mut all) {
            let (before, beside) = round(peer, attack, victim)?;
            alone.push(before);
            attacked.push(beside);
        }
    }
    let mut records = Vec::new();
    for ((server, _), (alone, attacked)) in servers.iter().zip(&all) {
        records.push(record(server, "nothing", alone));
        records.push(record(server, attack.name(), attacked));
    }
    Ok(records)
}

/// One server: the victim alone, then beside the attack.
fn round(peer: &Peer, attack: &dyn Attacker, victim: &Victim) -> Result<(Round, Round)> {
    let process = Server::start_on_all_cores(peer)?;
    let address = process.address()?;
    let Victim { host, path, rate } = *victim;
    let load = Load { address, host, path, rate, time: UNDER_LOAD };
    let alone = Round { came: load.run(), resident: process.resident()? };
    let (stop, ready, most) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicU64::new(0));
    let came = thread::scope(|scope| {
        scope.spawn(|| attack.run(address, &stop, &ready));
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                most.fetch_max(process.resident().unwrap_or(0), Relaxed);
                thread::sleep(Duration::from_millis(50));
            }
        });
        let begun = Instant::now();
        while ready.load(Relaxed) < attack.clients() && begun.elapsed() < GATHERING {
            thread::sleep(Duration::from_millis(10));
        }
        let came = load.run();
        stop.store(true, Relaxed);
        // Ends the connections of an attacker that waits for responses.
        process.kill();
        came
    });
    Ok((alone, Round { came, resident: most.load(Relaxed) }))
}

/// Prints a row of the table and returns it for programs.
fn record(server: &str, beside: &str, rounds: &[Round]) -> Value {
    let figure = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure));
    let per_second = figure(&|round| round.came.per_second());
    let [p50, p99, p999] =
        [0.5, 0.99, 0.999].map(|part| figure(&|round| round.came.percentile_ms(part)));
    let resident = figure(&|round| round.resident as f64);
    let errors: usize = rounds.iter().map(|round| round.came.errors).sum();
    println!(
        "{:38}{per_second:>9.0}{p50:>9.2}{p99:>9.2}{p999:>10.2}{errors:>9}{:>8.0}",
        format!("{server}, {beside}"),
        resident / f64::from(1 << 20)
    );
    json!({
        "server": server, "beside": beside, "per_second": per_second, "p50_ms": p50,
        "p99_ms": p99, "p999_ms": p999, "errors": errors, "resident_bytes": resident,
    })
}
