//! Lines to files and streams, written by threads of their own: a request never
//! waits for a disk or for the reader of a pipe, and a file or stream that takes
//! nothing keeps no other waiting. What it does not take in time is lost, counted,
//! and told once it goes on.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::access::rfc3339_now;
use super::outlet::{Failed, Outlet, To, look, open};

/// What may wait for one file or stream, in bytes.
const MOST_WAITING: usize = 4 << 20;
/// How long the last lines may take at the end.
const LAST_LINES: Duration = Duration::from_secs(1);
/// Threads that are always there: one that writes, and one that waits.
const THREADS: usize = 2;
/// How long the others wait for something to write before they end.
const IDLE: Duration = Duration::from_secs(10);

/// The threads and their files.
#[derive(Clone)]
pub struct Logs {
    shared: Arc<Shared>,
    /// Nothing is written, nor made.
    dry: bool,
}

/// A file or stream of lines.
#[derive(Clone)]
pub struct Sink {
    shared: Arc<Shared>,
    place: usize,
}

struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    wanted: Condvar,
    /// Something was written.
    written: Condvar,
}

#[derive(Default)]
struct State {
    targets: Vec<Target>,
    /// Those of them that have lines and are not being written.
    queue: VecDeque<usize>,
    threads: usize,
    /// Threads that wait for something to write.
    free: usize,
}

struct Target {
    to: To,
    /// None while a thread is writing.
    outlet: Option<Outlet>,
    waiting: Vec<u8>,
    /// Lines that were lost since that was told.
    lost: u64,
    reopen: bool,
    /// Its lines are read by programs: what is lost is told in the server's log.
    records: bool,
}

impl Logs {
    /// Starts the threads.
    ///
    /// # Errors
    /// The machine has no thread to give.
    pub fn start() -> io::Result<Logs> {
        let logs = Logs { dry: false, ..Logs::dry() };
        let mut state = logs.shared.state();
        for _ in 0..THREADS {
            logs.shared.clone().start_thread(&mut state)?;
        }
        drop(state);
        Ok(logs)
    }

    /// Logs that only tell whether they could be written.
    pub(crate) fn dry() -> Logs {
        let (wanted, written) = (Condvar::new(), Condvar::new());
        Logs { shared: Arc::new(Shared { state: Mutex::default(), wanted, written }), dry: true }
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
        look(path)?;
        if !self.dry && !path.exists() {
            open(path)?;
        }
        Ok(self.sink(To::File(path.to_owned())))
    }

    /// Opens all files again, after they were moved away.
    pub fn reopen(&self) {
        let mut state = self.shared.state();
        for place in 0..state.targets.len() {
            state.want(place, |target| target.reopen = true);
        }
        self.shared.wanted.notify_all();
    }

    /// Waits until all is written, but not for ever.
    pub fn flush(&self) {
        let busy = |state: &mut State| {
            state.targets.iter().any(|target| target.outlet.is_none() || target.has_work())
        };
        let state = self.shared.state();
        drop(self.shared.written.wait_timeout_while(state, LAST_LINES, busy));
    }

    /// One sink a target, however often it is asked for.
    fn sink(&self, to: To) -> Sink {
        let mut state = self.shared.state();
        let known = state.targets.iter().position(|target| target.to == to);
        let place = known.unwrap_or_else(|| {
            state.targets.push(Target::new(to));
            state.targets.len() - 1
        });
        Sink { shared: self.shared.clone(), place }
    }
}

impl Sink {
    /// Hands over a line, with its end. The caller has escaped what is in the line.
    pub(super) fn write(&self, line: &str) {
        let first = self.shared.state().want(self.place, |target| {
            if target.waiting.len() + line.len() > MOST_WAITING {
                target.lost += 1;
            } else {
                target.waiting.extend_from_slice(line.as_bytes());
            }
        });
        if first {
            self.shared.wanted.notify_one();
        }
    }

    /// The same sink, whose lines are read by programs: none of ours stand among
    /// them.
    pub(crate) fn of_records(self) -> Sink {
        self.shared.state().want(self.place, |target| target.records = true);
        self
    }
}

impl State {
    /// Changes a target, and queues it if there is then something to write that
    /// was not there before: whether it did.
    fn want(&mut self, place: usize, change: impl FnOnce(&mut Target)) -> bool {
        let Some(target) = self.targets.get_mut(place) else { return false };
        let before = target.has_work() || target.outlet.is_none();
        change(target);
        let queued = !before && target.has_work();
        if queued {
            self.queue.push_back(place);
        }
        queued
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_thread(self: Arc<Shared>, state: &mut State) -> io::Result<()> {
        thread::Builder::new().name("log".to_owned()).spawn(move || self.write_all())?;
        state.threads += 1;
        Ok(())
    }

    /// A thread: takes what waits for one target, and writes it while nothing is
    /// locked. It leaves another behind that waits, as it may be kept for long.
    fn write_all(self: Arc<Shared>) {
        let mut state = self.state();
        loop {
            let Some(place) = state.queue.pop_front() else {
                state.free += 1;
                let (woken, waited) = self.wait(state);
                state = woken;
                state.free -= 1;
                if waited && state.queue.is_empty() && state.threads > THREADS {
                    state.threads -= 1;
                    return;
                }
                continue;
            };
            if state.free == 0 {
                // If there is none to be had, the others wait for this one.
                let _ = self.clone().start_thread(&mut state);
            }
            let Some((mut batch, mut outlet)) = state.targets.get_mut(place).and_then(Target::take)
            else {
                continue;
            };
            drop(state);
            let failed = batch.write(&mut outlet);
            state = self.state();
            let more = state.targets.get_mut(place).is_some_and(|target| {
                target.outlet = Some(outlet);
                target.lost += failed;
                !target.waiting.is_empty() || target.reopen
            });
            if more {
                state.queue.push_back(place);
            }
            self.written.notify_all();
        }
    }

    /// Waits for something to write, the last threads for ever: whether it was too
    /// long.
    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> (MutexGuard<'a, State>, bool) {
        if state.threads <= THREADS {
            let woken = self.wanted.wait(state);
            return (woken.unwrap_or_else(PoisonError::into_inner), false);
        }
        let waited = self.wanted.wait_timeout(state, IDLE);
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        (state, waited.timed_out())
    }
}

/// What a thread writes at once.
struct Batch {
    to: To,
    lines: Vec<u8>,
    lost: u64,
    reopen: bool,
    records: bool,
}

impl Target {
    fn new(to: To) -> Target {
        Target {
            outlet: Some(Outlet::new(to.clone())),
            to,
            waiting: Vec::new(),
            lost: 0,
            reopen: false,
            records: false,
        }
    }

    /// Lines that were lost are told behind the next that are not.
    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || self.reopen
    }

    fn take(&mut self) -> Option<(Batch, Outlet)> {
        let outlet = self.outlet.take()?;
        let batch = Batch {
            to: self.to.clone(),
            lines: std::mem::take(&mut self.waiting),
            lost: std::mem::take(&mut self.lost),
            reopen: std::mem::take(&mut self.reopen),
            records: self.records,
        };
        Some((batch, outlet))
    }
}

impl Batch {
    /// Writes what is there, and tells of what was lost: how many lines are now.
    fn write(&mut self, outlet: &mut Outlet) -> u64 {
        if self.reopen {
            outlet.reopen();
        }
        let to = &self.to;
        if let Err(Failed { lines, error }) = outlet.write(&self.lines) {
            if let (Some(error), false) = (error, *to == To::Stderr) {
                tracing::error!("{to}: {error}; lines are lost until it can be written");
            }
            return self.lost + lines;
        }
        if self.lost == 0 || self.lines.is_empty() {
            return self.lost;
        }
        let said = format!("{} lines were lost", self.lost);
        if self.records {
            tracing::warn!("{to}: {said}");
            return 0;
        }
        match outlet.write(format!("{}  WARN {said}\n", rfc3339_now()).as_bytes()) {
            Ok(()) => 0,
            Err(_) => self.lost,
        }
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("place", &self.place).finish_non_exhaustive()
    }
}
