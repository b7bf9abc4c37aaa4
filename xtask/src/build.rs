//! Building the guests and the server.

use std::fs;

use anyhow::{Context, Result};

use crate::command::{output, run};

const TARGET: &str = "wasm32-wasip2";
/// The guests that are shown and end up in `guests/`.
const GUESTS: [&str; 4] = ["hello", "say_hello", "show_time", "show_pic"];
/// The guests of the tests, which stay where cargo puts them.
const TEST_GUESTS: [&str; 6] =
    ["echo", "misbehave", "store", "wasi_http_02", "wasi_http_03", "wasi_http_hello"];

/// Builds everything in release.
pub(crate) fn all() -> Result<()> {
    guests()?;
    run("cargo", &["build", "--release", "--package", "myweb-run"])
}

/// Builds, then serves.
pub(crate) fn run_server(arguments: &[&str]) -> Result<()> {
    all()?;
    let names = |argument: &&str| {
        let flag = argument.split('=').next().unwrap_or_default();
        ["--app", "--wsgi", "--asgi", "--handlers", "--static", "--config"].contains(&flag)
    };
    let app = ["--app", "guests/hello.wasm"];
    let app = if arguments.iter().any(names) { &[][..] } else { &app };
    run("target/release/myweb-run", &[app, arguments].concat())
}

/// Builds every component.
pub(crate) fn guests() -> Result<()> {
    add_target()?;
    let mut arguments = vec!["build", "--profile", "guest", "--target", TARGET];
    for guest in GUESTS.iter().chain(&TEST_GUESTS) {
        arguments.extend(["--package", guest]);
    }
    run("cargo", &arguments)?;
    for guest in GUESTS {
        let built = format!("target/{TARGET}/guest/{guest}.wasm");
        copy_if_changed(&built, &format!("guests/{guest}.wasm"))?;
    }
    Ok(())
}

/// A server that watches sees only real changes.
fn copy_if_changed(from: &str, to: &str) -> Result<()> {
    let bytes = fs::read(from).with_context(|| from.to_owned())?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    fs::write(to, bytes).with_context(|| to.to_owned())
}

/// Adds the target of components to the toolchain if it is not there.
fn add_target() -> Result<()> {
    let installed = output("rustup", &["target", "list", "--installed"]);
    match installed {
        Some(targets) if !targets.lines().any(|target| target == TARGET) => {
            run("rustup", &["target", "add", TARGET])
        }
        // Without rustup, the toolchain comes from elsewhere: cargo says what it lacks.
        _ => Ok(()),
    }
}
