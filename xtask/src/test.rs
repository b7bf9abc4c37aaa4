//! Everything that must hold at every landing.

use anyhow::Result;

use crate::build;
use crate::command::run;

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
    }
    Ok(())
}
