//! What the machine can give, beside what the limits ask for.

use crate::error::StartError;
use crate::limits::Limits;
use crate::units::Bytes;

/// Mappings that a slot of the pool may take: the memory of an instance in its
/// parts, and the stack.
const MAPPINGS: usize = 3;
/// Descriptors that are not connections: listeners, logs, components, roots.
const DESCRIPTORS: usize = 64;

/// The part of all descriptors that connections leave by default to the files
/// that they are sent.
const FOR_FILES: usize = 4;

/// Mappings that a loaded component has: before its code, the code, after it.
const OF_COMPONENT: usize = 3;
/// Mappings of everything else: threads, libraries, the heap.
const OTHERS: usize = 4_096;
/// The part of all descriptors that loaded components may have, one each.
const FOR_COMPONENTS: usize = 8;

/// How much of something there is room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Components that are loaded at the same time.
    pub(crate) components: usize,
}

/// Compares single limits with the machine. What all tenants together may ask
/// for is not looked at: it is meant to be more than there is. The default of
/// connections is lowered to what there is. Returns what is left for components.
///
/// # Errors
/// A limit is above what the machine can give; the message has both numbers.
pub(crate) fn fit(limits: &mut Limits) -> Result<Room, StartError> {
    let descriptors = descriptors().map(|most| most.saturating_sub(DESCRIPTORS).max(1));
    if limits.connections == Limits::default().connections {
        let most = descriptors.map_or(usize::MAX, |most| (most - most / FOR_FILES).max(1));
        limits.connections = limits.connections.min(most);
    }
    let mut problems = Vec::new();
    let mut most = |name: &str, asked: usize, there: Option<usize>, what: &str, mend: &str| {
        if let Some(there) = there.filter(|there| asked > *there) {
            problems
                .push(format!("{name} = {asked}: the machine gives {there}, by {what}; {mend}"));
        }
    };
    let all_maps = number_in("/proc/sys/vm/max_map_count");
    let maps = all_maps.map(|maps| maps / MAPPINGS);
    most("instances", limits.instances, maps, "vm.max_map_count", "lower it, or raise that");
    let named = "the limit of open descriptors";
    most("connections", limits.connections, descriptors, named, "lower it, or raise that");
    if let Some(memory) = total_memory().filter(|memory| limits.memory > *memory) {
        let (asked, memory) = (Bytes(limits.memory), Bytes(memory));
        problems.push(format!("memory = {asked}: the machine has {memory}; lower it"));
    }
    let pool = limits.instances.saturating_mul(MAPPINGS).saturating_add(OTHERS);
    let mapped = all_maps.map(|maps| maps.saturating_sub(pool) / OF_COMPONENT);
    let opened = descriptors.map(|most| most / FOR_COMPONENTS);
    let components = mapped.unwrap_or(usize::MAX).min(opened.unwrap_or(usize::MAX)).max(1);
    if problems.is_empty() { Ok(Room { components }) } else { Err(StartError::Config(problems)) }
}

/// Raises the limit of open descriptors to what the system allows.
fn descriptors() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // If it is not allowed, what is there counts.
    let _ = setrlimit(Resource::Nofile, raised);
    let limit = getrlimit(Resource::Nofile);
    limit.current.map(|current| usize::try_from(current).unwrap_or(usize::MAX))
}

fn number_in(path: &str) -> Option<usize> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Linux has it in a file; elsewhere it is not checked.
fn total_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}
