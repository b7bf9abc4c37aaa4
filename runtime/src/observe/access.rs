//! A line for each request: JSON, or the combined format.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use http::header::{self, HeaderName};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use super::escape::is_escaped;
use super::lines::Sink;
use super::report::access_dropped;
use super::{ServerLog, Severity, Spent, Subject, Visit};
use crate::config::plan::AccessFormat;

/// The longest field of a line as it is written, in bytes, and what the mark of a
/// cut may take of that.
const FIELD: usize = 512;
const MARK: usize = 32;
/// Room for a line of a usual request, in bytes.
const USUAL_LINE: usize = 768;

/// Where each request is written down.
pub(crate) struct AccessLog {
    sink: Sink,
    format: AccessFormat,
    /// Its rate bounds the lines about no tenant.
    server_log: Arc<ServerLog>,
}

impl AccessLog {
    pub(crate) fn new(sink: Sink, format: AccessFormat, server_log: Arc<ServerLog>) -> AccessLog {
        AccessLog { sink: sink.of_records(), format, server_log }
    }

    pub(super) fn write(&self, visit: &Visit, now: SystemTime, wall: Duration) {
        let line = match self.format {
            AccessFormat::Json => json_line(visit, wall),
            AccessFormat::Combined => combined_line(visit, now),
        };
        if self.may_write(visit, line.len()) {
            self.sink.write(&line);
        }
    }

    /// Whether a line of so many bytes is within the rate. One that is not is counted.
    fn may_write(&self, visit: &Visit, bytes: usize) -> bool {
        let Some(tenant) = &visit.tenant else {
            return self.server_log.may_write_access(bytes);
        };
        match tenant.may_write_access(bytes) {
            Some(0) => true,
            Some(dropped_before) => {
                let said = access_dropped(dropped_before, tenant.limits.access_log_rate);
                let subject = Subject { tenant, route: None, request: None };
                subject.report(Severity::Warn, &said, None);
                true
            }
            None => {
                tenant.totals.access_dropped.fetch_add(1, Relaxed);
                false
            }
        }
    }
}

fn json_line(visit: &Visit, wall: Duration) -> String {
    let nothing = Spent::default();
    let request = visit.request.as_deref();
    let spent = request.map_or(&nothing, |request| &request.spent);
    let tenant = visit.tenant.as_ref().map(|tenant| tenant.name.as_bytes());
    let method = visit.line().map(|(method, _)| method.as_str().as_bytes());
    let mut line = String::with_capacity(USUAL_LINE);
    line.push_str("{\"time\":\"");
    line.push_str(&rfc3339_now());
    line.push_str("\",\"request\":\"");
    line.push_str(&visit.id);
    line.push('"');
    json_text(&mut line, "tenant", tenant);
    json_text(&mut line, "route", visit.route.as_deref().map(str::as_bytes));
    // Writing to a String cannot fail, here and below.
    let _ = write!(line, ",\"remote\":\"{}\"", visit.remote.ip());
    json_text(&mut line, "method", method);
    json_text(&mut line, "host", request.map(|request| request.host.as_bytes()));
    json_text(&mut line, "uri", target(visit));
    json_text(&mut line, "protocol", request.map(|request| request.protocol().as_bytes()));
    for (name, number) in [
        ("status", u64::from(visit.status.as_u16())),
        ("bytes_in", spent.received.load(Relaxed)),
        ("bytes_out", visit.bytes_out),
        ("wall_us", u64::try_from(wall.as_micros()).unwrap_or(u64::MAX)),
        ("cpu_us", spent.cpu_ns() / 1_000),
        ("memory", spent.memory.load(Relaxed) as u64),
        ("instances", spent.instances.load(Relaxed)),
        ("log_dropped", spent.log_dropped.load(Relaxed) as u64),
    ] {
        let _ = write!(line, ",\"{name}\":{number}");
    }
    json_text(&mut line, "user_agent", field(visit, &header::USER_AGENT));
    json_text(&mut line, "referer", field(visit, &header::REFERER));
    line.push_str("}\n");
    line
}

fn json_text(line: &mut String, name: &str, text: Option<&[u8]>) {
    let _ = write!(line, ",\"{name}\":");
    match text {
        Some(text) => {
            line.push('"');
            push_cut(line, text, push_json);
            line.push('"');
        }
        None => line.push_str("null"),
    }
}

/// `remote - - [time] "request" status bytes "referer" "user agent"`.
fn combined_line(visit: &Visit, now: SystemTime) -> String {
    let mut line = String::with_capacity(USUAL_LINE);
    let _ = write!(line, "{} - - [{}] \"", visit.remote.ip(), clf_time(now));
    match visit.line() {
        Some((method, _)) => {
            push_cut(&mut line, method.as_str().as_bytes(), push_quoted);
            line.push(' ');
            push_cut(&mut line, target(visit).unwrap_or(b"-"), push_quoted);
            line.push(' ');
            let protocol = visit.request.as_ref().map_or("HTTP/1.1", |request| request.protocol());
            line.push_str(protocol);
        }
        None => line.push('-'),
    }
    let _ = write!(line, "\" {} {}", visit.status.as_u16(), visit.bytes_out);
    for name in [&header::REFERER, &header::USER_AGENT] {
        line.push_str(" \"");
        push_cut(&mut line, field(visit, name).unwrap_or(b"-"), push_quoted);
        line.push('"');
    }
    line.push('\n');
    line
}

/// Adds a text, escaped. What would be longer than [`FIELD`] is cut, with a mark that
/// has the length of the whole.
fn push_cut(line: &mut String, text: &[u8], push: fn(&mut String, char)) {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if text.len() <= FIELD && text.iter().all(plain) {
        line.push_str(&String::from_utf8_lossy(text));
        return;
    }
    let begin = line.len();
    let mut fits = begin;
    // No byte is written as less than a byte: the rest is never needed.
    let head: Cow<'_, str> = String::from_utf8_lossy(text.get(..=FIELD).unwrap_or(text));
    for c in head.chars() {
        push(line, c);
        match line.len() - begin {
            length if length <= FIELD - MARK => fits = line.len(),
            length if length <= FIELD => {}
            _ => {
                line.truncate(fits);
                let _ = write!(line, "...[{} bytes]", text.len());
                return;
            }
        }
    }
}

/// A character in a string of JSON (RFC 8259 section 7).
fn push_json(line: &mut String, c: char) {
    match c {
        '"' | '\\' => line.extend(['\\', c]),
        '\0'..='\x1f' => {
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        }
        c if is_escaped(c) => {
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        }
        c => line.push(c),
    }
}

/// A character between quotes, as nginx escapes it: nothing in it ends them or the
/// line.
fn push_quoted(line: &mut String, c: char) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f.. => {
                let _ = write!(line, "\\x{byte:02X}");
            }
            _ => line.push(char::from(byte)),
        }
    }
}

/// As the server's log has it: `2026-11-24T03:14:20.000000Z`.
pub(crate) fn rfc3339_now() -> String {
    let mut text = String::with_capacity(32);
    // Writing to a String cannot fail.
    let _ = tracing_subscriber::fmt::time::SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

/// Path and query, as they were sent.
fn target(visit: &Visit) -> Option<&[u8]> {
    let (_, uri) = visit.line()?;
    uri.path_and_query().map(|target| target.as_str().as_bytes())
}

fn field<'a>(visit: &'a Visit, name: &HeaderName) -> Option<&'a [u8]> {
    Some(visit.request.as_ref()?.headers.get(name)?.as_bytes())
}

/// `24/Nov/2026:03:14:20 +0000`, from the date of HTTP.
fn clf_time(now: SystemTime) -> String {
    let date = httpdate::fmt_http_date(now);
    let mut parts = date.split(' ').skip(1);
    let mut next = || parts.next().unwrap_or("-");
    let (day, month, year, time) = (next(), next(), next(), next());
    format!("{day}/{month}/{year}:{time} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(text: &[u8], push: fn(&mut String, char)) -> String {
        let mut line = String::new();
        push_cut(&mut line, text, push);
        line
    }

    #[test]
    fn nothing_ends_the_quotes_or_the_line() {
        let text = "a\"b\\c\nd\u{7f}é".as_bytes();
        assert_eq!(pushed(text, push_quoted), "a\\x22b\\x5Cc\\x0Ad\\x7F\\xC3\\xA9");
        assert_eq!(pushed(text, push_json), "a\\\"b\\\\c\\u000ad\\u007fé");
        let text = "\u{85}\u{2028}\u{202e}".as_bytes();
        assert_eq!(pushed(text, push_json), "\\u0085\\u2028\\u202e");
    }

    #[test]
    fn fields_are_cut_as_they_are_written() {
        for push in [push_json as fn(&mut String, char), push_quoted] {
            for piece in
                [&b"a"[..], b"\"", b"\0", b"\xff", "é".as_bytes(), "字".as_bytes(), b"\x7f"]
            {
                for count in [1, 80, 100, 200, 500, 512, 513, 1_000, 60_000] {
                    let text = piece.repeat(count);
                    let written = pushed(&text, push);
                    assert!(written.len() <= FIELD, "{piece:?} {count}: {}", written.len());
                    let mark = format!("...[{} bytes]", text.len());
                    let whole: String = {
                        let mut whole = String::new();
                        String::from_utf8_lossy(&text).chars().for_each(|c| push(&mut whole, c));
                        whole
                    };
                    match written.strip_suffix(&mark) {
                        Some(begin) => assert!(whole.len() > FIELD && whole.starts_with(begin)),
                        None => assert_eq!(written, whole, "{piece:?} {count}"),
                    }
                }
            }
        }
    }

    #[test]
    fn times_are_those_of_the_common_log() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 + 3_661);
        assert_eq!(clf_time(time), "02/Jan/1970:01:01:01 +0000");
    }
}
