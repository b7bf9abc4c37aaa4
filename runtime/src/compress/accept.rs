//! `Accept-Encoding` (RFC 9110 section 12.5.3). Pure.

use http::header::{self, HeaderMap};

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// All of them, the best first.
    pub(crate) const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    /// Its name on the wire.
    pub(crate) fn token(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// What the name of a file in this coding ends with.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
            Coding::Gzip => ".gz",
        }
    }

    /// Whether the server encodes so itself; Zstandard is only sent from files.
    pub(crate) fn is_made_here(self) -> bool {
        self != Coding::Zstd
    }
}

/// How much a client likes each coding, in thousandths; 0 is not at all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    codings: [u16; 3],
    identity: u16,
}

/// Codings of a request that are read; there are fewer than 20 in all (the registry of
/// RFC 9110 section 16.6.1). Those behind them count as not accepted.
const MOST: usize = 32;
/// The longest name of one that is known, in bytes.
const LONGEST: usize = "identity".len();

impl Accepted {
    /// What a request accepts; nothing but identity if it does not say.
    pub(crate) fn of(headers: &HeaderMap) -> Accepted {
        let mut named: [Option<u16>; 3] = [None; 3];
        let (mut identity, mut others) = (None, 0);
        let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
        let items = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
        for item in items.take(MOST) {
            let (name, weight) = item.split_once(';').unwrap_or((item, ""));
            let name = name.trim();
            if name.len() > LONGEST {
                continue;
            }
            let weight = weight_of(weight);
            match name.to_ascii_lowercase().as_str() {
                "*" => others = weight,
                "identity" => identity = Some(weight),
                name => {
                    let name = name.strip_prefix("x-").unwrap_or(name);
                    let known = Coding::ALL.iter().position(|coding| coding.token() == name);
                    if let Some(place) = known.and_then(|index| named.get_mut(index)) {
                        *place = Some(weight);
                    }
                }
            }
        }
        Accepted {
            codings: named.map(|named| named.unwrap_or(others)),
            identity: identity.unwrap_or(1),
        }
    }

    /// The coding that the client likes best of those that there are, if it
    /// does not like identity better.
    pub(crate) fn best(&self, there: impl Fn(Coding) -> bool) -> Option<Coding> {
        let mut best = None;
        let mut most = self.identity.max(1);
        for (coding, weight) in Coding::ALL.into_iter().zip(self.codings) {
            let better = weight > most || (weight == most && best.is_none());
            if better && there(coding) {
                (best, most) = (Some(coding), weight);
            }
        }
        best
    }
}

/// `q=0.5`, in thousandths; 1 if there is none, 0 if it is no number.
fn weight_of(parameter: &str) -> u16 {
    let Some((name, value)) = parameter.split_once('=') else { return 1_000 };
    if !name.trim().eq_ignore_ascii_case("q") {
        return 1_000;
    }
    let weight = value.trim().parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight));
    weight.map_or(0, |weight| (weight * 1_000.0) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn no_more_than_thirty_two_codings_are_read() {
        for (count, best) in [(31, Some("br")), (32, None), (20_000, None)] {
            for item in ["a", "", "x".repeat(60).as_str()] {
                // In one line, and in a line for each.
                let mut one = HeaderMap::new();
                let list = format!("{},br", vec![item; count].join(","));
                one.insert(header::ACCEPT_ENCODING, HeaderValue::try_from(list).unwrap());
                assert_eq!(Accepted::of(&one).best(|_| true).map(Coding::token), best, "{count}");
                let mut lines = HeaderMap::new();
                for item in vec![item; count].into_iter().chain(["br"]) {
                    lines.append(header::ACCEPT_ENCODING, HeaderValue::from_str(item).unwrap());
                }
                assert_eq!(Accepted::of(&lines).best(|_| true).map(Coding::token), best, "{count}");
            }
        }
    }

    #[test]
    fn the_best_coding_is_the_clients_choice_then_ours() {
        let made = Coding::is_made_here;
        for (header, best, best_made) in [
            ("", None, None),
            ("gzip, deflate, br, zstd", Some("br"), Some("br")),
            ("gzip, deflate, zstd", Some("zstd"), Some("gzip")),
            ("x-gzip", Some("gzip"), Some("gzip")),
            ("GZIP;Q=1.0", Some("gzip"), Some("gzip")),
            ("br;q=0.5, gzip;q=0.8", Some("gzip"), Some("gzip")),
            ("br;q=0, *", Some("zstd"), Some("gzip")),
            ("gzip;q=0", None, None),
            ("gzip;q=nonsense", None, None),
            ("gzip;q=NaN", None, None),
            ("gzip;q=0.5, identity", None, None),
            ("gzip;q=0.5, identity;q=0", Some("gzip"), Some("gzip")),
            ("deflate", None, None),
            ("*", Some("br"), Some("br")),
            (",,;=,", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(header));
            let accepted = Accepted::of(&headers);
            assert_eq!(accepted.best(|_| true).map(Coding::token), best, "{header}");
            assert_eq!(accepted.best(made).map(Coding::token), best_made, "{header}");
        }
    }
}
