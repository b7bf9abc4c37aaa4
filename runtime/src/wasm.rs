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
mod memory;
mod meter;
mod output;
mod pool;
mod service;
mod settings;
mod world;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::StartError;
use crate::limits::Limits;
pub(crate) use app::App;
use background::Background;
use clock::EpochClock;
pub(crate) use component::Component;
use pool::Pools;
use settings::settings;
use world::World;

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
