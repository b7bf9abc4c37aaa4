//! The load: `wrk` on the second core, and what it tells.

use std::time::Duration;

use anyhow::{Context, Result};

use super::process::Usage;
use crate::command::output;

/// Connections that are kept open.
const CONNECTIONS: &str = "64";

/// A load on one URL.
pub(crate) struct Load<'a> {
    url: &'a str,
    headers: &'a [String],
}

/// What `wrk` told.
pub(crate) struct Told {
    requests: u64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    failed: u64,
}

/// One measurement of one peer.
pub(crate) struct Sample {
    pub(crate) per_second: f64,
    /// The server's CPU time a request, in microseconds.
    pub(crate) cpu_us: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Resident memory after the load, in bytes.
    pub(crate) resident: u64,
    pub(crate) failed: u64,
}

impl Sample {
    pub(crate) fn new(told: &Told, before: &Usage, after: &Usage) -> Sample {
        let cpu = (after.cpu - before.cpu).as_secs_f64() * 1e6;
        Sample {
            per_second: told.per_second,
            cpu_us: cpu / told.requests.max(1) as f64,
            p50_ms: told.p50_ms,
            p99_ms: told.p99_ms,
            resident: after.resident,
            failed: told.failed,
        }
    }
}

impl Load<'_> {
    pub(crate) fn new<'a>(url: &'a str, headers: &'a [String]) -> Load<'a> {
        Load { url, headers }
    }

    /// Requests for a time.
    pub(crate) fn run(&self, time: Duration) -> Result<Told> {
        let time = format!("-d{}s", time.as_secs());
        let mut arguments = vec!["-c", "1", "wrk", "-t1", "-c", CONNECTIONS, &time, "--latency"];
        for header in self.headers {
            arguments.extend(["-H", header]);
        }
        arguments.push(self.url);
        let text = output("taskset", &arguments).context("wrk failed")?;
        read(&text).with_context(|| format!("wrk said:\n{text}"))
    }
}

/// Reads the text that `wrk --latency` prints.
fn read(text: &str) -> Option<Told> {
    let after = |label: &str| text.lines().find_map(|line| line.trim().strip_prefix(label));
    let requests = text.lines().find(|line| line.contains(" requests in "))?;
    let errors: u64 = after("Socket errors:").map_or(0, |list| {
        let digits = list.split(|c: char| !c.is_ascii_digit());
        digits.filter_map(|digits| digits.parse::<u64>().ok()).sum()
    });
    let refused = after("Non-2xx or 3xx responses:").map_or(Some(0), |n| n.trim().parse().ok())?;
    Some(Told {
        requests: requests.split_whitespace().next()?.parse().ok()?,
        per_second: after("Requests/sec:")?.trim().parse().ok()?,
        p50_ms: millis(after("50%")?)?,
        p99_ms: millis(after("99%")?)?,
        failed: errors + refused,
    })
}

/// `1.23ms`, `456.00us` or `1.20s` in milliseconds.
fn millis(text: &str) -> Option<f64> {
    let text = text.trim();
    [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)]
        .iter()
        .find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_prints_is_read() {
        let text = "Running 5s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  \
            Latency Distribution\n     50%    1.21ms\n     75%    2ms\n     99%  456.00us\n  \
            388000 requests in 5.10s, 48.5MB read\n  \
            Socket errors: connect 0, read 1, write 0, timeout 2\n  \
            Non-2xx or 3xx responses: 4\nRequests/sec:  76078.43\nTransfer/sec: 9.5MB\n";
        let told = read(text).expect("figures");
        assert_eq!((told.requests, told.failed), (388_000, 7));
        assert_eq!((told.per_second, told.p50_ms, told.p99_ms), (76078.43, 1.21, 0.456));
    }
}
