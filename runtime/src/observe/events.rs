//! The server's log as it gets the events of `tracing`. Events of other crates, which
//! anybody's bytes can bring about at the level `debug`, share a rate.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::lines::Sink;
use crate::limits::rate::Metered;

/// What all other crates may log together, in bytes a second.
const OTHERS: usize = 256 << 10;
/// The targets of this crate's events begin so.
const OURS: &str = "myweb_run";

/// Writes events to a sink.
#[derive(Clone)]
pub struct EventLog {
    sink: Sink,
    others: Arc<Mutex<Metered>>,
    since: Instant,
}

/// Writes one event.
pub struct EventWriter<'a> {
    log: &'a EventLog,
    ours: bool,
}

impl EventLog {
    /// A log for events that ends in a sink.
    pub fn new(sink: Sink) -> EventLog {
        EventLog { sink, others: Arc::default(), since: Instant::now() }
    }

    fn may_write(&self, bytes: usize) -> bool {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = others.take(bytes, OTHERS, self.since.elapsed());
        drop(others);
        if let Some(dropped @ 1..) = taken {
            let now = super::rfc3339_now();
            self.sink.write(&format!("{now}  WARN {dropped} lines of other crates dropped\n"));
        }
        taken.is_some()
    }
}

impl<'a> MakeWriter<'a> for EventLog {
    type Writer = EventWriter<'a>;

    fn make_writer(&'a self) -> EventWriter<'a> {
        EventWriter { log: self, ours: true }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> EventWriter<'a> {
        EventWriter { log: self, ours: event.target().starts_with(OURS) }
    }
}

/// Each event is one write.
impl Write for EventWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.ours || self.log.may_write(bytes.len()) {
            self.log.sink.write(&String::from_utf8_lossy(bytes));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::observe::{Logs, event_fields};

    #[test]
    fn events_are_single_lines_and_those_of_other_crates_have_a_rate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let logs = Logs::start().unwrap();
        let log = EventLog::new(logs.file(&path).unwrap());
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(event_fields())
            .with_ansi(false)
            .with_writer(log)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(name = "a\nb", "one\n2026-01-01 ERROR forged\u{2028}\u{1b}[2J");
            for _ in 0..2_000 {
                tracing::info!(target: "other", "{}", "x".repeat(1_000));
            }
            tracing::info!("{}", "y".repeat(1 << 20));
        });
        logs.flush();
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap();
        assert!(
            first.ends_with("one\\n2026-01-01 ERROR forged\\u{2028}\\u{1b}[2J name=\"a\\nb\""),
            "{first}"
        );
        let others = text.lines().filter(|line| line.contains("xxx")).count();
        assert!((200..600).contains(&others), "{others}");
        let last = text.lines().last().unwrap();
        assert!(last.len() < 20_000 && last.contains("more bytes"), "{}", last.len());
    }
}
