//! What a request writes to its standard output and error.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard};

use wasmtime::component::{ComponentType, Lift, Linker};

use crate::observe::{Severity, Subject, is_escaped};
use crate::request::RequestId;
use crate::tenant::Tenant;

/// Collects lines and logs each with its tenant, route and request. What passes
/// the quota is counted, not kept.
#[derive(Default)]
pub(crate) struct Log {
    source: Option<Source>,
    line: Vec<u8>,
    left: usize,
    dropped: usize,
}

/// A log that a guest's streams and the server's own words to it share.
pub(crate) type SharedLog = Arc<Mutex<Log>>;

/// Whose lines they are.
struct Source {
    tenant: Arc<Tenant>,
    route: Arc<str>,
    request_id: RequestId,
}

impl Source {
    fn subject(&self) -> Subject<'_> {
        let (route, request) = (Some(&*self.route), Some(self.request_id));
        Subject { tenant: &self.tenant, route, request }
    }

    /// What it takes up in each line, in bytes.
    fn length(&self) -> usize {
        self.tenant.name.len() + self.route.len() + self.request_id.len()
    }
}

/// A line is cut here, in bytes, so that a guest cannot have the server keep
/// what it never ends.
const LONGEST_LINE: usize = 8 << 10;
/// What each line costs of the quota beside its text and its tags, in bytes.
const LINE_COST: usize = 64;

impl Log {
    /// Starts the log of a request with its quota in bytes.
    pub(crate) fn start(
        &mut self,
        tenant: &Arc<Tenant>,
        route: &Arc<str>,
        request_id: RequestId,
        quota: usize,
    ) {
        let source = Source { tenant: tenant.clone(), route: route.clone(), request_id };
        *self = Log { source: Some(source), left: quota, ..Log::default() };
    }

    /// Takes some of the output, in any pieces.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && self.left > 0 {
            let room = rest.len().min(LONGEST_LINE - self.line.len());
            let end = memchr::memchr(b'\n', rest.get(..room).unwrap_or(rest));
            let (now, later) = rest.split_at(end.map_or(room, |end| end + 1));
            self.line.extend_from_slice(now);
            if end.is_some() || self.line.len() == LONGEST_LINE {
                self.end_line();
            }
            rest = later;
        }
        // Nobody looks at what is over the quota: a flood costs no time.
        self.dropped += rest.len();
    }

    /// A line of the server's own to the guest's author, within the quota.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.write(text.as_bytes());
        self.write(b"\n");
    }

    /// Ends the log of a request: the last line, and what was dropped, in bytes.
    pub(crate) fn end(&mut self) -> usize {
        if !self.line.is_empty() {
            self.end_line();
        }
        if self.dropped > 0 {
            let said = format!("{} bytes of output dropped: over the log limit", self.dropped);
            // Many short requests could fill the log with these alone.
            self.say(&said);
        }
        let dropped = std::mem::take(&mut self.dropped);
        if let Some(source) = self.source.take().filter(|_| dropped > 0) {
            source.tenant.totals.add_log_dropped(dropped);
        }
        dropped
    }

    /// Takes a message of `wasi:logging`: a line of its own.
    fn message(&mut self, level: Level, context: &str, message: &str) {
        if self.left == 0 {
            self.dropped += context.len() + message.len();
            return;
        }
        let cut = message.as_bytes().get(..LONGEST_LINE).unwrap_or(message.as_bytes());
        let between = if context.is_empty() { "" } else { " " };
        let (level, context, text) = (level.name(), excerpt(context), escape(cut));
        self.line_of(&format!("[{level}{between}{context}] {text}"), context.len() + cut.len());
        self.dropped += message.len() - cut.len();
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.line_of(&escape(&line), line.len());
        self.line = line;
        self.line.clear();
    }

    /// Logs a line that the guest wrote with so many bytes, if what it costs as it
    /// is written is within the quota.
    fn line_of(&mut self, text: &str, length: usize) {
        let tags = self.source.as_ref().map_or(0, Source::length);
        match self.left.checked_sub(text.len() + tags + LINE_COST) {
            Some(left) => {
                // Also what is dropped counts: else a flood would have no end.
                self.left = left;
                if !self.say(&format!("guest: {text}")) {
                    self.dropped += length;
                }
            }
            None => {
                self.left = 0;
                self.dropped += length;
            }
        }
    }

    /// Reports of the server's own, which a guest brought about.
    pub(crate) fn report(&self, severity: Severity, what: &dyn Display) {
        self.source.iter().for_each(|source| source.subject().report(severity, what, None));
    }

    /// Writes a line, unless it is over the tenant's rate: then it is false.
    fn say(&self, what: &str) -> bool {
        self.source.as_ref().is_none_or(|source| source.subject().output(&what))
    }
}

/// `enum level` of `wasi:logging`.
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "guests say which")]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Critical => "critical",
        }
    }
}

/// Links `wasi:logging`, under both names that it has in the field.
///
/// # Errors
/// A name is taken, which is a mistake in this function.
pub(crate) fn link<T: 'static>(
    linker: &mut Linker<T>,
    of: fn(&mut T) -> MutexGuard<'_, Log>,
) -> wasmtime::Result<()> {
    for name in ["wasi:logging/logging@0.1.0-draft", "wasi:logging/logging"] {
        let log = move |mut store: wasmtime::StoreContextMut<'_, T>,
                        (level, context, message): (Level, String, String)| {
            of(store.data_mut()).message(level, &context, &message);
            Ok(())
        };
        linker.instance(name)?.func_wrap("log", log)?;
    }
    Ok(())
}

/// What of a guest's text stands in a line of the log, in bytes.
pub(crate) const EXCERPT: usize = 200;

/// The beginning of a guest's text, escaped.
pub(crate) fn excerpt(text: &str) -> String {
    let mut cut = escape(text.as_bytes().get(..EXCERPT).unwrap_or(text.as_bytes()));
    if text.len() > EXCERPT {
        cut.push_str("...");
    }
    cut
}

/// A line as text that cannot be taken for another line, or for a terminal's
/// commands.
pub(crate) fn escape(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut text = String::with_capacity(line.len());
    for c in String::from_utf8_lossy(line).chars() {
        match is_escaped(c) {
            true => text.extend(c.escape_default()),
            false => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_cannot_forge_other_lines() {
        for (line, text) in [
            (&b"plain\n"[..], "plain"),
            (b"a\tb", "a\tb"),
            (b"a\rb\x1b[31m\0", "a\\rb\\u{1b}[31m\\u{0}"),
            (b"caf\xc3\xa9 \xff", "café \u{fffd}"),
            ("\u{85}\u{2028}\u{202e}".as_bytes(), "\\u{85}\\u{2028}\\u{202e}"),
        ] {
            assert_eq!(escape(line), text);
        }
    }

    #[test]
    fn escapes_and_ends_of_lines_count() {
        let mut log = Log { left: 1_000, ..Log::default() };
        log.write(&[b'\n'; 100]);
        assert_eq!(log.end(), 100 - 1_000 / LINE_COST);
        let mut log = Log { left: LINE_COST + 20, ..Log::default() };
        log.write(&[7; 10]);
        assert_eq!(log.end(), 10);
    }

    #[test]
    fn excerpts_are_short() {
        assert_eq!(excerpt("a\n"), "a");
        assert_eq!(excerpt(&"x".repeat(1_000)).len(), EXCERPT + 3);
    }

    #[test]
    fn what_passes_the_quota_is_counted() {
        let mut log = Log { left: 2 * (LINE_COST + 5), ..Log::default() };
        log.write(b"12345\n12345\n12345\n\n");
        assert_eq!((log.left, log.end()), (0, 7));
    }
}
