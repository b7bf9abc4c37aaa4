//! What streams cost: a large upload that is echoed, a large download, and how
//! soon an event is at the client.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::peers::{self, Peer};
use super::process::Server;
use super::report::median;
use crate::command::output;

/// The bodies, in bytes.
const BODY: usize = 1 << 30;
/// How often each is transferred from each peer in turn, in each round: what the
/// machine does beside is then the same for all.
const TRANSFERS: usize = 3;
/// What a client sends and takes at once, in bytes.
const PIECE: usize = 256 << 10;
/// Events, and the time between two.
const EVENTS: usize = 200;
const EVERY_MS: usize = 5;
/// How often the server's memory is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A peer, and what was measured of it.
struct Measured {
    name: String,
    server: Server,
    address: SocketAddr,
    /// What was resident before.
    before: u64,
    echo_mib_s: Vec<f64>,
    download_mib_s: Vec<f64>,
    /// The most that was resident above what was before, in MiB.
    grown_mib: f64,
    event_p50_ms: Vec<f64>,
    event_worst_ms: Vec<f64>,
}

/// Measures all peers, in turn, and shows the medians.
pub(crate) fn run(site: &peers::Site, rounds: usize) -> Result<()> {
    // The clients are on the second core: the system would move them to where the
    // server is, which wakes them.
    let this = std::process::id().to_string();
    output("taskset", &["-a", "-c", "-p", "1", &this]).context("taskset failed")?;
    let peers = peers::streams(site);
    let mut all = peers.iter().map(Measured::start).collect::<Result<Vec<_>>>()?;
    for round in 1..=rounds {
        eprintln!("streams, round {round} of {rounds}");
        for measured in &mut all {
            measured.events()?;
        }
        for _ in 0..TRANSFERS {
            for measured in &mut all {
                let rate = measured.watch(download)?;
                measured.download_mib_s.push(rate);
            }
            for measured in &mut all {
                let rate = measured.watch(echo)?;
                measured.echo_mib_s.push(rate);
            }
        }
    }
    println!(
        "\n{:18}{:>12}{:>12}{:>12}{:>14}{:>16}",
        "", "echo MiB/s", "down MiB/s", "grown MiB", "event p50 ms", "event worst ms"
    );
    let mut records = Vec::new();
    let middle = |figures: &[f64]| median(figures.iter().copied());
    for measured in &all {
        let (name, grown) = (&measured.name, measured.grown_mib);
        let echo = middle(&measured.echo_mib_s);
        let down = middle(&measured.download_mib_s);
        let p50 = middle(&measured.event_p50_ms);
        let worst = middle(&measured.event_worst_ms);
        println!("{name:18}{echo:>12.0}{down:>12.0}{grown:>12.1}{p50:>14.2}{worst:>16.2}");
        records.push(json!({
            "name": name, "echo_mib_per_second": echo, "download_mib_per_second": down,
            "grown_mib": grown, "event_p50_ms": p50, "event_worst_ms": worst,
        }));
    }
    let path = "target/bench/streams.json";
    fs::write(path, serde_json::to_string_pretty(&Value::from(records))?).context(path)?;
    let count = rounds * TRANSFERS;
    println!("\nMedians of {count}, for events of {rounds}, the most for memory; also in {path}.");
    Ok(())
}

impl Measured {
    fn start(peer: &Peer) -> Result<Measured> {
        let server = Server::start(peer)?;
        let address = server.address()?;
        // What it needs for its first answers is no growth.
        events(address).with_context(|| peer.name.clone())?;
        Ok(Measured {
            name: peer.name.clone(),
            address,
            before: server.resident()?,
            server,
            echo_mib_s: Vec::new(),
            download_mib_s: Vec::new(),
            grown_mib: 0.0,
            event_p50_ms: Vec::new(),
            event_worst_ms: Vec::new(),
        })
    }

    fn events(&mut self) -> Result<()> {
        let (p50, worst) = events(self.address).with_context(|| self.name.clone())?;
        self.event_p50_ms.push(p50);
        self.event_worst_ms.push(worst);
        Ok(())
    }

    /// The rate of a transfer, while the server's memory is looked at.
    fn watch(&mut self, transfer: fn(SocketAddr) -> Result<f64>) -> Result<f64> {
        let ended = AtomicBool::new(false);
        let (rate, most) = std::thread::scope(|scope| {
            let watched = scope.spawn(|| {
                let mut most = self.before;
                while !ended.load(Relaxed) {
                    most = most.max(self.server.resident().unwrap_or(0));
                    std::thread::park_timeout(LOOK);
                }
                most
            });
            let rate = transfer(self.address).with_context(|| self.name.clone());
            ended.store(true, Relaxed);
            watched.thread().unpark();
            let most = watched.join().map_err(|_| anyhow::anyhow!("memory was not watched"))?;
            anyhow::Ok((rate?, most))
        })?;
        let grown = (most - self.before) as f64 / f64::from(1 << 20);
        self.grown_mib = self.grown_mib.max(grown);
        Ok(rate)
    }
}

fn download(address: SocketAddr) -> Result<f64> {
    let mut stream = TcpStream::connect(address)?;
    let target = format!("/download?mib={}", BODY >> 20);
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    taken(&mut stream)
}

fn echo(address: SocketAddr) -> Result<f64> {
    let mut stream = TcpStream::connect(address)?;
    let headers = format!("Host: localhost\r\nContent-Length: {BODY}\r\nConnection: close");
    write!(stream, "POST /echo HTTP/1.1\r\n{headers}\r\n\r\n")?;
    let mut sending = stream.try_clone()?;
    let sent = std::thread::spawn(move || {
        let piece = vec![b'y'; PIECE];
        (0..BODY / PIECE).try_for_each(|_| sending.write_all(&piece))
    });
    let rate = taken(&mut stream);
    sent.join().map_err(|_| anyhow::anyhow!("the upload ended"))??;
    rate
}

/// Takes all of an answer: MiB a second.
fn taken(stream: &mut TcpStream) -> Result<f64> {
    let started = Instant::now();
    let mut piece = vec![0; PIECE];
    let mut count = 0;
    loop {
        match stream.read(&mut piece)? {
            0 => break,
            more => count += more,
        }
    }
    if count < BODY {
        bail!("only {count} bytes of {BODY} came");
    }
    Ok((BODY >> 20) as f64 / started.elapsed().as_secs_f64())
}

/// The median and the longest time from a guest's write of an event to its
/// arrival, in milliseconds.
fn events(address: SocketAddr) -> Result<(f64, f64)> {
    let mut stream = TcpStream::connect(address)?;
    let target = format!("/events?count={EVENTS}&ms={EVERY_MS}");
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut late = Vec::new();
    for line in BufReader::new(stream).lines() {
        if let Some(micros) = line?.strip_prefix("data: ") {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
            late.push((now as f64 - micros.parse::<f64>()?) / 1e3);
        }
    }
    late.sort_by(f64::total_cmp);
    let (middle, worst) = (late.get(EVENTS / 2), late.last());
    Ok((*middle.context("half of the events")?, *worst.context("an event")?))
}
