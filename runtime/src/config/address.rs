//! Where to listen, as it is written down. Pure.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) tls: bool,
    pub(crate) place: Place,
}

/// Where a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `HOST:PORT`.
    Tcp(String),
    /// A socket of the file system.
    Unix(PathBuf),
    /// All that systemd has opened and that no other listener names.
    Systemd,
}

impl Address {
    /// Reads `[http://|https://]HOST:PORT`, `unix:PATH` or `systemd`.
    ///
    /// # Errors
    /// A sentence: what is wrong with it, and the mend.
    pub(crate) fn parse(text: &str) -> Result<Address, String> {
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => (false, text),
        };
        let place = match rest.strip_prefix("unix:") {
            Some("") => return Err("the path of the socket is missing".to_owned()),
            Some(path) => Place::Unix(path.into()),
            None if rest == "systemd" => Place::Systemd,
            None if rest.contains('/') => {
                return Err(format!("{text:?} has a path; write HOST:PORT"));
            }
            None if is_host_and_port(rest) => Place::Tcp(rest.to_owned()),
            None => {
                return Err("not an address; write it like 127.0.0.1:7788 or [::1]:7788".to_owned());
            }
        };
        Ok(Address { tls, place })
    }

    /// The port that clients are sent to, if the address says it.
    pub(crate) fn port(&self) -> Option<u16> {
        match &self.place {
            Place::Tcp(address) => address.rsplit_once(':')?.1.parse().ok(),
            Place::Unix(_) | Place::Systemd => None,
        }
    }
}

/// Whether a text is an address or a name, and a port.
fn is_host_and_port(text: &str) -> bool {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    text.parse::<SocketAddr>().is_ok()
        || text.rsplit_once(':').is_some_and(|(host, port)| {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            digits && port.parse::<u16>().is_ok() && !host.is_empty() && host.bytes().all(name)
        })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tls {
            f.write_str("https://")?;
        }
        match &self.place {
            Place::Tcp(address) => f.write_str(address),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            Place::Systemd => f.write_str("systemd"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_scheme_and_a_place() {
        let tcp = |tls, text: &str| Some(Address { tls, place: Place::Tcp(text.to_owned()) });
        for (text, address) in [
            ("127.0.0.1:80", tcp(false, "127.0.0.1:80")),
            ("http://[::]:80", tcp(false, "[::]:80")),
            ("https://0.0.0.0:443", tcp(true, "0.0.0.0:443")),
            (
                "unix:/run/a.sock",
                Some(Address { tls: false, place: Place::Unix("/run/a.sock".into()) }),
            ),
            ("https://unix:a", Some(Address { tls: true, place: Place::Unix("a".into()) })),
            ("https://systemd", Some(Address { tls: true, place: Place::Systemd })),
            ("localhost:0", tcp(false, "localhost:0")),
            ("unix:", None),
            ("", None),
            ("nonsense", None),
            ("a:", None),
            (":80", None),
            ("a:65536", None),
            ("a:+1", None),
            ("::1:80", None),
            ("a b:80", None),
            ("https://", None),
            ("ftp://a:80", None),
            ("http://a:80/", None),
        ] {
            assert_eq!(Address::parse(text).ok(), address, "{text}");
        }
    }
}
