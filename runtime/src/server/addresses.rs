//! How many connections each client address has.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::rate::network;

/// Connections by the network that they come from.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// A place of a connection.
#[derive(Debug)]
pub(super) struct Place(Option<(Arc<Addresses>, IpAddr)>);

impl Addresses {
    /// A place for one more connection of an address, if it has less than
    /// `most`; `None` as an address is not counted.
    pub(super) fn take(
        self: &Arc<Addresses>,
        address: Option<SocketAddr>,
        most: usize,
    ) -> Option<Place> {
        let Some(address) = address else { return Some(Place(None)) };
        let network = network(address.ip());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(network).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place(Some((self.clone(), network))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((addresses, network)) = &self.0 else { return };
        let mut all = addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(network) {
            *count -= 1;
            if *count == 0 {
                all.remove(network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_has_its_places() {
        let addresses = Arc::new(Addresses::default());
        let take = |text: &str| addresses.take(text.parse().ok(), 2);
        let (first, second) = (take("[fd00::1]:1"), take("[fd00::2]:1"));
        assert!(first.is_some() && second.is_some());
        assert!(take("[fd00::3]:1").is_none());
        assert!(take("[fd00:0:0:1::3]:1").is_some());
        drop(first);
        assert!(take("[fd00::3]:1").is_some());
        assert!(take("unix").is_some(), "not counted");
        drop(second);
        assert!(addresses.0.lock().unwrap().is_empty());
    }
}
