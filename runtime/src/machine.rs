//! What the machine can give, beside what the limits ask for.

mod memory;

use crate::limits::Limits;
use crate::units::Bytes;
use crate::wasm::ADDRESSES_OF_INSTANCE;

/// Engines that there are when components need all of them, each with its pool.
const POOLS: usize = 3;
/// Mappings that a slot of a pool may take: two memories in their parts, and the
/// stack. Measured: 4.0 with one memory, 6.2 with two.
const MAPPINGS: usize = 7;
/// Addresses that a process has for the pools, in bytes, beside what else it has:
/// 2^47 on x86-64.
const ADDRESSES: usize = (1 << 47) - (1 << 43);
/// Descriptors that are not connections: listeners, logs, components, roots.
const DESCRIPTORS: usize = 64;

/// Connections have an eighth of the server's memory by default: at least 8 MiB, and at
/// most 64 KiB for each connection.
const FOR_CONNECTIONS: usize = 8;
const LEAST_FOR_CONNECTIONS: usize = 8 << 20;
pub(crate) const A_CONNECTION: usize = 64 << 10;

/// The part of all descriptors that connections leave by default to the files
/// that they are sent.
const FOR_FILES: usize = 4;

/// Mappings that a loaded component has: before its code, the code, after it.
const OF_COMPONENT: usize = 3;
/// Mappings of everything else: threads, libraries, the heap.
const BESIDE: usize = 4_096;
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
/// connections is lowered to what there is.
///
/// Returns those that are above what the machine can give.
pub(crate) fn fit(limits: &mut Limits) -> Vec<Unfit> {
    let descriptors = descriptors();
    if limits.connections == Limits::default().connections {
        let most = descriptors.map_or(usize::MAX, |most| (most - most / FOR_FILES).max(1));
        limits.connections = limits.connections.min(most);
    }
    let mut problems = Vec::new();
    let mut most = |name, asked: usize, there: Option<usize>, by: &str| {
        if let Some(there) = there.filter(|there| asked > *there) {
            let why = format!("the machine gives {there}, by {by}");
            problems.push(Unfit { name, asked: asked.to_string(), why });
        }
    };
    let maps = mappings()
        .map(|maps| (maps / POOLS / MAPPINGS, "vm.max_map_count; lower it, or raise that"));
    let apart = (ADDRESSES / POOLS / ADDRESSES_OF_INSTANCE, "the addresses of a process; lower it");
    let (slots, by) = maps.into_iter().chain([apart]).min().unwrap_or(apart);
    most("instances", limits.instances, Some(slots), by);
    let by = "the limit of open descriptors; lower it, or raise that";
    most("connections", limits.connections, descriptors, by);
    problems.extend(wrong_memory(limits, memory::there_is()));
    problems
}

/// A limit that is above what the machine can give.
#[derive(Debug)]
pub(crate) struct Unfit {
    pub(crate) name: &'static str,
    asked: String,
    /// What there is, and the mend.
    pub(crate) why: String,
}

impl Unfit {
    pub(crate) fn new(name: &'static str, asked: String, why: String) -> Unfit {
        Unfit { name, asked, why }
    }
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Unfit { name, asked, why } = self;
        write!(f, "{name} = {asked}: {why}")
    }
}

/// What is left for components by limits that fit.
pub(crate) fn room(limits: &Limits) -> Room {
    let pool = limits.instances.saturating_mul(POOLS * MAPPINGS).saturating_add(BESIDE);
    let mapped = mappings().map(|maps| maps.saturating_sub(pool) / OF_COMPONENT);
    let opened = descriptors().map(|most| most / FOR_COMPONENTS);
    let components = mapped.unwrap_or(usize::MAX).min(opened.unwrap_or(usize::MAX)).max(1);
    Room { components }
}

/// What is wrong with the limits of memory where there is so much.
fn wrong_memory(limits: &Limits, there: Option<usize>) -> Vec<Unfit> {
    let Limits { memory, server_memory, connection_memory, .. } = *limits;
    let mut problems = Vec::new();
    let mut most = |name, asked: usize, there: Option<usize>, what: &str| {
        if let Some(there) = there.filter(|there| asked > *there) {
            let why = format!("{what} {}; lower it", Bytes(there));
            problems.push(Unfit { name, asked: Bytes(asked).to_string(), why });
        }
    };
    let machine = "the machine has";
    most("memory", memory, there, machine);
    most("server-memory", server_memory.unwrap_or(0), there, machine);
    most("memory", memory, server_memory, "all tenants together have server-memory =");
    let connections = connection_memory.unwrap_or(0);
    most("connection-memory", connections, server_memory, "the server has server-memory =");
    // The defaults of these are for large machines, and do no harm on small ones.
    let usual = Limits::default();
    for (name, asked, usual) in [
        ("tenant-memory", limits.tenant_memory, usual.tenant_memory),
        ("body", limits.body, usual.body),
        ("response", limits.response, usual.response),
        ("value", limits.value, usual.value),
        ("file-cache", limits.file_cache, usual.file_cache),
        ("code", limits.code, usual.code),
    ] {
        if asked != usual {
            most(name, asked, there, machine);
        }
    }
    problems
}

/// What no tenant gets by default, in bytes: connections, files in memory, and
/// what free slots of the pool keep take about as much when there are as many as
/// there may be.
const OTHERS: usize = 512 << 20;

/// The memory of all tenants and connections together, in bytes: the limit, or else
/// what is left of what there is.
fn server_memory(limits: &Limits) -> usize {
    limits.server_memory.or_else(|| memory::there_is().map(for_tenants)).unwrap_or(usize::MAX)
}

/// The part of that for all connections, in bytes.
pub(crate) fn connection_memory(limits: &Limits) -> usize {
    connections_part(limits, server_memory(limits))
}

fn connections_part(limits: &Limits, all: usize) -> usize {
    let most = limits.connections.saturating_mul(A_CONNECTION);
    let usual = (all / FOR_CONNECTIONS).min(most).max(LEAST_FOR_CONNECTIONS).min(all / 2);
    limits.connection_memory.unwrap_or(usual)
}

/// The part of that for all tenants together, in bytes.
pub(crate) fn tenants_memory(limits: &Limits) -> usize {
    let all = server_memory(limits);
    all.saturating_sub(connections_part(limits, all))
}

/// Three quarters of what there is; of a small machine half.
fn for_tenants(there: usize) -> usize {
    there - (there / 4).max(OTHERS.min(there / 2))
}

/// What connections, components and files may have of the descriptors. Raises the
/// limit of open ones to what the system allows.
fn descriptors() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // If it is not allowed, what is there counts.
    let _ = setrlimit(Resource::Nofile, raised);
    let limit = getrlimit(Resource::Nofile);
    let most = limit.current.map(|current| usize::try_from(current).unwrap_or(usize::MAX));
    most.map(|most| most.saturating_sub(DESCRIPTORS).max(1))
}

/// How many mappings a process may have.
fn mappings() -> Option<usize> {
    number_in("/proc/sys/vm/max_map_count")
}

fn number_in(path: &str) -> Option<usize> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_memory_is_for_tenants() {
        for (there, expected) in [(16 << 30, 12 << 30), (1 << 30, 512 << 20), (4 << 20, 2 << 20)] {
            assert_eq!(for_tenants(there), expected);
        }
    }

    #[test]
    fn connections_have_a_part_of_the_memory() {
        for (all, connections, part) in [
            (64 << 20, 10_000, 8 << 20),
            (1 << 30, 10_000, 128 << 20),
            (100 << 30, 10_000, 10_000 * A_CONNECTION),
            (8 << 20, 10_000, 4 << 20),
            (1 << 30, 1, 8 << 20),
        ] {
            let limits = Limits { server_memory: Some(all), connections, ..Limits::default() };
            assert_eq!(connection_memory(&limits), part, "{all} {connections}");
            assert_eq!(tenants_memory(&limits), all - part, "{all} {connections}");
            let limits = Limits { connection_memory: Some(1 << 20), ..limits };
            assert_eq!(tenants_memory(&limits), all - (1 << 20));
        }
    }

    #[test]
    fn memory_that_is_not_there_is_refused_with_the_numbers() {
        let limits = |memory, server_memory| Limits { memory, server_memory, ..Limits::default() };
        let wrong = |memory, server_memory, there| {
            let wrong = wrong_memory(&limits(memory, server_memory), there);
            wrong.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(wrong(4 << 20, Some(8 << 20), Some(8 << 20)), [""; 0]);
        assert_eq!(wrong(4 << 20, None, None), [""; 0]);
        assert_eq!(
            wrong(16 << 20, Some(9 << 20), Some(8 << 20)),
            [
                "memory = 16MiB: the machine has 8MiB; lower it",
                "server-memory = 9MiB: the machine has 8MiB; lower it",
                "memory = 16MiB: all tenants together have server-memory = 9MiB; lower it",
            ]
        );
        let cache = Limits { memory: 0, file_cache: 9 << 20, ..Limits::default() };
        let wrong = wrong_memory(&cache, Some(8 << 20));
        assert_eq!(wrong[0].to_string(), "file-cache = 9MiB: the machine has 8MiB; lower it");
        assert_eq!(wrong.len(), 1, "what is as usual is not refused");
    }
}
