//! Runs a tool to its end, and ends it early when it takes more than it may.

mod disk;
mod group;
mod output;

use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use super::sandbox::FAILED;
use group::Group;
pub use group::stop_builds;
pub(super) use group::tasks_of_user;
use output::Output;

/// Bounds of one run of a tool, with all its processes.
pub(super) struct Bounds {
    /// Time by the clock.
    pub(super) time: Duration,
    /// Time without any CPU time; `None` for tools that wait for the network.
    pub(super) idle: Option<Duration>,
    /// CPU time of all processes.
    pub(super) cpu: Duration,
    /// Resident memory of all processes, in bytes.
    pub(super) memory: u64,
    /// Processes and threads.
    pub(super) tasks: usize,
    /// Bytes of output: those above `OUTPUT_KEPT` are dropped.
    pub(super) output: usize,
    /// Bytes on disk, in all folders that the tool writes to.
    pub(super) disk: u64,
}

/// Bytes of each output of a tool that are kept for messages.
const OUTPUT_KEPT: usize = 1 << 20;
/// The supervisor counts what the tool's processes use once in this time.
const TICK: Duration = Duration::from_millis(100);
/// The space on disk is counted less often, as that takes longer.
const DISK_TICK: Duration = Duration::from_secs(2);
/// The system needs a moment to end the processes of a group.
const LAST_OUTPUT: Duration = Duration::from_secs(5);

/// How a tool ended.
pub(super) struct Ended {
    pub(super) ok: bool,
    /// Both its outputs.
    pub(super) said: String,
}

/// Runs a tool, which writes to some folders, to its end. Its other processes end with it.
///
/// # Errors
/// It cannot be started, or takes more than it may: a sentence.
pub(super) fn run(
    command: &mut Command,
    name: &str,
    bounds: &Bounds,
    written: &[PathBuf],
) -> Result<Ended, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn();
    let mut child =
        child.map_err(|error| format!("{name}: no process could be started: {error}"))?;
    let group = Group::of(&child);
    let mut outputs = [
        Output::new(child.stdout.take().map(Into::into)),
        Output::new(child.stderr.take().map(Into::into)),
    ];
    let over = supervise(&child, &group, &mut outputs, bounds, written);
    // The group's number is its own until its first process was waited for.
    group.kill();
    let latest = Instant::now() + LAST_OUTPUT;
    while outputs.iter().any(Output::is_open) && Instant::now() < latest {
        if wait(None, &mut outputs).is_err() {
            break;
        }
    }
    let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
    let over = over.map_err(|error| format!("{name}: {error}"))?;
    let said = outputs.map(Output::text).concat();
    match over.or_else(|| over_limit(status, bounds)) {
        Some(why) => Err(format!("{name} {why}")),
        None if status.code() == Some(FAILED.into()) => Err(format!("{name}: {}", said.trim())),
        None => Ok(Ended { ok: status.success(), said }),
    }
}

/// Waits until the first process of a tool has ended, or until the tool takes more than
/// it may: then a sentence about the tool says so.
fn supervise(
    child: &Child,
    group: &Group,
    outputs: &mut [Output; 2],
    bounds: &Bounds,
    written: &[PathBuf],
) -> std::io::Result<Option<String>> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let start = Instant::now();
    let (mut counted, mut cpu, mut worked) = (start, Duration::ZERO, start);
    let mut disk_counted = start;
    while !wait(Some(process.as_fd()), outputs)? {
        if outputs.iter().map(|output| output.read).sum::<usize>() > bounds.output {
            return Ok(Some(format!("wrote more than {} bytes of output", bounds.output)));
        }
        if start.elapsed() > bounds.time {
            let time = bounds.time;
            return Ok(Some(format!(
                "did not end within {time:?}; does a module wait when it is imported?"
            )));
        }
        if counted.elapsed() < TICK {
            continue;
        }
        counted = Instant::now();
        let used = group.usage();
        if used.cpu != cpu {
            (cpu, worked) = (used.cpu, counted);
        }
        if bounds.idle.is_some_and(|idle| worked.elapsed() > idle) {
            return Ok(Some(format!(
                "did nothing for {:?}; does a module wait when it is imported?",
                worked.elapsed()
            )));
        }
        if let Some(why) = used.above(bounds) {
            return Ok(Some(why));
        }
        if disk_counted.elapsed() > DISK_TICK {
            if disk::take_more_than(written, bounds.disk) {
                return Ok(Some(format!("wrote more than {} bytes to disk", bounds.disk)));
            }
            disk_counted = Instant::now();
        }
    }
    Ok(None)
}

/// Waits until a process ends, which is true, or until there is output or a tick is over.
fn wait(
    process: Option<std::os::fd::BorrowedFd<'_>>,
    outputs: &mut [Output; 2],
) -> std::io::Result<bool> {
    let open = outputs.iter().filter_map(Output::pipe);
    let mut all: Vec<PollFd<'_>> = process
        .into_iter()
        .chain(open)
        .map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN))
        .collect();
    let tick = Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) };
    match poll(&mut all, Some(&tick)) {
        Err(rustix::io::Errno::INTR) => return Ok(false),
        polled => polled?,
    };
    let ready: Vec<bool> = all.iter().map(|fd| !fd.revents().is_empty()).collect();
    let (ended, pipes) = ready.split_at(usize::from(process.is_some()));
    let open = outputs.iter_mut().filter(|output| output.is_open());
    for (output, _) in open.zip(pipes).filter(|(_, ready)| **ready) {
        output.read_some();
    }
    Ok(ended.contains(&true))
}

/// The limit that ended a tool, if one did.
fn over_limit(status: ExitStatus, bounds: &Bounds) -> Option<String> {
    let signal = Signal::from_named_raw(status.signal()?)?;
    (signal == Signal::XCPU).then(|| group::too_much_cpu(bounds.cpu))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        time: Duration::from_secs(60),
        idle: None,
        cpu: Duration::from_secs(30),
        memory: 1 << 30,
        tasks: 20,
        output: 4 << 20,
        disk: 1 << 30,
    };

    fn shell(text: &str, bounds: &Bounds) -> Result<Ended, String> {
        run(Command::new("/bin/sh").args(["-c", text]), "sh", bounds, &[])
    }

    #[test]
    fn a_tool_says_and_ends_as_it_does() {
        let ended = shell("echo out; echo err >&2; exit 3", &BOUNDS).expect("it runs");
        assert_eq!((ended.ok, &*ended.said), (false, "out\nerr\n"));
        assert!(shell("true", &BOUNDS).expect("it runs").ok);
    }

    #[test]
    fn output_is_kept_to_a_bound_and_a_flood_ends_the_tool() {
        let ended = shell("head -c 3000000 /dev/zero | tr '\\0' x", &BOUNDS).expect("it runs");
        assert_eq!((ended.ok, ended.said.len()), (true, OUTPUT_KEPT));
        let why = shell("cat /dev/zero", &BOUNDS).err().expect("an endless output");
        assert_eq!(why, "sh wrote more than 4194304 bytes of output");
    }

    #[test]
    fn what_a_tool_leaves_behind_ends_with_the_tool() {
        let ended = shell("sleep 1000 & echo $!", &BOUNDS).expect("it runs");
        let child: i32 = ended.said.trim().parse().expect("a number");
        let is_gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        let latest = Instant::now() + Duration::from_secs(60);
        while !is_gone() {
            assert!(Instant::now() < latest, "process {child} goes on");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    #[test]
    fn too_many_processes_and_a_tool_that_does_nothing_are_ended() {
        let many = "for i in $(seq 100); do sleep 1000 & done; wait";
        let why = shell(many, &BOUNDS).err().expect("too many processes");
        assert!(why.contains("processes and threads at the same time; 20 are allowed"), "{why}");
        let idle = Bounds { idle: Some(Duration::from_millis(300)), ..BOUNDS };
        let why = shell("sleep 1000", &idle).err().expect("an idle tool");
        assert!(why.contains("sh did nothing for"), "{why}");
        let short = Bounds { time: Duration::from_millis(300), ..BOUNDS };
        let why = shell("sleep 1000", &short).err().expect("a slow tool");
        assert!(why.contains("did not end within 300ms"), "{why}");
    }
}
