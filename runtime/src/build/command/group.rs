//! The process group of a tool: all its processes are counted, and ended, together. The
//! sandbox keeps processes from leaving their group.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Child;
use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Pid, Signal, getpid, getuid, kill_process_group};

use super::Bounds;
use crate::units::Bytes;

/// Ends all tools of builds that this process runs, with all their processes. Each is the
/// first process of a group; no other process that the server starts is.
pub fn stop_builds() {
    let own = getpid().as_raw_nonzero().get();
    for tool in processes().filter(|process| process.parent == own && process.group == process.id) {
        if let Some(group) = Pid::from_raw(tool.group) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The processes of a tool.
pub(super) struct Group {
    leader: Pid,
}

impl Group {
    /// The group of which this child is the first process.
    pub(super) fn of(child: &Child) -> Group {
        Group { leader: Pid::from_child(child) }
    }

    /// Ends all processes of the group.
    pub(super) fn kill(&self) {
        // There may be none left.
        let _ = kill_process_group(self.leader, Signal::KILL);
    }

    /// The sum over all processes of the group.
    pub(super) fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        let leader = self.leader.as_raw_nonzero().get();
        for process in processes().filter(|process| process.group == leader) {
            sum.tasks += process.tasks;
            sum.cpu += process.cpu;
            sum.memory += process.memory;
        }
        sum
    }
}

/// Resources that processes use.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) cpu: Duration,
    memory: u64,
    tasks: usize,
}

impl Usage {
    /// The bound that is exceeded, if one is, as a sentence about the tool.
    pub(super) fn above(&self, bounds: &Bounds) -> Option<String> {
        if self.tasks > bounds.tasks {
            return Some(format!(
                "ran {} processes and threads at the same time; {} are allowed",
                self.tasks, bounds.tasks
            ));
        }
        if self.memory > bounds.memory {
            let bytes = |bytes: u64| Bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
            let most = bytes(bounds.memory);
            return Some(format!("took more than {most} of memory; make the app smaller"));
        }
        (self.cpu > bounds.cpu).then(|| too_much_cpu(bounds.cpu))
    }
}

pub(super) fn too_much_cpu(most: Duration) -> String {
    format!(
        "was still at work after {} s of CPU time; does a module loop when it is imported?",
        most.as_secs()
    )
}

/// A process, by `/proc/PID/stat`.
struct Process {
    id: i32,
    parent: i32,
    group: i32,
    cpu: Duration,
    memory: u64,
    tasks: usize,
}

/// The processes that this one may see.
fn processes() -> impl Iterator<Item = Process> {
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit());
    // A process may have ended meanwhile.
    ids.filter_map(|entry| process(&fs::read_to_string(entry.path().join("stat")).ok()?))
}

fn process(stat: &str) -> Option<Process> {
    // The name of the program may have spaces and brackets itself.
    let (id, _) = stat.split_once(' ')?;
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // By their numbers in proc(5), the first after the name being 3.
    let field = |number: usize| fields.get(number - 3)?.parse::<i64>().ok();
    let ticks = field(14)? + field(15)? + field(16)? + field(17)?;
    let pages = u64::try_from(field(24)?).unwrap_or(0);
    let cpu = u64::try_from(ticks).unwrap_or(0) * 1000 / clock_ticks_per_second().max(1);
    Some(Process {
        id: id.parse().ok()?,
        parent: i32::try_from(field(4)?).ok()?,
        group: i32::try_from(field(5)?).ok()?,
        cpu: Duration::from_millis(cpu),
        memory: pages * page_size() as u64,
        tasks: usize::try_from(field(20)?).unwrap_or(0),
    })
}

/// The processes and threads of the user of this process.
pub(in crate::build) fn tasks_of_user() -> u64 {
    let user = getuid().as_raw();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = all.filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() == user));
    let stats = own.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter_map(|stat| Some(process(&stat)?.tasks as u64)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let stat = "12 (a) b (c) R 1 77 77 0 -1 4194304 9 0 0 0 100 50 25 25 20 0 5 0 9 4096 3 0";
        let process = process(stat).expect("a process");
        let ticks = 200 * 1000 / clock_ticks_per_second();
        assert_eq!((process.id, process.parent, process.group), (12, 1, 77));
        assert_eq!(process.tasks, 5);
        assert_eq!(process.cpu, Duration::from_millis(ticks));
        assert_eq!(process.memory, 3 * page_size() as u64);
        assert!(super::process("12 (a").is_none());
    }
}
