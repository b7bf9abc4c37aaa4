//! Running components: the engine, and the threads that keep guests in bounds.

mod app;
mod background;
mod bindings;
mod clock;
mod component;
mod convert;
mod fair;
mod frozen;
mod host;
mod instance;
mod meter;
mod output;
mod pool;
mod service;
mod world;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, ModuleVersionStrategy, PoolingAllocationConfig,
};

use crate::error::StartError;
use crate::limits::Limits;
pub(crate) use app::App;
use background::Background;
use clock::EpochClock;
pub(crate) use component::Component;
pub(crate) use convert::{check_trailers, is_hop_by_hop};
use pool::Pools;
use world::World;

/// Linear memories, tables and core modules that one component may have.
const MEMORIES: u32 = 2;
const TABLES: u32 = 16;
const CORE_INSTANCES: u32 = 32;
/// Entries of one table. A Rust component has some hundreds, Python's 10,000.
const TABLE_ELEMENTS: usize = 20_000;
/// What stays resident of a slot that is given back, in bytes. Measured with
/// `cargo xtask bench hello`: less costs page faults, more costs clearing.
const MEMORY_KEPT: usize = 256 << 10;
/// A fiber's stack, in bytes: wasmtime lets guests use half of it, the rest is
/// for what they call.
const STACK: usize = 1 << 20;
/// Slots whose memory is given back in one system call.
const GIVEN_BACK_TOGETHER: usize = 16;
const STACK_KEPT: usize = 32 << 10;

/// What all components share: an engine, and a second one for those that need
/// the component model's streams and futures, which the others would pay for.
pub(crate) struct Engines {
    limits: Limits,
    background: Arc<Background>,
    plain: Arc<Engine>,
    /// Made when the first component needs it.
    concurrent: Mutex<Option<Arc<Engine>>>,
}

/// What the components of an engine share.
struct Engine {
    wasm: wasmtime::Engine,
    clock: EpochClock,
    background: Arc<Background>,
    pools: Pools,
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
        let plain = Engine::new(limits, false, &background).map_err(StartError::Engine)?;
        let limits = limits.clone();
        Ok(Arc::new(Engines { limits, background, plain, concurrent: Mutex::default() }))
    }

    /// The engine for the components of a world.
    fn of(&self, world: World) -> Result<Arc<Engine>, String> {
        if world != World::Service {
            return Ok(self.plain.clone());
        }
        let mut concurrent = self.concurrent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*concurrent {
            return Ok(engine.clone());
        }
        let engine = Engine::new(&self.limits, true, &self.background)?;
        Ok(concurrent.insert(engine).clone())
    }
}

impl Engine {
    fn new(
        limits: &Limits,
        concurrent: bool,
        background: &Arc<Background>,
    ) -> Result<Arc<Engine>, String> {
        let wasm = wasmtime::Engine::new(&settings(limits, concurrent))
            .map_err(|error| format!("{error:#}; lower --instances or --max-memory"))?;
        Ok(Arc::new(Engine {
            clock: EpochClock::start(wasm.clone()).map_err(thread_failed)?,
            background: background.clone(),
            pools: Pools::default(),
            wasm,
        }))
    }
}

fn thread_failed(error: std::io::Error) -> String {
    format!("no thread could be started: {error}")
}

/// SECURITY: reservation and guard sizes are left at their defaults, on which
/// the elision of bounds checks and the clearing of slots rely
/// (CVE-2026-34988), and so is `signals_based_traps`, which carries the
/// mitigations against Spectre.
fn settings(limits: &Limits, concurrent: bool) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(concurrent)
        .concurrency_support(concurrent)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .epoch_interruption(true)
        .async_stack_zeroing(true)
        .async_stack_size(STACK)
        .memory_init_cow(true)
        .generate_address_map(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
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
