//! Limits of each process of a tool. The supervisor counts the sum of all of them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Sandbox;

/// Sets the limits of this process, which the tool and its children inherit.
///
/// # Errors
/// The system refuses one: a sentence.
pub(super) fn set(sandbox: &Sandbox) -> Result<(), String> {
    // SIGXCPU ends the tool at the first; nothing can ignore SIGKILL at the second.
    let cpu = sandbox.cpu.map(|seconds| (seconds, seconds + 5));
    let same = |value: Option<u64>| value.map(|value| (value, value));
    // `RLIMIT_AS` would count address space that node and wasmtime only reserve.
    let limits = [
        ("CPU time", Resource::Cpu, cpu),
        ("memory", Resource::Data, same(sandbox.memory)),
        ("file sizes", Resource::Fsize, same(sandbox.file_size)),
        ("open files", Resource::Nofile, same(sandbox.open_files)),
        ("processes", Resource::Nproc, same(sandbox.processes)),
        ("core dumps", Resource::Core, Some((0, 0))),
    ];
    for (name, resource, limit) in limits {
        let Some((soft, hard)) = limit else { continue };
        let most = getrlimit(resource).maximum;
        let lower = |value: u64| Some(most.map_or(value, |most| most.min(value)));
        let limit = Rlimit { current: lower(soft), maximum: lower(hard) };
        setrlimit(resource, limit).map_err(|error| format!("cannot limit {name}: {error}"))?;
    }
    Ok(())
}
