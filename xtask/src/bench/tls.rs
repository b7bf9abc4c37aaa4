//! What TLS costs: handshakes beside nginx, and requests beside those without it.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

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
    let site = Site::new()?;
    let mut records = handshakes(&site)?;
    records.extend(requests(&site)?);
    fs::write("target/bench/tls.json", serde_json::to_string_pretty(&records)?)?;
    println!("\nMedians of {ROUNDS}; also in target/bench/tls.json.");
    Ok(())
}

/// Full handshakes a second, TLS 1.3, for each kind of key.
fn handshakes(site: &Site) -> Result<Vec<Value>> {
    println!("\n{:26}{:>14}{:>8}{:>14}", "full handshakes", "per second", "ratio", "CPU us each");
    let mut records = Vec::new();
    for (key, arguments) in KEYS {
        make_certificate(site, arguments)?;
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
        let base = figures[0].0;
        for (peer, (rate, cpu_us)) in peers.iter().zip(figures) {
            println!("{:26}{rate:>14.0}{:>8.2}{cpu_us:>14.1}", peer.name, rate / base);
            records.push(json!({
                "name": peer.name, "handshakes_per_second": rate,
                "ratio": rate / base, "cpu_us_per_handshake": cpu_us,
            }));
        }
    }
    Ok(records)
}

fn make_certificate(site: &Site, key: &[&str]) -> Result<()> {
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
    let clients: Vec<_> = (0..CLIENTS).map(|_| client()).collect::<Result<_, _>>()?;
    let (mut count, mut rate) = (0.0, 0.0);
    for client in clients {
        let output = client.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        // `1234 connections in 4 real seconds, 0 bytes read per connection`
        let line = text.lines().find(|line| line.contains("real seconds")).context("s_time")?;
        let mut numbers = line.split_whitespace().filter_map(|word| word.parse::<f64>().ok());
        let connections = numbers.next().context("s_time")?;
        count += connections;
        rate += connections / numbers.next().context("s_time")?;
    }
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
    println!(
        "\n{:26}{:>14}{:>8}{:>14}",
        "/sayhello, h2load -c 64", "per second", "ratio", "CPU us each"
    );
    make_certificate(site, KEYS[0].1)?;
    let mut figures: [Vec<(f64, f64)>; LOADS.len()] = Default::default();
    for _ in 0..ROUNDS {
        for ((name, tls, arguments), figures) in LOADS.iter().zip(&mut figures) {
            let more: &[&str] = if *tls { &["--tls", "cert.pem,key.pem"] } else { &[] };
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
    let base = figures[0].0;
    let mut records = Vec::new();
    for ((name, ..), (rate, cpu_us)) in LOADS.iter().zip(figures) {
        println!("{name:26}{rate:>14.0}{:>8.2}{cpu_us:>14.1}", rate / base);
        records.push(json!({
            "name": name, "requests_per_second": rate,
            "ratio": rate / base, "cpu_us_per_request": cpu_us,
        }));
    }
    Ok(records)
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
