//! A line for each request: JSON, or the combined format.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use http::header::{self, HeaderName};
use serde_json::json;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use super::lines::Sink;
use super::{Spent, Visit};
use crate::config::plan::AccessFormat;

/// Where each request is written down.
#[derive(Debug)]
pub(crate) struct AccessLog {
    sink: Sink,
    format: AccessFormat,
}

impl AccessLog {
    pub(crate) fn new(sink: Sink, format: AccessFormat) -> AccessLog {
        AccessLog { sink: sink.of_records(), format }
    }

    pub(super) fn write(&self, visit: &Visit, now: SystemTime, wall: Duration) {
        let line = match self.format {
            AccessFormat::Json => json_line(visit, wall),
            AccessFormat::Combined => combined_line(visit, now),
        };
        self.sink.write(&line);
    }
}

fn json_line(visit: &Visit, wall: Duration) -> String {
    let nothing = Spent::default();
    let request = visit.request.as_deref();
    let spent = request.map_or(&nothing, |request| &request.spent);
    let line = json!({
        "time": rfc3339_now(),
        "request": &*visit.id,
        "tenant": visit.tenant.as_ref().map(|tenant| &*tenant.name),
        "route": visit.route.as_deref(),
        "remote": visit.remote.ip().to_string(),
        "method": visit.line().map(|(method, _)| method.as_str()),
        "host": request.map(|request| &*request.host),
        "uri": target(visit),
        "protocol": request.map(|request| request.protocol()),
        "status": visit.status.as_u16(),
        "bytes_in": spent.received.load(Relaxed),
        "bytes_out": visit.bytes_out,
        "wall_us": u64::try_from(wall.as_micros()).unwrap_or(u64::MAX),
        "cpu_us": spent.cpu_ns() / 1_000,
        "memory": spent.memory.load(Relaxed),
        "instances": spent.instances.load(Relaxed),
        "log_dropped": spent.log_dropped.load(Relaxed),
        "user_agent": field(visit, &header::USER_AGENT),
        "referer": field(visit, &header::REFERER),
    });
    format!("{line}\n")
}

/// `remote - - [time] "request" status bytes "referer" "user agent"`.
fn combined_line(visit: &Visit, now: SystemTime) -> String {
    let quoted = |text: Option<String>| text.map_or("-".to_owned(), |text| escape(&text));
    let protocol = visit.request.as_ref().map_or("HTTP/1.1", |request| request.protocol());
    let request = visit
        .line()
        .map(|(method, _)| format!("{method} {} {protocol}", target(visit).unwrap_or("-")));
    format!(
        "{} - - [{}] \"{}\" {} {} \"{}\" \"{}\"\n",
        visit.remote.ip(),
        clf_time(now),
        quoted(request),
        visit.status.as_u16(),
        visit.bytes_out,
        quoted(field(visit, &header::REFERER)),
        quoted(field(visit, &header::USER_AGENT)),
    )
}

/// As the server's log has it: `2026-11-24T03:14:20.000000Z`.
pub(crate) fn rfc3339_now() -> String {
    let mut text = String::with_capacity(32);
    // Writing to a String cannot fail.
    let _ = tracing_subscriber::fmt::time::SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

/// Path and query, as they were sent.
fn target(visit: &Visit) -> Option<&str> {
    let (_, uri) = visit.line()?;
    uri.path_and_query().map(|target| target.as_str())
}

fn field(visit: &Visit, name: &HeaderName) -> Option<String> {
    let value = visit.request.as_ref()?.headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Text between quotes, as nginx escapes it: nothing in it ends them or the line.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f.. => escaped.push_str(&format!("\\x{byte:02X}")),
            _ => escaped.push(char::from(byte)),
        }
    }
    escaped
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

    #[test]
    fn nothing_ends_the_quotes_or_the_line() {
        assert_eq!(escape("a\"b\\c\nd\u{7f}é"), "a\\x22b\\x5Cc\\x0Ad\\x7F\\xC3\\xA9");
    }

    #[test]
    fn times_are_those_of_the_common_log() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 + 3_661);
        assert_eq!(clf_time(time), "02/Jan/1970:01:01:01 +0000");
    }
}
