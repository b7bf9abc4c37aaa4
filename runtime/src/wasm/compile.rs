//! Compiling, in a process of its own: it takes long, and hostile components can
//! make it take longer than anyone has.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal};

use super::world::not_valid;
use super::{EngineKind, cause, names};
use crate::limits::Limits;
use crate::units::{Bytes, Span};

/// The program whose `compile` compiles, and what it may use.
pub(crate) struct Compiler {
    /// None: this process compiles, without limits.
    program: Option<PathBuf>,
    time: Duration,
    memory: usize,
    /// Whether requests are answered beside it.
    serving: AtomicBool,
}

/// By the clock, a component may take so many times as long as by CPU time: the
/// machine may have others to run first.
const BY_CLOCK: u32 = 4;

/// What a compiling process is told.
#[derive(Clone, Debug)]
pub struct Compilation {
    /// The kind of the engine that runs it.
    pub engine: EngineKind,
    /// CPU time.
    pub time: Duration,
    /// Address space, in bytes.
    pub memory: usize,
    /// Whether others go first.
    pub patient: bool,
}

/// The program that compiles for this one: itself, also when its file was
/// replaced by another version.
#[must_use]
pub fn this_program() -> Option<PathBuf> {
    let linux = PathBuf::from("/proc/self/exe");
    if linux.exists() { Some(linux) } else { std::env::current_exe().ok() }
}

impl Compiler {
    pub(crate) fn new(program: Option<PathBuf>, limits: &Limits) -> Compiler {
        let (time, memory) = (limits.compile_time, limits.compile_memory);
        Compiler { program, time, memory, serving: AtomicBool::new(false) }
    }

    /// From now on requests are answered: they go first.
    pub(super) fn serve(&self) {
        self.serving.store(true, Relaxed);
    }

    /// Compiles a component for an engine.
    ///
    /// # Errors
    /// It is not valid, or takes too much: a sentence with the mend.
    pub(super) fn compile(
        &self,
        engine: &wasmtime::Engine,
        kind: EngineKind,
        component: &[u8],
    ) -> Result<Vec<u8>, String> {
        let Some(program) = &self.program else {
            let compiled = engine.precompile_component(&names::bounded(component));
            return compiled.map_err(|error| not_valid(&cause::of_load(&error)));
        };
        let mut command = Command::new(program);
        command
            .arg("compile")
            .args(["--engine", kind.name()])
            .args(self.serving.load(Relaxed).then_some("--patient"))
            .args(["--time", &Span(self.time).to_string()])
            .args(["--memory", &Bytes(self.memory).to_string()])
            // Nothing of the server is for it: no secret, no descriptor, no folder.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let child = command.spawn();
        let child = child.map_err(|error| format!("no process could be started: {error}"))?;
        self.result_of(child, component)
    }

    fn result_of(&self, mut child: Child, component: &[u8]) -> Result<Vec<u8>, String> {
        let said = self.talk(&mut child, component);
        let _ = child.kill();
        let status = child.wait().map_err(|error| format!("compiling it failed: {error}"))?;
        match said.map_err(|error| format!("compiling it failed: {error}"))? {
            Said::Late => Err(self.too_long()),
            Said::All(compiled) if status.success() => Ok(compiled),
            Said::All(why) if status.code() == Some(REFUSED.into()) => {
                Err(self.told(&cause::of_compiler(&why)))
            }
            Said::All(_) => Err(self.ended(status)),
        }
    }

    /// Sends a child the component, and takes what it says until it ends.
    fn talk(&self, child: &mut Child, component: &[u8]) -> io::Result<Said> {
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let (pid, time) = (Pid::from_child(child), self.time * BY_CLOCK);
        let (ended, end) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let new = || thread::Builder::new().name("compile".to_owned());
            new().spawn_scoped(scope, move || {
                // A child that has ended already says why.
                let _ = stdin.write_all(component);
            })?;
            let watch = new().spawn_scoped(scope, move || {
                let late = end.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
                if late {
                    // It was not waited for yet: the number is still its own.
                    let _ = rustix::process::kill_process(pid, Signal::KILL);
                }
                late
            });
            let watch = watch.inspect_err(|_| {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            })?;
            let mut said = Vec::new();
            let read = stdout.take(self.memory as u64).read_to_end(&mut said);
            drop(ended);
            let late = watch.join().unwrap_or(false);
            read?;
            Ok(if late { Said::Late } else { Said::All(said) })
        })
    }

    /// What the compiler says of a component.
    fn told(&self, why: &str) -> String {
        let memory = ["Cannot allocate memory", "out of memory", "os error 12"];
        if memory.iter().any(|text| why.contains(text)) { self.too_large() } else { not_valid(why) }
    }

    fn ended(&self, status: ExitStatus) -> String {
        match status.signal().and_then(Signal::from_named_raw) {
            Some(Signal::XCPU | Signal::KILL) => self.too_long(),
            // Memory that it was not given.
            Some(Signal::ABORT) => self.too_large(),
            Some(Signal::SEGV | Signal::BUS) => {
                "what is in it is nested too deeply to be compiled; build it otherwise".to_owned()
            }
            _ => format!("the compiler failed ({status}); build the component otherwise"),
        }
    }

    fn too_long(&self) -> String {
        let time = Span(self.time);
        format!(
            "compiling it takes longer than {time}; raise the compile-time limit, or make it smaller"
        )
    }

    fn too_large(&self) -> String {
        let memory = Bytes(self.memory);
        format!(
            "compiling it takes more than {memory} of memory; raise the compile-memory limit, or \
             make it smaller"
        )
    }
}

/// What a child said before it ended.
enum Said {
    All(Vec<u8>),
    Late,
}

/// The exit code when the component is not valid; then it says why.
pub const REFUSED: u8 = 3;

/// What a compiling process does: reads a component from its standard input.
///
/// # Errors
/// The component is not valid.
pub fn compile(compilation: &Compilation) -> Result<Vec<u8>, String> {
    restrain(compilation);
    let mut component = Vec::new();
    io::stdin().lock().read_to_end(&mut component).map_err(|error| error.to_string())?;
    let engine = wasmtime::Engine::new(&super::settings(compilation.engine));
    let component = names::bounded(&component);
    let compiled = engine.and_then(|engine| engine.precompile_component(&component));
    compiled.map_err(|error| cause::of_load(&error))
}

/// What exceeds this is ended by the system. If it does not know a limit, the
/// server's own of time still holds.
fn restrain(compilation: &Compilation) {
    let seconds = compilation.time.as_secs().max(1);
    let set = |resource, soft, hard| {
        let limit = Rlimit { current: Some(soft), maximum: Some(hard) };
        let _ = rustix::process::setrlimit(resource, limit);
    };
    set(Resource::Cpu, seconds, seconds + 1);
    set(Resource::As, compilation.memory as u64, compilation.memory as u64);
    set(Resource::Core, 0, 0);
    if compilation.patient {
        let _ = rustix::process::nice(PATIENT);
    }
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
}

/// A tenth of the CPU time of whoever answers requests, if both want it. The
/// lowest priority is a sixtieth: on a busy machine that could take for ever.
const PATIENT: i32 = 10;
