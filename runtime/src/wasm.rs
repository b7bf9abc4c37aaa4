//! Running components: the engine, and the threads that keep guests in bounds.

mod app;
mod background;
mod bindings;
mod cache;
mod clock;
mod compile;
mod component;
mod convert;
mod fair;
mod frozen;
mod host;
mod instance;
mod library;
mod meter;
mod mounted;
mod output;
mod pool;
mod service;
mod source;
mod world;

use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use wasmtime::component::Linker;
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, ModuleVersionStrategy, PoolingAllocationConfig,
};

use crate::error::StartError;
use crate::limits::Limits;
pub(crate) use app::App;
use background::Background;
use cache::Name;
use clock::EpochClock;
pub(crate) use compile::Compiler;
pub use compile::{Compilation, REFUSED, compile, this_program};
pub(crate) use component::Component;
use host::Host;
pub(crate) use library::Library;
pub(crate) use mounted::Mounted;
use pool::Pools;
use source::Identity;
pub(crate) use source::{Source, Stamp};

/// Linear memories, tables and core modules that one component may have.
const MEMORIES: u32 = 2;
const TABLES: u32 = 16;
const CORE_INSTANCES: u32 = 32;
/// Entries of one table. A Rust component has some hundreds, Python's 10,000.
const TABLE_ELEMENTS: usize = 20_000;
/// What stays resident of a slot that is given back, in bytes. Measured with
/// `cargo xtask bench hello`: less costs page faults, more costs clearing.
const MEMORY_KEPT: usize = 256 << 10;
/// A fiber's stack, in bytes: guests may use half of it, the rest is for what
/// they call.
const STACK: usize = 1 << 20;
/// The same for interpreters: below 1 MiB, Python's recursion limit comes after
/// the stack's end, and it traps in place of raising.
const DEEP_STACK: usize = 4 << 20;
/// Slots whose memory is given back in one system call.
const GIVEN_BACK_TOGETHER: usize = 16;
const STACK_KEPT: usize = 32 << 10;

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
            .map_err(|error| format!("{error:#}; lower --instances or --max-memory"))?;
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
    engine.precompile_compatibility_hash().hash(&mut sha);
    kind.name().hash(&mut sha);
    sha.0.finalize().into()
}

fn thread_failed(error: std::io::Error) -> String {
    format!("no thread could be started: {error}")
}

/// SECURITY: reservation and guard sizes are left at their defaults, on which
/// the elision of bounds checks and the clearing of slots rely
/// (CVE-2026-34988), and so is `signals_based_traps`, which carries the
/// mitigations against Spectre.
fn settings(kind: EngineKind) -> Config {
    let concurrent = kind.is_concurrent();
    let stack = if kind == EngineKind::Deep { DEEP_STACK } else { STACK };
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(concurrent)
        .concurrency_support(concurrent)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .epoch_interruption(true)
        .async_stack_zeroing(true)
        .async_stack_size(stack)
        .max_wasm_stack(stack / 2)
        .memory_init_cow(true)
        .generate_address_map(true);
    // The version of the settings is part of what a compiled component is for.
    let _ = config.module_version(ModuleVersionStrategy::WasmtimeVersion);
    config
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let count = u32::try_from(limits.instances).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(count)
        .total_core_instances(count.saturating_mul(CORE_INSTANCES))
        .total_memories(count.saturating_mul(MEMORIES))
        .total_tables(count.saturating_mul(TABLES))
        .total_stacks(count)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_memories_per_module(1)
        .max_tables_per_component(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(limits.memory)
        .linear_memory_keep_resident(MEMORY_KEPT)
        .table_keep_resident(MEMORY_KEPT)
        .async_stack_keep_resident(STACK_KEPT)
        .decommit_batch_size(GIVEN_BACK_TOGETHER)
        .pagemap_scan(Enabled::Auto);
    pool
}
