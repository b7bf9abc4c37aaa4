//! Measuring, always beside a peer in the same run: the server on one core, the
//! load on the other.

mod attacks;
mod density;
mod deployed;
mod http2_heads;
mod isolation;
mod languages;
mod load;
mod open_loop;
mod peers;
mod process;
mod report;
mod starts;
mod statics;
mod streams;
mod tls;
mod training;
mod victim;

use std::path::Path;
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
    name: String,
    samples: Vec<Sample>,
}

/// Peers that do the same; the first is what the others are compared with.
struct Group {
    rows: Vec<Row>,
}

impl Group {
    /// Measures each peer once a round, in turn.
    fn measure(peers: &[Peer], headers: &[String]) -> Result<Group> {
        Group::measure_for(ROUNDS, peers, headers)
    }

    fn measure_for(rounds: usize, peers: &[Peer], headers: &[String]) -> Result<Group> {
        let row = |peer: &Peer| Row { name: peer.name.clone(), samples: Vec::new() };
        let mut rows: Vec<Row> = peers.iter().map(row).collect();
        for round in 1..=rounds {
            for (peer, row) in peers.iter().zip(&mut rows) {
                eprintln!("round {round} of {rounds}: {}", peer.name);
                row.samples.push(measure(peer, headers)?);
            }
        }
        Ok(Group { rows })
    }
}

/// `cargo xtask bench static`: files beside nginx, then what TLS costs.
pub(crate) fn statics() -> Result<()> {
    needs(&["wrk", "nginx", "h2load", "openssl"])?;
    build::all()?;
    statics::run()?;
    tls::run()
}

/// `cargo xtask bench tls`: what TLS costs, alone.
pub(crate) fn tls() -> Result<()> {
    needs(&["nginx", "h2load", "openssl"])?;
    build::all()?;
    tls::run()
}

/// `cargo xtask bench density`: what ten thousand components cost.
pub(crate) fn density() -> Result<()> {
    build::all()?;
    density::run()
}

/// `cargo xtask bench isolation`: what a tenant notices of what another does, also
/// with an older server in turn.
pub(crate) fn isolation(older: Option<&Path>) -> Result<()> {
    build::all()?;
    isolation::run(older)
}

/// `cargo xtask bench attacks`: a victim beside attacks on the server's own work,
/// also with an older server in turn.
pub(crate) fn attacks(only: Option<&str>, older: Option<&Path>) -> Result<()> {
    build::all()?;
    attacks::run(only, older)
}

/// `cargo xtask bench hello --older PATH`: an older server and ours in turn.
pub(crate) fn hello_beside(older: &Path) -> Result<()> {
    /// More than elsewhere, since small differences are to be seen.
    const ROUNDS: usize = 5;
    needs(&["wrk"])?;
    build::all()?;
    let (older, ours) = (peers::Site::of(older)?, peers::Site::new()?);
    let groups = peers::pairs(&older, &ours).map(|pair| Group::measure_for(ROUNDS, &pair, &[]));
    report::show(&groups.into_iter().collect::<Result<Vec<_>>>()?, "hello-older", ROUNDS)
}

/// `cargo xtask bench hello`: what a handler costs beside bare hyper.
pub(crate) fn hello() -> Result<()> {
    needs(&["wrk"])?;
    build::all()?;
    run("cargo", &["build", "--release", "--package", "myweb-run", "--example", "bare_hyper"])?;
    let site = peers::Site::new()?;
    let group = Group::measure(&peers::hello(&site), &[])?;
    report::show(&[group], "hello", ROUNDS)
}

/// `cargo xtask bench components`: what standard components cost, beside
/// `wasmtime serve`.
pub(crate) fn components() -> Result<()> {
    build::all()?;
    let site = peers::Site::new()?;
    let group = Group::measure(&peers::components(&site), &[])?;
    let shown = report::show(&[group], "components", ROUNDS);
    streams::run(&site, ROUNDS)?;
    shown
}

/// `cargo xtask bench streams`: only their bodies.
pub(crate) fn streams() -> Result<()> {
    build::all()?;
    streams::run(&peers::Site::new()?, ROUNDS)
}

/// `cargo xtask bench languages`: Python and JavaScript beside servers that run
/// them outside of a sandbox; of all programs, or of one.
pub(crate) fn languages(only: Option<&str>) -> Result<()> {
    needs(&["wrk", "python3", "node", "npm"])?;
    run("cargo", &["build", "--release", "--package", "myweb-run"])?;
    languages::run(only)
}

/// Puts a server under load that counts what it runs.
pub(crate) fn train(counting: &Path) -> Result<()> {
    needs(&["wrk", "h2load", "openssl"])?;
    training::run(counting)
}

/// Tells which programs are missing.
fn needs(programs: &[&str]) -> Result<()> {
    for program in programs {
        if output("which", &[program]).is_none() {
            bail!(
                "{program} is not installed: apt-get install wrk nginx-light nghttp2-client openssl"
            );
        }
    }
    Ok(())
}

fn measure(peer: &Peer, headers: &[String]) -> Result<Sample> {
    let server = process::Server::start(peer)?;
    let load = Load::new(&server.url, headers);
    load.run(Duration::from_secs(1))?;
    let before = server.usage()?;
    let result = load.run(UNDER_LOAD)?;
    let after = server.usage()?;
    Ok(Sample::new(&result, &before, &after))
}
