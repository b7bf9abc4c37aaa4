//! Running the tools.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

/// No step of a build takes this long, but one whose app waits at its import; it may be
/// on a machine that is busy.
const LONGEST: Duration = Duration::from_secs(600);
/// Nor this much CPU time, in seconds, but one whose app loops.
const MOST_CPU: u64 = 120;

/// How a tool ended.
pub(super) struct Ended {
    pub(super) ok: bool,
    /// Both its outputs.
    pub(super) said: String,
}

/// Runs a tool to its end, which is when it says nothing more.
///
/// # Errors
/// It cannot be started, or does not end: a sentence.
pub(super) fn run(command: &mut Command) -> Result<Ended, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot run {name}: {error}"))?;
    limit_cpu(&child);
    let outputs = [reader(child.stdout.take()), reader(child.stderr.take())];
    let deadline = Instant::now() + LONGEST;
    let mut said = Vec::new();
    for output in outputs {
        match output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "{name} did not end within {LONGEST:?}; does a module wait when it is imported?"
                ));
            }
            output => said.extend(output.unwrap_or_default()),
        }
    }
    let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
    if status.signal() == Some(Signal::XCPU.as_raw()) {
        return Err(format!(
            "{name} was still at work after {MOST_CPU} s of CPU time; does a module loop when it \
             is imported?"
        ));
    }
    Ok(Ended { ok: status.success(), said: String::from_utf8_lossy(&said).into_owned() })
}

/// Ends a tool that computes without end; where the system does not let it, time does.
fn limit_cpu(child: &Child) {
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
    let most = Rlimit { current: Some(MOST_CPU), ..getrlimit(Resource::Cpu) };
    let _ = prlimit(Some(pid), Resource::Cpu, most);
}

/// Asks all that this process runs, which are tools and compilations, to end: what
/// they are for is stopped. Where the system does not tell them, they end by
/// themselves.
pub fn stop_children() {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return };
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let ids = children.split_whitespace().filter_map(|id| id.parse().ok());
        for id in ids.filter_map(Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = kill_process(id, Signal::TERM);
        }
    }
}

/// Reads all of a pipe on a thread of its own, so that no tool waits for it.
fn reader(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read until it broke is what it said.
            let _ = pipe.read_to_end(&mut bytes);
        }
        // Nobody listens any more after the longest time.
        let _ = sender.send(bytes);
    });
    receiver
}
