//! Sets of addresses, as they are written down. Pure.

use std::net::{IpAddr, SocketAddr};

/// Addresses of peers: `10.0.0.0/8`, `::1`, and `unix` for those of sockets of
/// the file system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Networks {
    networks: Vec<(IpAddr, u8)>,
    unix: bool,
}

impl Networks {
    /// Adds a network.
    ///
    /// # Errors
    /// A sentence: what is wrong with it, and the mend.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), String> {
        if text == "unix" {
            self.unix = true;
            return Ok(());
        }
        let wrong = || "write an address or a network: 10.0.0.1, 10.0.0.0/8, fd00::/8".to_owned();
        let (address, bits) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = if bits.is_empty() { most } else { bits.parse().map_err(|_| wrong())? };
        if bits > most {
            return Err(wrong());
        }
        self.networks.push((address, bits));
        Ok(())
    }

    /// Whether a peer is among them; `None` is one of a Unix socket.
    pub(crate) fn contain(&self, peer: Option<SocketAddr>) -> bool {
        let Some(peer) = peer else { return self.unix };
        let peer = peer.ip().to_canonical();
        self.networks.iter().any(|(network, bits)| match (network, peer) {
            (IpAddr::V4(network), IpAddr::V4(peer)) => {
                let shift = 32 - u32::from(*bits);
                let head = |address: u32| u64::from(address) >> shift;
                head(network.to_bits()) == head(peer.to_bits())
            }
            (IpAddr::V6(network), IpAddr::V6(peer)) => {
                let shift = 128 - u32::from(*bits);
                let head = |address: u128| address.checked_shr(shift).unwrap_or(0);
                head(network.to_bits()) == head(peer.to_bits())
            }
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        for (network, peer, contained) in [
            ("10.0.0.0/8", "10.1.2.3:1", true),
            ("10.0.0.0/8", "11.1.2.3:1", false),
            ("10.0.0.0/8", "[::ffff:10.1.2.3]:1", true),
            ("10.0.0.1", "10.0.0.1:1", true),
            ("10.0.0.1", "10.0.0.2:1", false),
            ("0.0.0.0/0", "1.2.3.4:1", true),
            ("::/0", "[fd00::1]:1", true),
            ("::/0", "1.2.3.4:1", false),
            ("fd00::/8", "[fd12::1]:1", true),
            ("fd00::/8", "[fe80::1]:1", false),
        ] {
            let mut networks = Networks::default();
            networks.add(network).unwrap();
            assert_eq!(networks.contain(peer.parse().ok()), contained, "{network} {peer}");
            assert!(!networks.contain(None));
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "a", "::/129", "1.2.3.4/-1"] {
            assert!(Networks::default().add(wrong).is_err(), "{wrong}");
        }
    }
}
