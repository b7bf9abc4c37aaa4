//! Conditional requests (RFC 9110 section 13). Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// What tells one version of a resource from another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Validators {
    pub(crate) etag: Option<HeaderValue>,
    pub(crate) last_modified: Option<HeaderValue>,
}

/// What a request's conditions ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Proceed,
    /// 304: the client has this version.
    NotModified,
    /// 412: the client wanted another version.
    Failed,
}

/// A time in whole seconds, as `Last-Modified` tells it.
pub(crate) fn http_date(time: SystemTime) -> HeaderValue {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let text = httpdate::fmt_http_date(UNIX_EPOCH + since);
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

impl Validators {
    /// Those that an answer's headers have.
    pub(crate) fn of(headers: &HeaderMap) -> Validators {
        let value = |name: HeaderName| headers.get(name).cloned();
        Validators { etag: value(header::ETAG), last_modified: value(header::LAST_MODIFIED) }
    }

    /// Those of the same version in a content coding: other bytes, another tag.
    pub(crate) fn in_coding(&self, token: &str) -> Validators {
        let tag = self.etag.as_ref().and_then(|tag| tag.to_str().ok());
        let Some(tag) = tag else { return self.clone() };
        let tag = format!("{}-{token}\"", tag.strip_suffix('"').unwrap_or(tag));
        let etag = HeaderValue::try_from(tag).ok();
        Validators { etag, last_modified: self.last_modified.clone() }
    }

    pub(crate) fn insert(&self, headers: &mut HeaderMap) {
        if let Some(etag) = &self.etag {
            headers.insert(header::ETAG, etag.clone());
        }
        if let Some(modified) = &self.last_modified {
            headers.insert(header::LAST_MODIFIED, modified.clone());
        }
    }

    /// What a request's conditions ask for, in the order of section 13.2.2.
    pub(crate) fn check(&self, method: &Method, headers: &HeaderMap) -> Outcome {
        let wanted = match has(headers, header::IF_MATCH) {
            true => self.is_in(headers, header::IF_MATCH, strong),
            false => match date(headers, header::IF_UNMODIFIED_SINCE) {
                Some(since) => self.modified().is_none_or(|modified| modified <= since),
                None => true,
            },
        };
        if !wanted {
            return Outcome::Failed;
        }
        let reads = reads(method);
        if has(headers, header::IF_NONE_MATCH) {
            return match self.is_in(headers, header::IF_NONE_MATCH, weak) {
                false => Outcome::Proceed,
                true if reads => Outcome::NotModified,
                true => Outcome::Failed,
            };
        }
        let unchanged = reads && self.is_unchanged(headers);
        if unchanged { Outcome::NotModified } else { Outcome::Proceed }
    }

    /// Whether it has not changed since `If-Modified-Since`. Nearly always that is
    /// its own date again, to the letter.
    fn is_unchanged(&self, headers: &HeaderMap) -> bool {
        let Some(since) = headers.get(header::IF_MODIFIED_SINCE) else { return false };
        let later = || {
            let since = date(headers, header::IF_MODIFIED_SINCE);
            since.zip(self.modified()).is_some_and(|(since, last)| last <= since)
        };
        self.last_modified.as_ref() == Some(since) || later()
    }

    /// Whether a range may be sent: `If-Range` is missing, or names this version
    /// (section 13.1.5).
    pub(crate) fn allow_range(&self, headers: &HeaderMap) -> bool {
        let Some(wanted) = headers.get(header::IF_RANGE) else { return true };
        if wanted.as_bytes().ends_with(b"\"") {
            return self.etag.as_ref().is_some_and(|own| strong(wanted.as_bytes(), own.as_bytes()));
        }
        let date = date(headers, header::IF_RANGE);
        date.is_some() && date == self.modified()
    }

    fn modified(&self) -> Option<SystemTime> {
        let text = self.last_modified.as_ref()?.to_str().ok()?;
        httpdate::parse_http_date(text).ok()
    }

    /// Whether a list of tags has this version's; `*` is any version. Tags behind the
    /// first [`MOST_TAGS`] are not read: the client then has another version.
    fn is_in(&self, headers: &HeaderMap, name: HeaderName, same: fn(&[u8], &[u8]) -> bool) -> bool {
        let own = self.etag.as_ref().map(HeaderValue::as_bytes);
        let lists = || headers.get_all(&name).iter().take(MOST_TAGS).map(HeaderValue::as_bytes);
        lists().any(|list| list.trim_ascii() == b"*")
            || own.is_some_and(|own| {
                lists().flat_map(tags).take(MOST_TAGS).any(|tag| !tag.is_empty() && same(tag, own))
            })
    }
}

fn has(headers: &HeaderMap, name: HeaderName) -> bool {
    headers.contains_key(name)
}

/// A header's date; one that is none is as if it were not there.
fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

fn strong(one: &[u8], other: &[u8]) -> bool {
    one == other && !one.starts_with(b"W/")
}

fn weak(one: &[u8], other: &[u8]) -> bool {
    let opaque = |tag| <[u8]>::strip_prefix(tag, b"W/").unwrap_or(tag);
    opaque(one) == opaque(other)
}

/// Entity tags of a request that are read.
const MOST_TAGS: usize = 64;

/// The entity tags of a list, some of them empty; a comma within quotes is part of its
/// tag.
fn tags(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let parts = list.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    });
    parts.map(<[u8]>::trim_ascii)
}

/// Whether a method asks for what is there.
pub(crate) fn reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "Tue, 24 Nov 2026 10:00:00 GMT";
    const BEFORE: &str = "Tue, 24 Nov 2026 09:59:59 GMT";

    fn headers(list: &[(HeaderName, &str)]) -> HeaderMap {
        let pair = |(name, value): &(HeaderName, &str)| {
            (name.clone(), HeaderValue::from_str(value).unwrap())
        };
        list.iter().map(pair).collect()
    }

    fn validators() -> Validators {
        Validators::of(&headers(&[(header::ETAG, "\"a,b\""), (header::LAST_MODIFIED, NOW)]))
    }

    #[test]
    fn conditions_are_checked_in_their_order() {
        use Outcome::{Failed, NotModified, Proceed};
        for (list, outcome) in [
            (vec![], Proceed),
            (vec![(header::IF_MATCH, "\"a,b\"")], Proceed),
            (vec![(header::IF_MATCH, "\"x\", \"a,b\"")], Proceed),
            (vec![(header::IF_MATCH, "*")], Proceed),
            (vec![(header::IF_MATCH, "W/\"a,b\"")], Failed),
            (vec![(header::IF_MATCH, "\"a\", \"b\"")], Failed),
            (vec![(header::IF_UNMODIFIED_SINCE, NOW)], Proceed),
            (vec![(header::IF_UNMODIFIED_SINCE, BEFORE)], Failed),
            (vec![(header::IF_UNMODIFIED_SINCE, "never")], Proceed),
            (vec![(header::IF_MATCH, "*"), (header::IF_UNMODIFIED_SINCE, BEFORE)], Proceed),
            (vec![(header::IF_NONE_MATCH, "W/\"a,b\"")], NotModified),
            (vec![(header::IF_NONE_MATCH, "*")], NotModified),
            (vec![(header::IF_NONE_MATCH, "\"a\"")], Proceed),
            (vec![(header::IF_MODIFIED_SINCE, NOW)], NotModified),
            (vec![(header::IF_MODIFIED_SINCE, BEFORE)], Proceed),
            (vec![(header::IF_NONE_MATCH, "\"a\""), (header::IF_MODIFIED_SINCE, NOW)], Proceed),
            (vec![(header::IF_MATCH, "\"x\""), (header::IF_NONE_MATCH, "*")], Failed),
        ] {
            assert_eq!(validators().check(&Method::GET, &headers(&list)), outcome, "{list:?}");
        }
        let any = headers(&[(header::IF_NONE_MATCH, "*")]);
        assert_eq!(validators().check(&Method::PUT, &any), Failed);
    }

    #[test]
    fn no_more_than_sixty_four_tags_are_read() {
        for (count, outcome) in [
            (63, (Outcome::Proceed, Outcome::NotModified)),
            (64, (Outcome::Failed, Outcome::Proceed)),
            (20_000, (Outcome::Failed, Outcome::Proceed)),
        ] {
            for tag in ["\"x\"", ""] {
                let of = |name: HeaderName| {
                    let list = format!("{},\"a,b\"", vec![tag; count].join(","));
                    let in_one = headers(&[(name.clone(), list.as_str())]);
                    let tags = vec![tag; count].into_iter().chain(["\"a,b\""]);
                    let lines: Vec<_> = tags.map(|tag| (name.clone(), tag)).collect();
                    let mut in_lines = HeaderMap::new();
                    for (name, tag) in lines {
                        in_lines.append(name, HeaderValue::from_str(tag).unwrap());
                    }
                    let one = validators().check(&Method::GET, &in_one);
                    assert_eq!(validators().check(&Method::GET, &in_lines), one);
                    one
                };
                assert_eq!((of(header::IF_MATCH), of(header::IF_NONE_MATCH)), outcome, "{count}");
            }
        }
    }

    #[test]
    fn a_range_is_of_the_version_that_the_client_has() {
        for (value, allowed) in [
            ("\"a,b\"", true),
            ("W/\"a,b\"", false),
            ("\"a\"", false),
            (NOW, true),
            (BEFORE, false),
            ("nonsense", false),
        ] {
            let headers = headers(&[(header::IF_RANGE, value)]);
            assert_eq!(validators().allow_range(&headers), allowed, "{value}");
        }
    }
}
