//! Who is at the other end of a connection.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::header::{HeaderMap, HeaderName};

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// None for a Unix socket.
    pub(crate) address: Option<SocketAddr>,
    /// Over TLS.
    pub(crate) tls: Option<Tls>,
    /// Whether it may name the client that it asks for.
    pub(crate) trusted: bool,
}

/// What is known of a connection from its handshake.
#[derive(Debug)]
pub(crate) struct Tls {
    /// The host that the client named, in lower case.
    pub(crate) server_name: Option<String>,
}

/// Who asks, and how: what a proxy says counts if it is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asking {
    pub(crate) remote: SocketAddr,
    pub(crate) secure: bool,
}

/// What stands for a client of a Unix socket that no proxy names.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

impl Peer {
    /// Who asks: the peer itself, or the last client that a trusted proxy names,
    /// in `Forwarded` (RFC 7239) or `X-Forwarded-For` and `-Proto`.
    pub(crate) fn asking(&self, headers: &HeaderMap) -> Asking {
        let itself = Asking { remote: self.address.unwrap_or(NOBODY), secure: self.tls.is_some() };
        if !self.trusted {
            return itself;
        }
        let last = |name| headers.get_all(name).iter().next_back()?.to_str().ok();
        let of_list = |list: Option<&'_ str>| {
            list.and_then(|list| list.rsplit(',').next()).map(|item| item.trim().to_owned())
        };
        let (client, scheme) = match of_list(last(http::header::FORWARDED)) {
            Some(element) => (parameter(&element, "for"), parameter(&element, "proto")),
            None => (of_list(last(FORWARDED_FOR)), of_list(last(FORWARDED_PROTO))),
        };
        Asking {
            remote: client.and_then(|text| address(&text)).unwrap_or(itself.remote),
            secure: scheme.map_or(itself.secure, |scheme| scheme.eq_ignore_ascii_case("https")),
        }
    }
}

/// A parameter of a forwarded element: `for="[::1]:80";proto=https`.
fn parameter(element: &str, name: &str) -> Option<String> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"').to_owned())
}

/// An address with or without a port, IPv6 with or without brackets.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let alone = || Some(SocketAddr::new(bare.parse().ok()?, 0));
    text.parse().ok().or_else(alone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked(trusted: bool, name: &'static str, value: &'static str) -> (String, bool) {
        let peer = Peer { address: "10.0.0.1:5".parse().ok(), tls: None, trusted };
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        let asking = peer.asking(&headers);
        (asking.remote.to_string(), asking.secure)
    }

    #[test]
    fn a_trusted_proxy_names_the_client() {
        for (name, value, remote, secure) in [
            ("forwarded", "for=192.0.2.1;proto=https", "192.0.2.1:0", true),
            ("forwarded", "for=192.0.2.1, for=\"[2001:db8::1]:80\"", "[2001:db8::1]:80", false),
            ("forwarded", "For=unknown", "10.0.0.1:5", false),
            ("x-forwarded-for", "203.0.113.9, 192.0.2.1", "192.0.2.1:0", false),
            ("x-forwarded-for", "2001:db8::1", "[2001:db8::1]:0", false),
            ("x-forwarded-for", "nonsense", "10.0.0.1:5", false),
            ("x-forwarded-proto", "https", "10.0.0.1:5", true),
        ] {
            assert_eq!(asked(true, name, value), (remote.to_owned(), secure), "{name}: {value}");
            assert_eq!(asked(false, name, value), ("10.0.0.1:5".to_owned(), false));
        }
    }
}
