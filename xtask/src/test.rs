//! Everything that must hold at every landing.

use anyhow::{Result, bail};

use crate::build;
use crate::command::{output, run};

/// Formatting, lints, tests. All but the components build once, in release: a
/// server without optimisation compiles components too slowly.
pub(crate) fn all(long: bool) -> Result<()> {
    run("cargo", &["fmt", "--all", "--check"])?;
    build::all()?;
    let deny = ["--", "--deny", "warnings"];
    run("cargo", &[&["clippy", "--release", "--workspace", "--all-targets"], &deny[..]].concat())?;
    let components = ["clippy", "--profile", "guest", "--target", "wasm32-wasip2"];
    let packages = ["hello", "say_hello", "show_time", "show_pic", "echo", "misbehave", "store"];
    let packages: Vec<&str> = packages.iter().flat_map(|name| ["--package", name]).collect();
    run("cargo", &[&components[..], &packages, &deny].concat())?;
    // Apart from each other: together, their dependencies' features add up, and
    // the server would be built a second time.
    run("cargo", &["test", "--release", "--package", "myweb-run"])?;
    run("cargo", &["test", "--release", "--workspace", "--exclude", "myweb-run"])?;
    if long {
        // One at a time: their bounds are tight.
        let ignored = ["--", "--ignored", "--test-threads", "1", "--nocapture"];
        run("cargo", &[&["test", "--release", "--package", "myweb-run"], &ignored[..]].concat())?;
        fuzz()?;
    }
    Ok(())
}

/// Runs each fuzz target for ten minutes.
fn fuzz() -> Result<()> {
    let here = ["--fuzz-dir", "runtime/fuzz"];
    let Some(targets) = output("cargo", &[&["fuzz", "list"], &here[..]].concat()) else {
        bail!("cargo-fuzz is not installed; install it: cargo install --locked cargo-fuzz");
    };
    for target in targets.lines() {
        // Sanitizers need a nightly compiler; the promises are kept by panics.
        let start = ["fuzz", "run", "--sanitizer", "none"];
        let bounds = [target, "--", "-max_total_time=600", "-timeout=10", "-rss_limit_mb=2048"];
        run("cargo", &[&start[..], &here, &bounds].concat())?;
    }
    Ok(())
}
