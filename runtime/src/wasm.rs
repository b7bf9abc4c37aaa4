//! Running components: the engine, and the threads that keep guests in bounds.

mod app;
mod background;
mod bindings;
mod cache;
mod cause;
mod clock;
mod compile;
mod component;
mod convert;
mod export;
mod fair;
mod frozen;
mod handles;
mod hook;
mod host;
mod instance;
mod javascript;
mod library;
mod memory;
mod meter;
mod mounted;
mod names;
mod output;
mod pool;
mod script;
mod service;
mod settings;
mod source;
mod stalled;
mod texts;
mod used;
mod usual;
mod variables;
mod whose;
mod work;
mod world;
mod wsgi;

use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use wasmtime::InstanceAllocationStrategy;
use wasmtime::component::Linker;

use crate::error::StartError;
use crate::limits::Limits;
pub(crate) use app::App;
pub(crate) use background::Background;
use cache::Name;
use clock::EpochClock;
pub(crate) use compile::Compiler;
pub use compile::{Compilation, REFUSED, compile, this_program};
pub(crate) use component::Component;
pub(crate) use convert::{check_trailers, is_hop_by_hop};
pub(crate) use fair::{Lease, TenantKey, Turns};
use host::Host;
pub(crate) use library::Library;
pub(crate) use mounted::Mounted;
use pool::Pools;
pub(crate) use settings::ADDRESSES_OF_INSTANCE;
use settings::{pool, settings};
use source::Identity;
pub(crate) use source::{Source, Stamp};
pub(crate) use used::thread_time;
pub(crate) use variables::Variables;
pub(crate) use work::{Job, Work, key_of};

/// What a component needs of its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// What all have.
    Plain,
    /// The component model's streams and futures, which the others would pay for.
    Concurrent,
    /// A deep stack, for interpreters, which recurse. Stacks are in nobody's limit
    /// of memory, so not every guest has such a one.
    Deep,
}

impl EngineKind {
    /// The kind of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<EngineKind, String> {
        let all = [EngineKind::Plain, EngineKind::Concurrent, EngineKind::Deep];
        let named = all.into_iter().find(|kind| kind.name() == name);
        named.ok_or_else(|| format!("there is no engine {name:?}"))
    }

    fn name(self) -> &'static str {
        match self {
            EngineKind::Plain => "plain",
            EngineKind::Concurrent => "concurrent",
            EngineKind::Deep => "deep",
        }
    }

    fn is_concurrent(self) -> bool {
        self == EngineKind::Concurrent
    }
}

/// What all components share: an engine of each kind.
pub(crate) struct Engines {
    limits: Limits,
    background: Arc<Background>,
    plain: Arc<Engine>,
    /// Made when the first component needs it.
    concurrent: Mutex<Option<Arc<Engine>>>,
    /// Made when the first component needs it.
    deep: Mutex<Option<Arc<Engine>>>,
}

/// What the components of an engine share.
struct Engine {
    wasm: wasmtime::Engine,
    clock: EpochClock,
    background: Arc<Background>,
    pools: Pools,
    /// What components may import.
    linker: Linker<Host>,
    kind: EngineKind,
    /// What compiled code depends on beside the component.
    digest: [u8; 32],
}

impl Engines {
    /// Engines whose pools have room for the limits' instances and memory.
    ///
    /// # Errors
    /// The machine does not give the address space or the threads.
    pub(crate) fn new(limits: &Limits) -> Result<Arc<Engines>, StartError> {
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let background = Background::start(threads).map_err(thread_failed);
        let background = Arc::new(background.map_err(StartError::Engine)?);
        let plain = Engine::new(limits, EngineKind::Plain, &background);
        let plain = plain.map_err(StartError::Engine)?;
        let limits = limits.clone();
        let (concurrent, deep) = Default::default();
        Ok(Arc::new(Engines { limits, background, plain, concurrent, deep }))
    }

    /// The threads where long work is done.
    pub(crate) fn background(&self) -> Arc<Background> {
        self.background.clone()
    }

    /// The engine of a kind.
    fn of(&self, kind: EngineKind) -> Result<Arc<Engine>, String> {
        let engine = match kind {
            EngineKind::Plain => return Ok(self.plain.clone()),
            EngineKind::Concurrent => &self.concurrent,
            EngineKind::Deep => &self.deep,
        };
        let mut engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*engine {
            return Ok(engine.clone());
        }
        let new = Engine::new(&self.limits, kind, &self.background)?;
        Ok(engine.insert(new).clone())
    }

    /// Drops the instances that have waited for a request for long.
    fn retire_idle(&self) {
        let made = [&self.concurrent, &self.deep]
            .map(|engine| engine.lock().unwrap_or_else(PoisonError::into_inner).clone());
        for engine in made.iter().flatten().chain([&self.plain]) {
            engine.pools.retire_idle();
        }
    }
}

impl Engine {
    fn new(
        limits: &Limits,
        kind: EngineKind,
        background: &Arc<Background>,
    ) -> Result<Arc<Engine>, String> {
        let mut settings = settings(kind);
        settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
        let wasm = wasmtime::Engine::new(&settings)
            .map_err(|error| format!("{error:#}; lower the limit instances"))?;
        let linker =
            host::link(&wasm, kind.is_concurrent()).map_err(|error| format!("{error:#}"))?;
        Ok(Arc::new(Engine {
            clock: EpochClock::start(wasm.clone()).map_err(thread_failed)?,
            background: background.clone(),
            pools: Pools::default(),
            linker,
            kind,
            digest: digest(&wasm, kind),
            wasm,
        }))
    }

    /// Under which the cache has a component's code for this engine.
    fn entry(&self, identity: &Identity) -> Name {
        Name { content: identity.content, engine: self.digest }
    }
}

/// A digest of what compiled code depends on beside the component: the versions
/// and settings of the compiler, the processor, and this server's own version.
fn digest(engine: &wasmtime::Engine, kind: EngineKind) -> [u8; 32] {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut sha = Sha(Sha256::new());
    env!("CARGO_PKG_VERSION").hash(&mut sha);
    names::VERSION.hash(&mut sha);
    engine.precompile_compatibility_hash().hash(&mut sha);
    kind.name().hash(&mut sha);
    sha.0.finalize().into()
}

fn thread_failed(error: std::io::Error) -> String {
    format!("no thread could be started: {error}")
}

/// Reads of a file's bytes all that is read before they are compiled.
pub(crate) fn inspect(bytes: &[u8]) {
    let _ = component::check_kind(bytes);
    let bounded = names::bounded(bytes);
    assert_eq!(bounded.len(), bytes.len(), "only the names of sections change");
    assert_eq!(names::bounded(&bounded), bounded, "no name that is too long is left");
    let _ = crate::build::reads_in(bytes);
    let _ = world::World::of(bytes);
    let _ = crate::build::is_of_scripts(bytes);
}
