//! The hidden subcommand: a process restricts itself, and replaces itself by a tool.

use std::convert::Infallible;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::syscalls::Allowed;
use super::{Sandbox, capabilities, descriptors, limits, paths, syscalls};

/// The exit code of a process that could not start its tool in a sandbox.
pub const FAILED: u8 = 125;

/// Restricts this process, and replaces it by the tool. With `probe` it returns the
/// parts that the system lacks instead, one on each line.
///
/// # Errors
/// A restriction or the tool's start failed: a sentence.
pub fn enter(sandbox: &Sandbox) -> Result<String, String> {
    if sandbox.probe {
        return Ok(parts_missing().join("\n"));
    }
    enter_and_execute(sandbox).map(|never| match never {})
}

fn enter_and_execute(sandbox: &Sandbox) -> Result<Infallible, String> {
    let (program, arguments) = sandbox.tool.split_first().ok_or("no tool is named")?;
    descriptors::close_all_but(&sandbox.keep)?;
    limits::set(sandbox)?;
    capabilities::drop_all()?;
    // The filter of system calls keeps the tool from undoing it.
    die_with_parent(sandbox.parent)?;
    let allowed = Allowed { network: sandbox.network, attributes: sandbox.attributes };
    let restrictions = [paths::restrict(sandbox), syscalls::restrict(allowed)];
    for restriction in restrictions {
        match restriction {
            Err(_) if sandbox.allow_missing => {}
            restriction => restriction?,
        }
    }
    let error = Command::new(program).args(arguments).exec();
    Err(format!("cannot start {}: {error}", program.display()))
}

/// SECURITY: the tool does not outlive the process that counts what it uses.
fn die_with_parent(parent: Option<u32>) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("cannot bind the tool to its parent process: {error}"))?;
    let now = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    match parent {
        Some(parent) if now != Some(parent) => Err("the parent process has ended".to_owned()),
        _ => Ok(()),
    }
}

/// The parts of the sandbox that this system lacks. The call restricts this process.
fn parts_missing() -> Vec<String> {
    let parts = [
        ("Landlock (Linux 5.13 or newer, switched on)", paths::restrict(&Sandbox::default())),
        ("seccomp filters", syscalls::restrict(Allowed::default())),
    ];
    let missing = parts.into_iter().filter(|(_, restricted)| restricted.is_err());
    missing.map(|(name, _)| name.to_owned()).collect()
}
