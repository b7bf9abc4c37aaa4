//! Lines to files and streams, written by a thread of their own: a request
//! never waits for a disk or for the reader of a pipe. What is not taken in
//! time is dropped and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What may wait for one file or stream, in bytes.
const MOST_WAITING: usize = 4 << 20;
/// How long the last lines may take at the end.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The thread and its files. The last lines are written when it is dropped.
#[derive(Clone)]
pub struct LogThread {
    shared: Arc<Shared>,
}

/// A file or stream of lines.
#[derive(Clone)]
pub struct Sink {
    shared: Arc<Shared>,
    place: usize,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    reopen: AtomicBool,
}

#[derive(Default)]
struct State {
    targets: Vec<Target>,
    /// The thread is writing what it took.
    writing: bool,
}

struct Target {
    to: To,
    waiting: Vec<u8>,
    dropped: u64,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
enum To {
    Stdout,
    Stderr,
    File(PathBuf),
}

impl LogThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// The machine has no thread to give.
    pub fn start() -> io::Result<LogThread> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            reopen: AtomicBool::new(false),
        });
        let of_thread = shared.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || of_thread.write_all())?;
        Ok(LogThread { shared })
    }

    /// Standard error.
    pub fn to_stderr(&self) -> Sink {
        self.sink(To::Stderr)
    }

    /// Standard output.
    pub fn to_stdout(&self) -> Sink {
        self.sink(To::Stdout)
    }

    /// A file that is appended to.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn file(&self, path: &Path) -> io::Result<Sink> {
        open(path)?;
        Ok(self.sink(To::File(path.to_owned())))
    }

    /// Opens all files again, after they were moved away.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Relaxed);
        self.shared.changed.notify_all();
    }

    /// Waits until all is written, but not for ever.
    pub fn flush(&self) {
        let busy = |state: &mut State| {
            state.writing || state.targets.iter().any(|target| !target.waiting.is_empty())
        };
        let state = self.shared.state();
        drop(self.shared.changed.wait_timeout_while(state, LAST_LINES, busy));
    }

    /// One sink a target, however often it is asked for.
    fn sink(&self, to: To) -> Sink {
        let mut state = self.shared.state();
        let known = state.targets.iter().position(|target| target.to == to);
        let place = known.unwrap_or_else(|| {
            state.targets.push(Target { to, waiting: Vec::new(), dropped: 0 });
            state.targets.len() - 1
        });
        Sink { shared: self.shared.clone(), place }
    }
}

impl Sink {
    /// Hands over a line, with its end.
    pub(crate) fn write(&self, line: &str) {
        let mut state = self.shared.state();
        let Some(target) = state.targets.get_mut(self.place) else { return };
        if target.waiting.len() + line.len() > MOST_WAITING {
            target.dropped += 1;
            return;
        }
        let first = target.waiting.is_empty();
        target.waiting.extend_from_slice(line.as_bytes());
        drop(state);
        if first {
            self.shared.changed.notify_all();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: takes what waits, and writes it while nothing is locked.
    fn write_all(&self) {
        let mut files: Vec<Option<File>> = Vec::new();
        loop {
            let nothing = |state: &mut State| {
                let idle = state.targets.iter().all(|target| target.waiting.is_empty());
                idle && !self.reopen.load(Relaxed)
            };
            let mut state = self.state();
            state.writing = false;
            self.changed.notify_all();
            let state = self.changed.wait_while(state, nothing);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            state.writing = true;
            let taken: Vec<(To, Vec<u8>)> = state.targets.iter_mut().map(Target::take).collect();
            drop(state);
            if self.reopen.swap(false, Relaxed) {
                files.clear();
            }
            files.resize_with(taken.len(), || None);
            for ((to, bytes), file) in taken.iter().zip(&mut files) {
                if !bytes.is_empty() {
                    write(to, file, bytes);
                }
            }
        }
    }
}

impl Target {
    fn take(&mut self) -> (To, Vec<u8>) {
        let mut bytes = std::mem::take(&mut self.waiting);
        if self.dropped > 0 {
            let said = format!("{} lines were dropped: nobody took them in time\n", self.dropped);
            bytes.extend_from_slice(said.as_bytes());
            self.dropped = 0;
        }
        (self.to.clone(), bytes)
    }
}

/// Writes; nobody is left to be told if that fails, and the next lines may pass.
fn write(to: &To, file: &mut Option<File>, bytes: &[u8]) {
    let _ = match to {
        To::Stdout => io::stdout().lock().write_all(bytes),
        To::Stderr => io::stderr().lock().write_all(bytes),
        To::File(path) => {
            if file.is_none() {
                *file = open(path).ok();
            }
            file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
        }
    };
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// For the formatter of the server's log: each event is one write.
impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Sink::write(self, &String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("place", &self.place).finish_non_exhaustive()
    }
}
