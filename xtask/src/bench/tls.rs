//! What TLS costs: handshakes beside nginx, and requests beside those without it.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::ROUNDS;
use super::peers::{Over, Peer, Site};
use super::process::Server;
use crate::command::{output, run as run_program};

/// Keys of certificates, as openssl names them.
const KEYS: [(&str, &[&str]); 2] = [
    ("ECDSA P-256", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ("RSA 2048", &["-newkey", "rsa:2048"]),
];

/// Clients that make one connection after the other.
const CLIENTS: usize = 4;
const SECONDS: &str = "4";

/// Measures, prints, and writes `target/bench/tls.json`.
pub(crate) fn run() -> Result<()> {
    let site = Site::shipped()?;
    let mut records = handshakes(&site)?;
    records.extend(requests(&site)?);
    fs::write("target/bench/tls.json", serde_json::to_string_pretty(&records)?)?;
    println!("\nMedians of {ROUNDS}; also in target/bench/tls.json.");
    Ok(())
}

/// Full handshakes a second, TLS 1.3, for each kind of key. A handshake can cost
/// the client more than the server: then the ratio of CPU time tells them apart,
/// and that of the rates does not.
fn handshakes(site: &Site) -> Result<Vec<Value>> {
    show_heading("full handshakes");
    let mut records = Vec::new();
    for (key, arguments) in KEYS {
        certify(site, arguments)?;
        let tls = ["--static", "html", "--tls", "cert.pem,key.pem"];
        let peers = [
            site.nginx(&format!("nginx, {key}"), "/", Over::Tls)?,
            site.ours(&format!("myweb, {key}"), "/", &tls),
        ];
        let mut figures: [Vec<(f64, f64)>; 2] = Default::default();
        for _ in 0..ROUNDS {
            for (peer, figures) in peers.iter().zip(&mut figures) {
                figures.push(shake_hands(peer)?);
            }
        }
        let figures = figures.map(|figures| median(figures, |figure| figure.0));
        let base = figures[0];
        let rows = peers.iter().zip(figures);
        records.extend(rows.map(|(peer, figures)| show_row(&peer.name, figures, base)));
    }
    Ok(records)
}

fn show_heading(of: &str) {
    println!("\n{of:26}{:>14}{:>8}{:>14}{:>8}", "per second", "ratio", "CPU us each", "ratio");
}

/// Prints a row of rate and CPU time, with ratios to those of the first one.
fn show_row(name: &str, (rate, cpu_us): (f64, f64), base: (f64, f64)) -> Value {
    let (rate_ratio, cpu_ratio) = (rate / base.0, base.1 / cpu_us);
    println!("{name:26}{rate:>14.0}{rate_ratio:>8.2}{cpu_us:>14.1}{cpu_ratio:>8.2}");
    json!({
        "name": name, "per_second": rate, "rate_ratio": rate_ratio,
        "cpu_us_each": cpu_us, "cpu_ratio": cpu_ratio,
    })
}

/// A certificate with the usual kind of key.
pub(crate) fn make_certificate(site: &Site) -> Result<()> {
    certify(site, KEYS[0].1)
}

fn certify(site: &Site, key: &[&str]) -> Result<()> {
    let file = |name: &str| site.folder.join(name).display().to_string();
    let (cert, key_file) = (file("cert.pem"), file("key.pem"));
    let fixed = ["req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost"];
    let files = ["-keyout", &key_file, "-out", &cert];
    run_program("openssl", &[&fixed[..], key, &files].concat())
}

/// Handshakes a second, and the server's CPU time for each, in microseconds.
fn shake_hands(peer: &Peer) -> Result<(f64, f64)> {
    let server = Server::start(peer)?;
    let address = server.address()?.to_string();
    let before = server.usage()?;
    let client = || {
        Command::new("taskset")
            .args(["-c", "1", "openssl", "s_time", "-connect", &address, "-new", "-tls1_3"])
            .args(["-time", SECONDS])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    };
    let began = Instant::now();
    let clients: Vec<_> = (0..CLIENTS).map(|_| client()).collect::<Result<_, _>>()?;
    let mut count = 0.0;
    for client in clients {
        let output = client.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        // `1234 connections in 4 real seconds, 0 bytes read per connection`: whole
        // seconds, of which up to one is cut off.
        let line = text.lines().find(|line| line.contains("real seconds"));
        let line = line.with_context(|| format!("{}: s_time made no connection", peer.name))?;
        let number = line.split_whitespace().find_map(|word| word.parse::<f64>().ok());
        count += number.context("s_time")?;
    }
    let rate = count / began.elapsed().as_secs_f64();
    if count == 0.0 {
        bail!("{}: no handshake succeeded", peer.name);
    }
    let used = server.usage()?.cpu.saturating_sub(before.cpu);
    Ok((rate, used.as_secs_f64() * 1e6 / count))
}

/// What h2load is told.
const LOADS: [(&str, bool, &[&str]); 3] = [
    ("HTTP/1.1, clear", false, &["--h1"]),
    ("HTTP/2, TLS, 1 at once", true, &["-m", "1"]),
    ("HTTP/2, TLS, 10 at once", true, &["-m", "10"]),
];

/// An app's answers over HTTP/2 with TLS, beside HTTP/1.1 without.
fn requests(site: &Site) -> Result<Vec<Value>> {
    show_heading("/sayhello, h2load -c 64");
    make_certificate(site)?;
    let mut figures: [Vec<(f64, f64)>; LOADS.len()] = Default::default();
    for _ in 0..ROUNDS {
        for ((name, tls, arguments), figures) in LOADS.iter().zip(&mut figures) {
            // Ten times 64 at once are more than wait by default.
            let secure = ["--tls", "cert.pem,key.pem", "--max-queue", "1000"];
            let more: &[&str] = if *tls { &secure } else { &[] };
            let scheme = if *tls { "https" } else { "http" };
            let server = Server::start(&site.ours(name, "/sayhello", more))?;
            let url = format!("{scheme}://{}/sayhello", server.address()?);
            let before = server.usage()?;
            let fixed = ["-c", "1", "h2load", "-c", "64", "-D", SECONDS];
            let text = output("taskset", &[&fixed[..], arguments, &[&url]].concat());
            let text = text.context("h2load")?;
            let used = server.usage()?.cpu.saturating_sub(before.cpu);
            figures.push(told(&text, used).with_context(|| format!("h2load said:\n{text}"))?);
        }
    }
    let figures = figures.map(|figures| median(figures, |figure| figure.0));
    let rows = LOADS.iter().zip(figures);
    Ok(rows.map(|((name, ..), row)| show_row(name, row, figures[0])).collect())
}

/// `requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, …`: the rate of
/// those that succeeded, if none failed.
fn told(text: &str, used: Duration) -> Option<(f64, f64)> {
    let line = text.lines().find(|line| line.starts_with("requests:"))?;
    let number = |word: &str| {
        let item = line.split([',', ':']).find(|item| item.ends_with(word))?;
        item.split_whitespace().next()?.parse::<f64>().ok()
    };
    let (succeeded, failed) = (number(" succeeded")?, number(" failed")?);
    let seconds: f64 = SECONDS.parse().ok()?;
    (failed == 0.0).then(|| (succeeded / seconds, used.as_secs_f64() * 1e6 / succeeded))
}

/// The figures of the round whose rate is the median.
fn median<T: Copy>(mut figures: Vec<T>, rate: impl Fn(&T) -> f64) -> T {
    figures.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
    figures[figures.len() / 2]
}
