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
    /// Where it names the client that it asks for, if it is trusted.
    pub(crate) trusted: Option<Naming>,
}

/// How proxies name the client that they ask for. SECURITY: a proxy writes one and
/// passes the other on as a client has sent it, so only one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Naming {
    /// `X-Forwarded-For` and `-Proto`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
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
    /// Who asks: the peer itself, or the last client that a trusted proxy names.
    pub(crate) fn asking(&self, headers: &HeaderMap) -> Asking {
        let itself = Asking { remote: self.address.unwrap_or(NOBODY), secure: self.tls.is_some() };
        let Some(naming) = self.trusted else { return itself };
        let last = |name| headers.get_all(name).iter().next_back()?.to_str().ok();
        let of_list = |list: Option<&'_ str>| {
            list.and_then(|list| list.rsplit(',').next()).map(|item| item.trim().to_owned())
        };
        let (client, scheme) = match naming {
            Naming::XForwarded => (of_list(last(FORWARDED_FOR)), of_list(last(FORWARDED_PROTO))),
            Naming::Forwarded => {
                let element = of_list(last(http::header::FORWARDED)).unwrap_or_default();
                (parameter(&element, "for"), parameter(&element, "proto"))
            }
        };
        Asking {
            remote: client.and_then(|text| address(&text)).unwrap_or(itself.remote),
            secure: scheme.map_or(itself.secure, |scheme| scheme.eq_ignore_ascii_case("https")),
        }
    }
}

/// Parameters of a forwarded element that are read; RFC 7239 section 5 has four.
const MOST_PARAMETERS: usize = 16;

/// A parameter of a forwarded element: `for="[::1]:80";proto=https`.
fn parameter(element: &str, name: &str) -> Option<String> {
    let pairs = element.split(';').take(MOST_PARAMETERS);
    let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
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

    fn asked(trusted: Option<Naming>, headers: &[(&'static str, &'static str)]) -> (String, bool) {
        let peer = Peer { address: "10.0.0.1:5".parse().ok(), tls: None, trusted };
        let headers = headers
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let asking = peer.asking(&headers.collect());
        (asking.remote.to_string(), asking.secure)
    }

    #[test]
    fn a_trusted_proxy_names_the_client() {
        let (forwarded, x_forwarded) = (Naming::Forwarded, Naming::XForwarded);
        for (naming, name, value, remote, secure) in [
            (forwarded, "forwarded", "for=192.0.2.1;proto=https", "192.0.2.1:0", true),
            (forwarded, "forwarded", "for=192.0.2.1, for=\"[::1]:80\"", "[::1]:80", false),
            (
                forwarded,
                "forwarded",
                "a;b;c;d;e;f;g;h;i;j;k;l;m;n;o;for=192.0.2.1",
                "192.0.2.1:0",
                false,
            ),
            (
                forwarded,
                "forwarded",
                "a;b;c;d;e;f;g;h;i;j;k;l;m;n;o;;for=192.0.2.1",
                "10.0.0.1:5",
                false,
            ),
            (forwarded, "forwarded", "For=unknown", "10.0.0.1:5", false),
            (x_forwarded, "x-forwarded-for", "203.0.113.9, 192.0.2.1", "192.0.2.1:0", false),
            (x_forwarded, "x-forwarded-for", "2001:db8::1", "[2001:db8::1]:0", false),
            (x_forwarded, "x-forwarded-for", "nonsense", "10.0.0.1:5", false),
            (x_forwarded, "x-forwarded-proto", "https", "10.0.0.1:5", true),
        ] {
            let headers = [(name, value)];
            assert_eq!(asked(Some(naming), &headers), (remote.to_owned(), secure), "{value}");
            assert_eq!(asked(None, &headers), ("10.0.0.1:5".to_owned(), false));
        }
    }

    #[test]
    fn what_the_proxy_only_passes_on_does_not_count() {
        let both = [
            ("forwarded", "for=198.51.100.7;proto=https"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "http"),
        ];
        assert_eq!(asked(Some(Naming::XForwarded), &both), ("192.0.2.1:0".to_owned(), false));
        assert_eq!(asked(Some(Naming::Forwarded), &both), ("198.51.100.7:0".to_owned(), true));
        assert_eq!(asked(Some(Naming::XForwarded), &both[..1]), ("10.0.0.1:5".to_owned(), false));
    }
}
