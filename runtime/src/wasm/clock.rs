//! The thread whose ticks make running guests yield.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A guest is asked to yield after each of these.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Ticks without a guest after which the thread sleeps until there is one, so
/// that an idle server uses no CPU.
const IDLE_TICKS: u32 = 100;

/// Ticks the engine's epoch while guests run. An OS thread, because a task
/// would wait for the very threads that a guest keeps busy.
pub(super) struct EpochClock {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    ended: AtomicBool,
}

/// Keeps the clock ticking while it lives.
pub(super) struct Ticking {
    shared: Arc<Shared>,
}

impl EpochClock {
    pub(super) fn start(engine: wasmtime::Engine) -> io::Result<EpochClock> {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread = thread::Builder::new()
            .name("epoch".to_owned())
            .spawn(move || of_thread.tick_until_ended(&engine))?;
        Ok(EpochClock { shared, thread: Some(thread) })
    }

    /// Called when a guest starts; the clock ticks until the guard is dropped.
    pub(super) fn tick(&self) -> Ticking {
        self.shared.running.fetch_add(1, SeqCst);
        if self.shared.asleep.load(SeqCst) {
            self.wake();
        }
        Ticking { shared: self.shared.clone() }
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, SeqCst);
    }
}

impl Shared {
    fn tick_until_ended(&self, engine: &wasmtime::Engine) {
        let mut idle = 0;
        while !self.ended.load(SeqCst) {
            thread::park_timeout(TICK);
            engine.increment_epoch();
            idle = if self.running.load(SeqCst) == 0 { idle + 1 } else { 0 };
            if idle > IDLE_TICKS {
                self.sleep_until_a_guest_runs();
                idle = 0;
            }
        }
    }

    /// A guest that starts between the two looks at `running` sees `asleep` and
    /// unparks the thread, so that `park` returns at once.
    fn sleep_until_a_guest_runs(&self) {
        self.asleep.store(true, SeqCst);
        while self.running.load(SeqCst) == 0 && !self.ended.load(SeqCst) {
            thread::park();
        }
        self.asleep.store(false, SeqCst);
    }
}

impl Drop for EpochClock {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; there is nobody to tell.
            let _ = thread.join();
        }
    }
}
