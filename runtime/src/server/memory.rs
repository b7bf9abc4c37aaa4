//! The memory of all connections: buffers, heads of requests, streams. It has a
//! bound, and each client network has a share of it.
//!
//! A network may have as much as stays free: one network alone half of all, two a
//! third each. The first connection of a network may go beyond the bound by an
//! eighth, so that a newcomer is served while slow connections are closed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The memory of a connection from its start, as measured on an idle one.
pub(super) const PLAIN: usize = 12 << 10;
/// The same for TLS and for HTTP/2, beside that.
pub(super) const TLS: usize = 10 << 10;
pub(super) const HTTP2: usize = 10 << 10;

/// An account takes memory of all in such steps, and keeps one when it gives back.
const STEP: usize = 4 << 10;

/// `None` for peers that are not counted: trusted proxies and local sockets.
pub(super) type Network = Option<IpAddr>;

/// The memory of all connections.
pub(crate) struct ConnectionMemory {
    most: usize,
    /// The most that a network ever has.
    share: usize,
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    used: usize,
    networks: HashMap<Network, usize>,
}

/// The memory of a connection, given back when dropped.
pub(super) struct Account {
    memory: Arc<ConnectionMemory>,
    network: Network,
    has: Mutex<Has>,
}

#[derive(Default)]
struct Has {
    used: usize,
    /// What is taken of all: `used`, in whole steps.
    taken: usize,
}

/// A part of a connection's memory, given back when dropped.
pub(super) struct Held {
    account: Arc<Account>,
    bytes: usize,
}

impl ConnectionMemory {
    pub(crate) fn new(most: usize, share: usize) -> ConnectionMemory {
        ConnectionMemory { most, share, all: Mutex::default() }
    }

    /// The bytes beyond 3/4 of the memory; 0 while no more than 7/8 is used.
    pub(super) fn excess(&self) -> usize {
        let used = self.all().used;
        if used <= self.most - self.most / 8 { 0 } else { used - self.most / 4 * 3 }
    }

    fn take(&self, network: Network, bytes: usize) -> bool {
        let mut all = self.all();
        let own = all.networks.get(&network).copied().unwrap_or_default();
        let free = self.most.saturating_sub(all.used);
        let may = match network {
            _ if own == 0 => bytes <= free + self.most / 8,
            None => bytes <= free,
            Some(_) => own + 2 * bytes <= free && own + bytes <= self.share,
        };
        if may {
            all.used += bytes;
            *all.networks.entry(network).or_default() += bytes;
        }
        may
    }

    fn give_back(&self, network: Network, bytes: usize) {
        let mut all = self.all();
        all.used -= bytes;
        if let Some(own) = all.networks.get_mut(&network) {
            *own -= bytes;
            if *own == 0 {
                all.networks.remove(&network);
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    pub(super) fn new(memory: Arc<ConnectionMemory>, network: Network) -> Arc<Account> {
        Arc::new(Account { memory, network, has: Mutex::default() })
    }

    /// Takes so many bytes, if the network may have them.
    pub(super) fn hold(self: &Arc<Account>, bytes: usize) -> Option<Held> {
        let mut has = self.has();
        let used = has.used.saturating_add(bytes);
        let lacks = used.saturating_sub(has.taken).next_multiple_of(STEP);
        if lacks > 0 && !self.memory.take(self.network, lacks) {
            return None;
        }
        has.taken += lacks;
        has.used = used;
        Some(Held { account: self.clone(), bytes })
    }

    /// The bytes that are held.
    pub(super) fn bytes(&self) -> usize {
        self.has().taken
    }

    fn less(&self, bytes: usize) {
        let mut has = self.has();
        has.used -= bytes;
        let spare = (has.taken - has.used).saturating_sub(STEP) / STEP * STEP;
        if spare > 0 {
            has.taken -= spare;
            self.memory.give_back(self.network, spare);
        }
    }

    fn has(&self) -> MutexGuard<'_, Has> {
        self.has.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let taken = self.has().taken;
        self.memory.give_back(self.network, taken);
    }
}

impl Held {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps no more than so many bytes.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.account.less(less);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.account.less(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Arc<ConnectionMemory> {
        Arc::new(ConnectionMemory::new(64 * STEP, 40 * STEP))
    }

    fn network(number: u8) -> Network {
        Some(IpAddr::from([10, 0, 0, number]))
    }

    /// How many steps connections of a network can hold, and those.
    fn fill(memory: &Arc<ConnectionMemory>, network: Network) -> Vec<Held> {
        let account = Account::new(memory.clone(), network);
        std::iter::from_fn(|| account.hold(STEP)).collect()
    }

    #[test]
    fn each_network_has_as_much_as_stays_free() {
        let memory = memory();
        let held: Vec<Vec<Held>> = (0..4).map(|number| fill(&memory, network(number))).collect();
        assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), [32, 16, 8, 4]);
        assert_eq!(memory.excess(), 60 * STEP - 48 * STEP);
        let newcomer = Account::new(memory.clone(), network(9));
        assert!(newcomer.hold(10 * STEP).is_some(), "beyond the bound");
        assert!(newcomer.hold(13 * STEP).is_none());
        drop((held, newcomer));
        let all = memory.all();
        assert_eq!((all.used, all.networks.len()), (0, 0));
    }

    #[test]
    fn small_changes_of_a_connection_take_nothing_of_all() {
        let memory = memory();
        let account = Account::new(memory.clone(), network(1));
        let mut first = account.hold(STEP - 100);
        for _ in 0..10 {
            assert!(account.hold(100).is_some());
            assert_eq!((account.bytes(), memory.all().used), (STEP, STEP));
        }
        let second = account.hold(5 * STEP);
        assert_eq!(account.bytes(), 6 * STEP);
        drop(second);
        assert_eq!(account.bytes(), 2 * STEP, "a step is kept");
        first.as_mut().unwrap().shrink(10);
        drop((first, account));
        assert_eq!(memory.all().used, 0);
    }
}
