//! The origins that an app may send requests to, as they are granted. Pure.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::networks::Networks;
use crate::hosts::HostPattern;

/// Granted origins, and networks whose addresses may be dialled though they are
/// not public.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Origins {
    patterns: Vec<Pattern>,
    networks: Networks,
}

/// `https://api.example.com`, `https://*.example.com`, `http://10.0.0.5:8080`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pattern {
    secure: bool,
    host: HostPattern,
    port: u16,
}

/// Where a request is for: the host in lower case, without a dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) secure: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// What stands behind the name of an app in the host of a call to it.
const INTERNAL: &str = ".internal";

impl Origins {
    /// Adds what is granted: an origin, or a network.
    ///
    /// # Errors
    /// A sentence: what is wrong with it, and the mend.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), String> {
        match text.split_once("://") {
            None if text != "unix" && self.networks.add(text).is_ok() => Ok(()),
            None => Err("write an origin, https://api.example.com or http://10.0.0.5:8080, or a \
                         network, 10.0.0.0/8"
                .to_owned()),
            Some((scheme, rest)) => {
                self.patterns.push(pattern(scheme, rest)?);
                Ok(())
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether requests to an origin are granted.
    pub(crate) fn allow(&self, origin: &Origin) -> bool {
        self.patterns.iter().any(|pattern| pattern.has(origin))
    }

    /// Whether an address may be dialled whatever it is: it stands in a granted
    /// origin itself, or in a granted network.
    pub(crate) fn allow_address(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let named = |pattern: &Pattern| pattern.port == address.port() && pattern.ip() == Some(ip);
        self.networks.contain(Some(address)) || self.patterns.iter().any(named)
    }
}

impl Pattern {
    fn has(&self, origin: &Origin) -> bool {
        let host = match &self.host {
            HostPattern::Exact(name) => *name == origin.host,
            HostPattern::Below(name) => {
                let above = origin.host.strip_suffix(name.as_str());
                above.is_some_and(|above| above.len() > 1 && above.ends_with('.'))
            }
            // Other apps of the tenant are granted by name.
            HostPattern::Any => origin.app().is_none(),
        };
        host && self.secure == origin.secure && self.port == origin.port
    }

    fn ip(&self) -> Option<IpAddr> {
        match &self.host {
            HostPattern::Exact(name) => ip(name),
            HostPattern::Below(_) | HostPattern::Any => None,
        }
    }
}

impl Origin {
    /// The name of the tenant's own app that it is: `cart` of
    /// `http://cart.internal`.
    pub(crate) fn app(&self) -> Option<&str> {
        let name = self.host.strip_suffix(INTERNAL)?;
        (!name.contains('.')).then_some(name)
    }

    /// Its address, if its host is one.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        ip(&self.host)
    }

    /// The host, and the port unless it is the scheme's own.
    pub(crate) fn authority(&self) -> String {
        if self.port == port_of(self.secure) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

/// The port that is not written.
pub(crate) fn port_of(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// The address that a host is; IPv6 stands in brackets.
fn ip(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

fn pattern(scheme: &str, rest: &str) -> Result<Pattern, String> {
    let secure = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err("an origin begins with https:// or http://".to_owned()),
    };
    if rest.contains(['/', '?', '#', '@', '\\']) {
        return Err("an origin has no user and no path: write https://api.example.com".to_owned());
    }
    let end = if rest.starts_with('[') { rest.find(']').map(|at| at + 1) } else { rest.find(':') };
    let (host, port) = rest.split_at(end.unwrap_or(rest.len()));
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => Ok(port_of(secure)),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse(),
        _ => "".parse(),
    };
    let port = port.ok().filter(|port| *port > 0).ok_or("the port is no number up to 65535")?;
    Ok(Pattern { secure, host: HostPattern::parse(host)?, port })
}

/// The name of an app, as other apps of its tenant call it.
///
/// # Errors
/// A sentence with the mend.
pub(super) fn app_name(text: &str) -> Result<String, String> {
    let known = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    let sound = (1..=63).contains(&text.len()) && text.bytes().all(known);
    let sound = sound && !text.starts_with('-') && !text.ends_with('-');
    let wrong = || "a name has 1 to 63 letters in lower case, digits, - and _".to_owned();
    if sound { Ok(text.to_owned()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(texts: &[&str]) -> Origins {
        let mut origins = Origins::default();
        texts.iter().for_each(|text| origins.add(text).unwrap());
        origins
    }

    fn origin(text: &str) -> Origin {
        let (scheme, rest) = text.split_once("://").unwrap();
        let (host, port) = rest.rsplit_once(':').unwrap();
        Origin { secure: scheme == "https", host: host.to_owned(), port: port.parse().unwrap() }
    }

    #[test]
    fn an_origin_is_allowed_by_scheme_host_and_port() {
        for (granted, asked, allowed) in [
            ("https://api.example.com", "https://api.example.com:443", true),
            ("https://API.example.com.", "https://api.example.com:443", true),
            ("https://api.example.com", "http://api.example.com:80", false),
            ("https://api.example.com", "http://api.example.com:443", false),
            ("https://api.example.com", "https://api.example.com:8443", false),
            ("https://api.example.com", "https://x.api.example.com:443", false),
            ("https://api.example.com", "https://api.example.com.evil.com:443", false),
            ("https://*.example.com", "https://a.example.com:443", true),
            ("https://*.example.com", "https://a.b.example.com:443", true),
            ("https://*.example.com", "https://example.com:443", false),
            ("https://*.example.com", "https://.example.com:443", false),
            ("https://*.example.com", "https://evilexample.com:443", false),
            ("http://10.0.0.5:8080", "http://10.0.0.5:8080", true),
            ("http://[::1]:8080", "http://[::1]:8080", true),
            ("http://*", "http://example.com:80", true),
            ("http://*", "http://cart.internal:80", false),
            ("http://cart.internal", "http://cart.internal:80", true),
        ] {
            let allow = origins(&[granted]).allow(&origin(asked));
            assert_eq!(allow, allowed, "{granted} {asked}");
        }
        assert!(!Origins::default().allow(&origin("https://a.example:443")));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for wrong in [
            "",
            "api.example.com",
            "unix",
            "ftp://a.example",
            "https://",
            "https://a.example/",
            "https://a@b.example",
            "https://a.example:0",
            "https://a.example:99999",
            "https://a.example:",
            "https://a*.example",
            "https://a.example#",
            "10.0.0.0/33",
        ] {
            assert!(Origins::default().add(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_granted_by_themselves_or_by_a_network() {
        let granted = origins(&["http://10.0.0.5:8080", "https://[fd00::1]", "192.168.0.0/16"]);
        for (address, allowed) in [
            ("10.0.0.5:8080", true),
            ("[::ffff:10.0.0.5]:8080", true),
            ("10.0.0.5:80", false),
            ("10.0.0.6:8080", false),
            ("[fd00::1]:443", true),
            ("192.168.3.4:1", true),
            ("172.16.0.1:1", false),
        ] {
            assert_eq!(granted.allow_address(address.parse().unwrap()), allowed, "{address}");
        }
    }

    #[test]
    fn apps_are_named_by_one_label_below_internal() {
        for (host, app) in
            [("cart.internal", Some("cart")), ("metadata.google.internal", None), ("a.com", None)]
        {
            let origin = Origin { secure: false, host: host.to_owned(), port: 80 };
            assert_eq!(origin.app(), app, "{host}");
        }
        for (name, sound) in [("cart", true), ("a_b-1", true), ("", false), ("A", false)] {
            assert_eq!(app_name(name).is_ok(), sound, "{name}");
        }
    }
}
