//! The table for people, and the file for programs.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::load::Sample;
use super::{Group, Row};

/// Prints medians, with ratios to the first row of each group, and writes
/// `target/bench/NAME.json`.
///
/// # Errors
/// Requests failed: figures of failures say nothing.
pub(crate) fn show(groups: &[Group], name: &str, rounds: usize) -> Result<()> {
    println!(
        "\n{:26}{:>10}{:>8}{:>12}{:>8}{:>9}{:>9}{:>11}",
        "", "req/s", "ratio", "CPU us/req", "ratio", "p50 ms", "p99 ms", "resident"
    );
    let mut records = Vec::new();
    for group in groups {
        let first = group.rows.first().context("there is nothing to show")?;
        let base = (of(first, |s| s.per_second), of(first, |s| s.cpu_us));
        records.extend(group.rows.iter().map(|row| show_row(row, base)));
        println!();
    }
    let path = format!("target/bench/{name}.json");
    fs::write(&path, serde_json::to_string_pretty(&records)?).with_context(|| path.clone())?;
    println!("Ratios are to the first of each group; medians of {rounds}; also in {path}.");
    let failed: Vec<String> =
        groups.iter().flat_map(|group| &group.rows).filter_map(failed).collect();
    if !failed.is_empty() {
        bail!("requests failed: {}", failed.join(", "));
    }
    Ok(())
}

/// How many requests of a peer failed, in each round.
fn failed(row: &Row) -> Option<String> {
    let rounds: Vec<u64> = row.samples.iter().map(|sample| sample.failed).collect();
    (rounds.iter().sum::<u64>() > 0).then(|| format!("{} {rounds:?}", row.name))
}

/// Prints a row, with ratios to a rate and a CPU time.
fn show_row(row: &Row, (base_rate, base_cpu): (f64, f64)) -> Value {
    let (rate, cpu) = (of(row, |s| s.per_second), of(row, |s| s.cpu_us));
    let (p50, p99) = (of(row, |s| s.p50_ms), of(row, |s| s.p99_ms));
    let resident = of(row, |s| s.resident as f64);
    let (rate_ratio, cpu_ratio) = (rate / base_rate, base_cpu / cpu);
    println!(
        "{:26}{rate:>10.0}{rate_ratio:>8.2}{cpu:>12.2}{cpu_ratio:>8.2}{p50:>9.2}{p99:>9.2}{:>7.1} MiB",
        row.name,
        resident / f64::from(1 << 20)
    );
    json!({
        "name": row.name, "requests_per_second": rate, "cpu_us_per_request": cpu,
        "rate_ratio": rate_ratio, "cpu_ratio": cpu_ratio,
        "p50_ms": p50, "p99_ms": p99, "resident_bytes": resident,
    })
}

fn of(row: &Row, figure: impl Fn(&Sample) -> f64) -> f64 {
    median(row.samples.iter().map(figure))
}

/// The middle one of some figures.
pub(super) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
