//! All connections, by the client addresses that they come from: how many each
//! has, and which end where places are short.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::activity::Activity;
use super::memory::{ConnectionMemory, Network};
use crate::limits::rate::network;

/// How many connections are told to end at once where places are short.
const AT_ONCE: usize = 32;

/// Connections by the network that they come from, and their memory.
pub(super) struct Addresses {
    all: Mutex<All>,
    memory: Arc<ConnectionMemory>,
}

#[derive(Default)]
struct All {
    networks: HashMap<Network, Connections>,
    next: u64,
    draining: bool,
}

/// The connections of a network, by number.
type Connections = HashMap<u64, Arc<Activity>>;

impl All {
    /// The connections of the networks that have more than half of what any has.
    fn of_busiest(&self, has: impl Fn(&Connections) -> usize) -> Vec<&Arc<Activity>> {
        let networks: Vec<_> = self.networks.values().map(|there| (has(there), there)).collect();
        let most = networks.iter().map(|(has, _)| *has).max().unwrap_or_default();
        let busiest = networks.into_iter().filter(|(has, _)| has * 2 > most);
        busiest.flat_map(|(_, there)| there.values()).collect()
    }
}

/// A place of a connection.
pub(super) struct Place {
    addresses: Arc<Addresses>,
    network: Network,
    number: u64,
}

impl Addresses {
    pub(super) fn new(memory: ConnectionMemory) -> Arc<Addresses> {
        Arc::new(Addresses { all: Mutex::default(), memory: Arc::new(memory) })
    }

    /// The memory of all connections.
    pub(super) fn memory(&self) -> Arc<ConnectionMemory> {
        self.memory.clone()
    }

    /// Closes connections of slow clients, if there is little memory left.
    pub(super) fn make_room(&self) {
        let excess = self.memory.excess();
        if excess > 0 {
            self.free(excess);
        }
    }

    /// A place for one more connection of an address, if it has less than
    /// `most`; one of `None` always has.
    pub(super) fn take(
        self: &Arc<Addresses>,
        address: Option<SocketAddr>,
        most: usize,
        activity: &Arc<Activity>,
    ) -> Option<Place> {
        let network = address.map(|address| network(address.ip()));
        let mut all = self.all();
        if all.draining {
            activity.drain();
        }
        let number = all.next;
        let there = all.networks.entry(network).or_default();
        if network.is_some() && there.len() >= most {
            return None;
        }
        there.insert(number, activity.clone());
        all.next += 1;
        Some(Place { addresses: self.clone(), network, number })
    }

    /// Tells all connections that the server drains.
    pub(super) fn drain(&self) {
        let mut all = self.all();
        all.draining = true;
        all.networks.values().flat_map(HashMap::values).for_each(|activity| activity.drain());
    }

    /// Tells some connections to end on which nothing goes on, or whose clients are
    /// slow, longest first: of the networks that have more than half as many as any,
    /// so that none takes the places of those that have few.
    pub(super) fn make_places(&self) {
        let all = self.all();
        let ending = all.of_busiest(HashMap::len).into_iter();
        let mut ending: Vec<_> =
            ending.filter_map(|activity| Some((activity.idle_or_slow_for()?, activity))).collect();
        ending.sort_by_key(|(time, _)| Reverse(*time));
        ending.into_iter().take(AT_ONCE).for_each(|(_, activity)| activity.make_room());
    }

    /// Does the same until connections with so many bytes of memory end, largest
    /// first, of the networks that have more than half as much memory as any.
    fn free(&self, bytes: usize) {
        let all = self.all();
        let bytes_of = |there: &Connections| there.values().map(|one| one.bytes()).sum();
        let ending = all.of_busiest(bytes_of).into_iter();
        let ending = ending.filter(|activity| activity.idle_or_slow_for().is_some());
        let mut ending: Vec<_> = ending.map(|activity| (activity.bytes(), activity)).collect();
        ending.sort_by_key(|(bytes, _)| Reverse(*bytes));
        let mut freed = 0;
        for (held, activity) in ending {
            if freed >= bytes {
                return;
            }
            freed += held;
            activity.make_room();
        }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.addresses.all();
        if let Some(there) = all.networks.get_mut(&self.network) {
            there.remove(&self.number);
            if there.is_empty() {
                all.networks.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_has_its_places() {
        let addresses = Addresses::new(ConnectionMemory::new(1 << 20, 1 << 20));
        let take = |text: &str| addresses.take(text.parse().ok(), 2, &Activity::new());
        let (first, second) = (take("[fd00::1]:1"), take("[fd00::2]:1"));
        assert!(first.is_some() && second.is_some());
        assert!(take("[fd00::3]:1").is_none());
        assert!(take("[fd00:0:0:1::3]:1").is_some());
        drop(first);
        assert!(take("[fd00::3]:1").is_some());
        assert!((0..3).map(|_| take("unix")).all(|place| place.is_some()), "not counted");
        drop(second);
        assert!(addresses.all().networks.is_empty(), "all places are free");
    }
}
