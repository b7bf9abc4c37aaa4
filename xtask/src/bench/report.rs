//! The table for people, and the file for programs.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Row;
use super::load::Sample;

/// Prints medians, with ratios to the first row, and writes
/// `target/bench/NAME.json`.
///
/// # Errors
/// Requests failed: figures of failures say nothing.
pub(crate) fn show(rows: &[Row], name: &str) -> Result<()> {
    let first = rows.first().context("there is nothing to show")?;
    let (base_rate, base_cpu) = (median(first, |s| s.per_second), median(first, |s| s.cpu_us));
    println!(
        "\n{:20}{:>10}{:>8}{:>12}{:>8}{:>9}{:>9}{:>11}",
        "", "req/s", "ratio", "CPU us/req", "ratio", "p50 ms", "p99 ms", "resident"
    );
    let mut records = Vec::new();
    for row in rows {
        let (rate, cpu) = (median(row, |s| s.per_second), median(row, |s| s.cpu_us));
        let (p50, p99) = (median(row, |s| s.p50_ms), median(row, |s| s.p99_ms));
        let resident = median(row, |s| s.resident as f64);
        let (rate_ratio, cpu_ratio) = (rate / base_rate, base_cpu / cpu);
        println!(
            "{:20}{rate:>10.0}{rate_ratio:>8.2}{cpu:>12.2}{cpu_ratio:>8.2}{p50:>9.2}{p99:>9.2}{:>7.1} MiB",
            row.name,
            resident / f64::from(1 << 20)
        );
        records.push(json!({
            "name": row.name, "requests_per_second": rate, "cpu_us_per_request": cpu,
            "rate_ratio": rate_ratio, "cpu_ratio": cpu_ratio,
            "p50_ms": p50, "p99_ms": p99, "resident_bytes": resident,
        }));
    }
    let path = format!("target/bench/{name}.json");
    fs::write(&path, serde_json::to_string_pretty(&records)?).with_context(|| path.clone())?;
    println!("\nRatios are to {}; medians of {}; also in {path}.", first.name, first.samples.len());
    let failed: u64 = rows.iter().flat_map(|row| &row.samples).map(|s| s.failed).sum();
    if failed > 0 {
        bail!("{failed} requests failed");
    }
    Ok(())
}

fn median(row: &Row, figure: impl Fn(&Sample) -> f64) -> f64 {
    let mut figures: Vec<f64> = row.samples.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
