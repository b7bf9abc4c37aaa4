//! Parts of a file as the body of an answer (RFC 9110 section 14.6).

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};

use super::entry::Entry;
use super::ranges::Part;
use crate::body::Body;

/// One part as it is, several with a head each, and the headers that say so.
pub(super) fn body(entry: &Entry, parts: &[Part], headers: &mut HeaderMap) -> Body {
    if let [part] = parts {
        insert(headers, header::CONTENT_RANGE, part.content_range(entry.length));
        return entry.part(*part);
    }
    // SECURITY: a boundary that could be foreseen could stand in the file.
    let random = || RandomState::new().hash_one(entry.length);
    let boundary = format!("{:016x}{:016x}", random(), random());
    let mut bodies = VecDeque::with_capacity(2 * parts.len() + 1);
    for (index, part) in parts.iter().enumerate() {
        let start = if index == 0 { "" } else { "\r\n" };
        let mut head = format!("{start}--{boundary}\r\nContent-Type: ").into_bytes();
        let kind = headers.get(header::CONTENT_TYPE).unwrap_or(&entry.content_type);
        head.extend_from_slice(kind.as_bytes());
        let range = part.content_range(entry.length);
        head.extend_from_slice(format!("\r\nContent-Range: {range}\r\n\r\n").as_bytes());
        bodies.push_back(Bytes::from(head).into());
        bodies.push_back(entry.part(*part));
    }
    bodies.push_back(Bytes::from(format!("\r\n--{boundary}--\r\n")).into());
    insert(headers, header::CONTENT_TYPE, format!("multipart/byteranges; boundary={boundary}"));
    Body::Parts(bodies)
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}
