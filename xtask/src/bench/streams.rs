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
use crate::command::output;

/// The bodies, in bytes.
const BODY: usize = 1 << 30;
/// How often each is transferred, in each round.
const TRANSFERS: usize = 3;
/// What a client sends and takes at once, in bytes.
const PIECE: usize = 256 << 10;
/// Events, and the time between two.
const EVENTS: usize = 200;
const EVERY_MS: usize = 5;
/// How often the server's memory is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What was measured of one peer in one round.
struct Figures {
    echo_mib_s: f64,
    download_mib_s: f64,
    /// The most that was resident above what was before, in MiB.
    grown_mib: f64,
    event_p50_ms: f64,
    event_worst_ms: f64,
}

/// Measures all peers, in turn, and shows the medians.
pub(crate) fn run(site: &peers::Site, rounds: usize) -> Result<()> {
    // The clients are on the second core: the system would move them to where the
    // server is, which wakes them.
    let this = std::process::id().to_string();
    output("taskset", &["-a", "-c", "-p", "1", &this]).context("taskset failed")?;
    let peers = peers::streams(site);
    let mut rows: Vec<Vec<Figures>> = peers.iter().map(|_| Vec::new()).collect();
    for round in 1..=rounds {
        for (peer, row) in peers.iter().zip(&mut rows) {
            eprintln!("streams, round {round} of {rounds}: {}", peer.name);
            row.push(measure(peer).with_context(|| peer.name.clone())?);
        }
    }
    println!(
        "\n{:18}{:>12}{:>12}{:>12}{:>14}{:>16}",
        "", "echo MiB/s", "down MiB/s", "grown MiB", "event p50 ms", "event worst ms"
    );
    let mut records = Vec::new();
    for (peer, row) in peers.iter().zip(&rows) {
        let median = |figure: fn(&Figures) -> f64| {
            let mut figures: Vec<f64> = row.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let (echo, down) = (median(|f| f.echo_mib_s), median(|f| f.download_mib_s));
        let grown = row.iter().map(|f| f.grown_mib).fold(0.0, f64::max);
        let (p50, worst) = (median(|f| f.event_p50_ms), median(|f| f.event_worst_ms));
        println!("{:18}{echo:>12.0}{down:>12.0}{grown:>12.1}{p50:>14.2}{worst:>16.2}", peer.name);
        records.push(json!({
            "name": peer.name, "echo_mib_per_second": echo, "download_mib_per_second": down,
            "grown_mib": grown, "event_p50_ms": p50, "event_worst_ms": worst,
        }));
    }
    let path = "target/bench/streams.json";
    fs::write(path, serde_json::to_string_pretty(&Value::from(records))?).context(path)?;
    println!("\nMedians of {rounds}, the most for memory; also in {path}.");
    Ok(())
}

fn measure(peer: &Peer) -> Result<Figures> {
    let server = Server::start(peer)?;
    let address = server.address()?;
    let (event_p50_ms, event_worst_ms) = events(address)?;
    let before = server.usage()?.resident;
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watched = scope.spawn(|| {
            let mut most = before;
            while !ended.load(Relaxed) {
                most = most.max(server.usage().map_or(0, |usage| usage.resident));
                std::thread::park_timeout(LOOK);
            }
            most
        });
        let download = median_of(|| download(address));
        let echo = median_of(|| echo(address));
        ended.store(true, Relaxed);
        let most = watched.join().map_err(|_| anyhow::anyhow!("memory was not watched"))?;
        Ok(Figures {
            echo_mib_s: echo?,
            download_mib_s: download?,
            grown_mib: (most - before) as f64 / f64::from(1 << 20),
            event_p50_ms,
            event_worst_ms,
        })
    })
}

/// The median of some transfers.
fn median_of(transfer: impl Fn() -> Result<f64>) -> Result<f64> {
    let mut rates = (0..TRANSFERS).map(|_| transfer()).collect::<Result<Vec<f64>>>()?;
    rates.sort_by(f64::total_cmp);
    rates.get(TRANSFERS / 2).copied().context("a transfer")
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
