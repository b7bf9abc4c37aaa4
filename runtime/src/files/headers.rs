//! Validators, and whether a client has the current version (RFC 9110 section 13).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;
use http::header::{self, HeaderMap, HeaderValue};

use crate::request::Request;

/// What tells one version of a file from another.
pub(super) struct Validators {
    etag: HeaderValue,
    last_modified: HeaderValue,
    modified: SystemTime,
}

impl Validators {
    /// From the time of the last change, to the nanosecond, and the length.
    pub(super) fn new(modified: SystemTime, length: u64) -> Validators {
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let etag = format!("\"{:x}-{length:x}\"", since.as_nanos());
        let value =
            |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        Validators {
            etag: value(etag),
            last_modified: value(httpdate::fmt_http_date(UNIX_EPOCH + since)),
            modified: UNIX_EPOCH + Duration::from_secs(since.as_secs()),
        }
    }

    pub(super) fn insert(&self, headers: &mut HeaderMap) {
        headers.insert(header::ETAG, self.etag.clone());
        headers.insert(header::LAST_MODIFIED, self.last_modified.clone());
    }

    /// Whether the client has this version: `If-None-Match`, and only where it
    /// is missing `If-Modified-Since`.
    pub(super) fn match_request(&self, request: &Request) -> bool {
        if request.method != Method::GET && request.method != Method::HEAD {
            return false;
        }
        let tags = request.headers.get_all(header::IF_NONE_MATCH);
        if tags.iter().next().is_some() {
            return tags.iter().any(|value| self.is_among(value));
        }
        let since = request.headers.get(header::IF_MODIFIED_SINCE).and_then(|v| v.to_str().ok());
        let since = since.and_then(|text| httpdate::parse_http_date(text).ok());
        since.is_some_and(|since| self.modified <= since)
    }

    /// Whether a list of tags has this one, compared weakly.
    fn is_among(&self, value: &HeaderValue) -> bool {
        let Ok(list) = value.to_str() else { return false };
        list.split(',').map(str::trim).any(|tag| {
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.etag.as_bytes()
        })
    }
}
