//! `cargo xtask bench density`: ten thousand different components on one server.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;

use super::deployed::{self, host};
use super::open_loop::{connect, get};
use super::peers::{Peer, Site};
use super::process::Server;

/// Tenants, each with a component of its own.
const COMPONENTS: usize = 10_000;
/// Those that are asked for once, one after the other, before the traffic.
const COLD: usize = 2_000;
/// Clients of the traffic, and what each asks for.
const CLIENTS: u64 = 8;
const REQUESTS: usize = 5_000;
/// Starts; the median counts.
const STARTS: usize = 5;

/// What a process has at a time.
#[derive(Clone, Copy, Default)]
struct Has {
    /// Resident and its own, in bytes.
    private: u64,
    /// Loaded code, resident or not, in bytes.
    code: u64,
    loaded: usize,
    descriptors: usize,
    mappings: usize,
}

/// Measures, prints, and writes `target/bench/density.json`.
pub(crate) fn run() -> Result<()> {
    let site = Site::new()?;
    let folder = site.folder.with_file_name("density");
    let peer = deployed::deploy(&site, &folder, COMPONENTS)?;
    let compiled = deployed::compile(&peer, &folder)?;
    let starts: Vec<f64> = (0..STARTS).map(|_| first_answer_ms(&peer)).collect::<Result<_>>()?;
    let server = Server::start_on_all_cores(&peer)?;
    let before = has(server.id())?;
    let cold = ask_once(&server)?;
    let (warm, most) = traffic(&server)?;
    let start = percentile(starts, 0.5);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let row = |what: &str, figure: String| println!("{what:60}{figure:>16}");
    println!("\n{COMPONENTS} different components, `ulimit -S -n 1024`:\n");
    row("compiling one", format!("{:.0} ms", compiled.as_secs_f64() * 1e3));
    row("start to the first answer", format!("{start:.0} ms"));
    let [before_private, most_private] = [before.private, most.private].map(mib);
    row("private memory before traffic", format!("{before_private:.1} MiB"));
    let [p50, p99] = [0.5, 0.99].map(|part| percentile(cold.clone(), part));
    row("first answer of a component that is not loaded, median", format!("{p50:.2} ms"));
    row("the same, 99th percentile", format!("{p99:.2} ms"));
    let [all_p50, all_p99] = [0.5, 0.99].map(|part| percentile(warm.clone(), part));
    row("answers under Zipf traffic, median", format!("{all_p50:.2} ms"));
    row("the same, 99th percentile", format!("{all_p99:.2} ms"));
    row("private memory under traffic, at most", format!("{most_private:.1} MiB"));
    row("loaded code, at most", format!("{:.1} MiB", mib(most.code)));
    row("loaded components, at most", most.loaded.to_string());
    row("descriptors, at most", most.descriptors.to_string());
    row("mappings, at most", most.mappings.to_string());
    let record = json!({
        "components": COMPONENTS, "start_ms": start, "private_before": before.private,
        "cold_p50_ms": p50, "cold_p99_ms": p99, "zipf_p50_ms": all_p50, "zipf_p99_ms": all_p99,
        "private_most": most.private, "code_most": most.code, "loaded_most": most.loaded,
        "descriptors_most": most.descriptors, "mappings_most": most.mappings,
    });
    fs::write("target/bench/density.json", serde_json::to_string_pretty(&record)?)?;
    Ok(())
}

fn first_answer_ms(peer: &Peer) -> Result<f64> {
    let began = Instant::now();
    let server = Server::start_on_all_cores(peer)?;
    ask(&mut connect(server.address()?)?, COMPONENTS / 2)?;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

fn ask(stream: &mut std::io::BufReader<std::net::TcpStream>, number: usize) -> Result<()> {
    match get(stream, &host(number), "/sayhello")? {
        200 => Ok(()),
        status => bail!("{} answered {status}", host(number)),
    }
}

/// Asks for some that are not loaded, one after the other: what each took, in ms.
fn ask_once(server: &Server) -> Result<Vec<f64>> {
    let mut stream = connect(server.address()?)?;
    let numbers = (0..COMPONENTS).step_by(COMPONENTS / COLD);
    numbers
        .map(|number| {
            let began = Instant::now();
            ask(&mut stream, number)?;
            Ok(began.elapsed().as_secs_f64() * 1e3)
        })
        .collect()
}

/// Traffic over all of them, the first far more often than the last: what each
/// answer took, in ms, and the most that the server had.
fn traffic(server: &Server) -> Result<(Vec<f64>, Has)> {
    let (all, ended) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let address = server.address()?;
    let most = thread::scope(|scope| {
        let clients: Vec<_> = (1..=CLIENTS)
            .map(|seed| {
                let all = &all;
                scope.spawn(move || -> Result<()> {
                    let mut stream = connect(address)?;
                    let mut mine = Vec::new();
                    for number in Zipf(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).take(REQUESTS) {
                        let began = Instant::now();
                        ask(&mut stream, number)?;
                        mine.push(began.elapsed().as_secs_f64() * 1e3);
                    }
                    all.lock().map_err(|_| anyhow::anyhow!("a client failed"))?.extend(mine);
                    Ok(())
                })
            })
            .collect();
        let watch = scope.spawn(|| -> Result<Has> {
            let mut most = Has::default();
            while !ended.load(Relaxed) {
                most = most.or(has(server.id())?);
                thread::park_timeout(Duration::from_millis(200));
            }
            Ok(most.or(has(server.id())?))
        });
        let clients = clients.into_iter().map(thread::ScopedJoinHandle::join);
        let clients: Vec<_> = clients.collect();
        ended.store(true, Relaxed);
        for client in clients {
            client.map_err(|_| anyhow::anyhow!("a client failed"))??;
        }
        watch.join().map_err(|_| anyhow::anyhow!("the watch failed"))?
    })?;
    Ok((all.into_inner().map_err(|_| anyhow::anyhow!("a client failed"))?, most))
}

/// Numbers of components, the n-th as often as 1/n.
struct Zipf(u64);

impl Iterator for Zipf {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let part = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        Some(((COMPONENTS as f64).powf(part) as usize).clamp(1, COMPONENTS) - 1)
    }
}

impl Has {
    fn or(self, other: Has) -> Has {
        Has {
            private: self.private.max(other.private),
            code: self.code.max(other.code),
            loaded: self.loaded.max(other.loaded),
            descriptors: self.descriptors.max(other.descriptors),
            mappings: self.mappings.max(other.mappings),
        }
    }
}

/// What a process has now.
fn has(process: u32) -> Result<Has> {
    let process = PathBuf::from(format!("/proc/{process}"));
    let rollup = fs::read_to_string(process.join("smaps_rollup"))?;
    let private = rollup.lines().filter(|line| line.starts_with("Private_"));
    let private = private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    let mappings = fs::read_to_string(process.join("maps"))?.lines().count();
    let mut has = Has { private: private.sum::<u64>() << 10, mappings, ..Has::default() };
    for entry in fs::read_dir(process.join("fd"))? {
        let path = entry?.path();
        has.descriptors += 1;
        let link = fs::read_link(&path).unwrap_or_default();
        if link.to_string_lossy().starts_with("/memfd:component") {
            has.loaded += 1;
            has.code += fs::metadata(&path).map_or(0, |metadata| metadata.len());
        }
    }
    Ok(has)
}

fn percentile(mut figures: Vec<f64>, part: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let at = (figures.len() as f64 * part) as usize;
    figures.get(at).or(figures.last()).copied().unwrap_or(f64::NAN)
}
