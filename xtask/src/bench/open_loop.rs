//! Load at a rate: requests are sent at their times, whether or not the ones
//! before were answered. What an answer takes counts from when its request was
//! due, so that a server that stalls cannot hide it.

#![allow(clippy::disallowed_methods, reason = "a load keeps to its times")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Connections that share the load.
const CONNECTIONS: u32 = 32;
/// An answer that takes longer is an error.
const PATIENCE: Duration = Duration::from_secs(2);

/// Requests a second, for a time, to one host and path.
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) host: &'static str,
    pub(crate) path: &'static str,
    pub(crate) rate: u32,
    pub(crate) time: Duration,
}

/// What came back.
#[derive(Default)]
pub(crate) struct Came {
    /// What each good answer took, sorted.
    latencies: Vec<Duration>,
    pub(crate) errors: usize,
    took: Duration,
}

impl Load {
    /// Puts the load on the server and waits until it has ended.
    pub(crate) fn run(&self) -> Came {
        let begin = Instant::now() + Duration::from_millis(100);
        let mut came = Came::default();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..CONNECTIONS)
                .map(|share| scope.spawn(move || self.run_share(share, begin)))
                .collect();
            for thread in threads {
                let share = thread.join().unwrap_or_default();
                came.latencies.extend(share.latencies);
                came.errors += share.errors;
            }
        });
        came.took = begin.elapsed();
        came.latencies.sort();
        came
    }

    fn run_share(&self, share: u32, begin: Instant) -> Came {
        let mut came = Came::default();
        let mut connection = None;
        let all = self.rate * u32::try_from(self.time.as_secs()).unwrap_or(1);
        for request in (share..all).step_by(CONNECTIONS as usize) {
            let due = begin + Duration::from_secs(1) * request / self.rate;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if due.elapsed() > PATIENCE {
                came.errors += 1;
                continue;
            }
            if connection.is_none() {
                connection = connect(self.address).ok();
            }
            let status =
                connection.as_mut().and_then(|stream| get(stream, self.host, self.path).ok());
            match status {
                Some(200) => came.latencies.push(due.elapsed()),
                _ => {
                    came.errors += 1;
                    connection = None;
                }
            }
        }
        came
    }
}

impl Came {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    /// What this part of the answers took at most, in milliseconds.
    pub(crate) fn percentile_ms(&self, part: f64) -> f64 {
        let place = (self.latencies.len() as f64 * part) as usize;
        let latency = self.latencies.get(place).or(self.latencies.last());
        latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// A connection on which nothing is waited for without end.
pub(crate) fn connect(address: SocketAddr) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

/// Sends a request and reads the answer: its status.
pub(crate) fn get(stream: &mut BufReader<TcpStream>, host: &str, path: &str) -> Result<u16> {
    get_with(stream, host, path, "")
}

/// The same with more lines in the head.
pub(crate) fn get_with(
    stream: &mut BufReader<TcpStream>,
    host: &str,
    path: &str,
    lines: &str,
) -> Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
    stream.get_mut().write_all(request.as_bytes())?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            anyhow::bail!("the server closed");
        }
    }
    let status = head.get(9..12).and_then(|digits| digits.parse().ok()).context("a status")?;
    let field = |name: &str| {
        let lower = head.to_ascii_lowercase();
        lower.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
    };
    match field("content-length").and_then(|text| text.parse().ok()) {
        Some(length) => drop(stream.take(length).read_to_end(&mut Vec::new())?),
        None if field("transfer-encoding").is_some() => read_chunks(stream)?,
        None => {}
    }
    Ok(status)
}

fn read_chunks(stream: &mut BufReader<TcpStream>) -> Result<()> {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16)?;
        stream.take(length + 2).read_to_end(&mut Vec::new())?;
        if length == 0 {
            return Ok(());
        }
    }
}
