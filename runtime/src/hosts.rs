//! Which tenant a host belongs to. Pure data.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;

/// The hosts that a tenant answers, in the form in which requests have them:
/// lower case, punycode, no port, no dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostPattern {
    /// `acme.example`, an address, or `[::1]`.
    Exact(String),
    /// `*.acme.example`: all hosts below, kept without the `*.`.
    Below(String),
    /// `*`: every host that no other pattern has.
    Any,
}

/// Hosts and what they lead to. The most specific pattern wins.
#[derive(Debug)]
pub(crate) struct Hosts<T> {
    exact: HashMap<String, T>,
    below: HashMap<String, T>,
    any: Option<T>,
}

impl HostPattern {
    /// Reads a pattern as people write it.
    ///
    /// # Errors
    /// A sentence: what is wrong with it, and the mend.
    pub(crate) fn parse(text: &str) -> Result<HostPattern, String> {
        if text == "*" {
            return Ok(HostPattern::Any);
        }
        if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: Result<Ipv6Addr, _> = address.parse();
            let address = address.map_err(|_| "no IPv6 address in brackets".to_owned())?;
            return Ok(HostPattern::Exact(format!("[{address}]")));
        }
        if text.contains([':', '/', '@']) {
            return Err("a host has no scheme, user, port or path: write acme.example".to_owned());
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if name.contains('*') {
            return Err("a * stands alone, or in front as in *.acme.example".to_owned());
        }
        let ascii = idna::domain_to_ascii_strict(name.trim_end_matches('.'));
        let ascii = ascii.ok().filter(|ascii| !ascii.is_empty());
        let ascii = ascii.ok_or("no host name: write it like acme.example")?;
        Ok(if below { HostPattern::Below(ascii) } else { HostPattern::Exact(ascii) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Below(name) => write!(f, "*.{name}"),
            HostPattern::Any => f.write_str("*"),
        }
    }
}

impl<T> Default for Hosts<T> {
    fn default() -> Hosts<T> {
        Hosts { exact: HashMap::new(), below: HashMap::new(), any: None }
    }
}

impl<T> Hosts<T> {
    /// Adds a pattern; the one that was there before, if any, is returned.
    pub(crate) fn add(&mut self, pattern: HostPattern, target: T) -> Option<T> {
        match pattern {
            HostPattern::Exact(name) => self.exact.insert(name, target),
            HostPattern::Below(name) => self.below.insert(name, target),
            HostPattern::Any => self.any.replace(target),
        }
    }

    /// What a host leads to: itself, the longest name it is below, or any.
    pub(crate) fn find(&self, host: &str) -> Option<&T> {
        self.exact.get(host).or_else(|| self.find_below(host)).or(self.any.as_ref())
    }

    fn find_below(&self, host: &str) -> Option<&T> {
        if self.below.is_empty() {
            return None;
        }
        let mut names = host.match_indices('.').filter_map(|(dot, _)| host.get(dot + 1..));
        names.find_map(|name| self.below.get(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_brought_to_one_form() {
        for (text, pattern) in [
            ("Acme.Example", Some("acme.example")),
            ("acme.example.", Some("acme.example")),
            ("*.Acme.example", Some("*.acme.example")),
            ("*", Some("*")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("[0:0::1]", Some("[::1]")),
            ("localhost", Some("localhost")),
            ("acme.example:80", None),
            ("http://acme.example", None),
            ("a*.example", None),
            ("*.*.example", None),
            ("", None),
            (".", None),
            ("a b", None),
            ("[x]", None),
        ] {
            let read = HostPattern::parse(text).ok().map(|pattern| pattern.to_string());
            assert_eq!(read.as_deref(), pattern, "{text}");
        }
    }

    #[test]
    fn the_most_specific_host_wins() {
        let mut hosts = Hosts::default();
        for pattern in ["a.example", "*.a.example", "*.b.a.example", "*"] {
            assert_eq!(hosts.add(HostPattern::parse(pattern).unwrap(), pattern), None);
        }
        for (host, pattern) in [
            ("a.example", "a.example"),
            ("x.a.example", "*.a.example"),
            ("x.y.a.example", "*.a.example"),
            ("b.a.example", "*.a.example"),
            ("x.b.a.example", "*.b.a.example"),
            ("xa.example", "*"),
            ("", "*"),
        ] {
            assert_eq!(hosts.find(host), Some(&pattern), "{host}");
        }
        let mut hosts = Hosts::default();
        hosts.add(HostPattern::Below("a.example".to_owned()), 1);
        assert_eq!(hosts.find("b.example"), None);
    }
}
