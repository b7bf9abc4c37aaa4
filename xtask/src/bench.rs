//! Measuring, always beside a peer in the same run: the server on one core, the
//! load on the other.

mod isolation;
mod load;
mod open_loop;
mod peers;
mod process;
mod report;
mod streams;

use std::time::Duration;

use anyhow::{Result, bail};

use crate::build;
use crate::command::{output, run};
use load::{Load, Sample};
use peers::Peer;

/// Rounds in which every peer is measured once; the medians are shown.
const ROUNDS: usize = 3;
/// How long one peer is under load in one round.
const UNDER_LOAD: Duration = Duration::from_secs(5);

/// What was measured of one peer.
struct Row {
    name: &'static str,
    samples: Vec<Sample>,
}

/// `cargo xtask bench isolation`: what a tenant notices of what another does.
pub(crate) fn isolation() -> Result<()> {
    build::all()?;
    isolation::run()
}

/// `cargo xtask bench hello`: what a handler costs beside bare hyper.
pub(crate) fn hello() -> Result<()> {
    if output("wrk", &["-v"]).is_none() && output("which", &["wrk"]).is_none() {
        bail!("wrk is not installed: apt-get install wrk");
    }
    build::all()?;
    run("cargo", &["build", "--release", "--package", "myweb-run", "--example", "bare_hyper"])?;
    let site = peers::Site::new()?;
    compare(&peers::hello(&site), "hello")
}

/// `cargo xtask bench components`: what standard components cost, beside
/// `wasmtime serve`.
pub(crate) fn components() -> Result<()> {
    build::all()?;
    let site = peers::Site::new()?;
    compare(&peers::components(&site), "components")?;
    streams::run(&site, ROUNDS)
}

/// Puts all peers under load, in turn.
fn compare(peers: &[Peer], name: &str) -> Result<()> {
    let mut rows: Vec<Row> =
        peers.iter().map(|peer| Row { name: peer.name, samples: Vec::new() }).collect();
    for round in 1..=ROUNDS {
        for (peer, row) in peers.iter().zip(&mut rows) {
            eprintln!("round {round} of {ROUNDS}: {}", peer.name);
            row.samples.push(measure(peer)?);
        }
    }
    report::show(&rows, name)
}

fn measure(peer: &Peer) -> Result<Sample> {
    let server = process::Server::start(peer)?;
    let load = Load::new(&server.url);
    load.run(Duration::from_secs(1))?;
    let before = server.usage()?;
    let result = load.run(UNDER_LOAD)?;
    let after = server.usage()?;
    Ok(Sample::new(&result, &before, &after))
}
