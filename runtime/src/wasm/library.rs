//! The components that are loaded. What is asked for is loaded, from the cache
//! or by compiling it; what was not asked for longest makes room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::Engines;
use super::cache::{Cache, Code};
use super::compile::Compiler;
use super::component::Component;
use super::mounted::Mounted;
use super::source::{Identity, Source};
use crate::limits::Limits;
use crate::machine::Room;
use crate::state::State;

/// What is loaded, and what is needed to load more.
pub(crate) struct Library {
    engines: Arc<Engines>,
    cache: Option<Cache>,
    compiler: Compiler,
    /// The largest component, in bytes.
    pub(crate) largest: usize,
    /// All loaded code together, in bytes.
    most: usize,
    /// The number of loaded components.
    room: Room,
    held: Mutex<HashMap<[u8; 32], Held>>,
    /// Those that are compiled at the moment: nothing is compiled twice at once.
    turns: Mutex<HashMap<[u8; 32], Weak<Mutex<()>>>>,
    /// Why they could not be compiled: nobody can keep the machine busy with it.
    failures: Mutex<HashMap<[u8; 32], Failure>>,
    /// Counts loads: the time by which it is known what was used last.
    loads: AtomicU64,
    /// Whether it was told that compiled components are not kept.
    unkept: AtomicBool,
    /// What may be looked for at the same time, and compiled.
    pub(super) finding: Semaphore,
    pub(super) compiling: Semaphore,
}

/// A loaded component, and where it is mounted.
struct Held {
    component: Weak<Component>,
    mounts: Vec<Weak<Mounted>>,
}

struct Failure {
    until: Instant,
    why: String,
}

/// A failure is remembered for so many times as long as it took.
const REMEMBERED: u32 = 10;
/// And at least, and at most, for this long.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(600);

/// How often it is looked for instances that wait for long.
const RETIRING: Duration = Duration::from_secs(2);

/// What is known of a component that is to be loaded.
pub(super) enum Found {
    Loaded(Arc<Component>),
    /// It must be compiled, from these bytes.
    New(Arc<Identity>, Vec<u8>),
}

impl Library {
    pub(crate) fn new(
        engines: Arc<Engines>,
        state: Option<&State>,
        compiler: Compiler,
        limits: &Limits,
        room: Room,
    ) -> Arc<Library> {
        let cache = state.and_then(|state| {
            let cache = Cache::open(state, limits.code_cache as u64);
            cache
                .inspect_err(|why| tracing::warn!("{why}; components are compiled at each start"))
                .ok()
        });
        let threads = threads();
        Arc::new(Library {
            engines,
            cache,
            compiler,
            largest: limits.component,
            most: limits.code,
            room,
            held: Mutex::default(),
            turns: Mutex::default(),
            failures: Mutex::default(),
            loads: AtomicU64::new(0),
            unkept: AtomicBool::new(false),
            finding: Semaphore::new(2 * threads),
            compiling: Semaphore::new(threads),
        })
    }

    /// From now on requests are answered.
    pub(crate) fn serve(&self) {
        self.compiler.serve();
    }

    /// Drops, again and again, the instances that have waited for a request for
    /// long.
    pub(crate) async fn retire_idle(self: Arc<Self>) {
        let mut turns = tokio::time::interval(RETIRING);
        loop {
            turns.tick().await;
            self.engines.retire_idle();
        }
    }

    /// Loads a component, here and now.
    ///
    /// # Errors
    /// It is broken, or takes too much: a sentence with the mend.
    pub(crate) fn load(&self, source: &Source) -> Result<Arc<Component>, String> {
        let component = match self.find(source)? {
            Found::Loaded(component) => component,
            Found::New(identity, bytes) => self.compile(&identity, &bytes)?,
        };
        source.set_sound();
        Ok(component)
    }

    /// Loads components, as many at the same time as there are processors.
    pub(crate) fn load_all(&self, sources: &[&Source]) -> Vec<Result<Arc<Component>, String>> {
        let next = AtomicU64::new(0);
        let results: Vec<_> = sources.iter().map(|_| Mutex::new(None)).collect();
        let work = || {
            while let Some((source, result)) = {
                let at = usize::try_from(next.fetch_add(1, Relaxed)).unwrap_or(usize::MAX);
                sources.get(at).zip(results.get(at))
            } {
                *lock(result) = Some(self.load(source));
            }
        };
        thread::scope(|scope| {
            let others = 1..threads().min(sources.len());
            // Without another thread, this one does it all.
            let others = others.map(|_| thread::Builder::new().spawn_scoped(scope, work));
            let others: Vec<_> = others.filter_map(Result::ok).collect();
            work();
            // A scope's end is not that of its threads: they would go while it is served.
            others.into_iter().for_each(|other| drop(other.join()));
        });
        let done = |result: Mutex<Option<_>>| {
            let result = result.into_inner().unwrap_or_else(PoisonError::into_inner);
            result.unwrap_or_else(|| Err("it could not be loaded".to_owned()))
        };
        results.into_iter().map(done).collect()
    }

    /// Looks for a component where it need not be compiled.
    pub(super) fn find(&self, source: &Source) -> Result<Found, String> {
        if let Some(identity) = source.identity()
            && let Some(component) = self.known(&identity)?
        {
            return Ok(Found::Loaded(component));
        }
        let (identity, bytes) = source.read(self.largest)?;
        Ok(match self.known(&identity)? {
            Some(component) => Found::Loaded(component),
            None => Found::New(identity, bytes),
        })
    }

    /// A component that is loaded, or in the cache.
    fn known(&self, identity: &Identity) -> Result<Option<Arc<Component>>, String> {
        if let Some(failure) = lock(&self.failures).get(&identity.content)
            && failure.until > Instant::now()
        {
            return Err(failure.why.clone());
        }
        if let Some(held) = lock(&self.held).get(&identity.content)
            && let Some(component) = held.component.upgrade()
        {
            return Ok(Some(component));
        }
        let Some(cache) = &self.cache else { return Ok(None) };
        let engine = self.engines.of(identity.engine())?;
        let Some(code) = cache.find(&engine.wasm, &engine.entry(identity))? else {
            return Ok(None);
        };
        self.loaded(identity, code).map(Some)
    }

    /// Compiles a component, unless someone else just did.
    pub(super) fn compile(
        &self,
        identity: &Identity,
        bytes: &[u8],
    ) -> Result<Arc<Component>, String> {
        let turn = self.turn(identity.content);
        let _turn = lock(&turn);
        if let Some(component) = self.known(identity)? {
            return Ok(component);
        }
        let began = Instant::now();
        self.compile_now(identity, bytes).inspect_err(|why| {
            let time = (began.elapsed() * REMEMBERED).clamp(SHORTEST, LONGEST);
            let failure = Failure { until: Instant::now() + time, why: why.clone() };
            let mut failures = lock(&self.failures);
            failures.retain(|_, failure| failure.until > Instant::now());
            failures.insert(identity.content, failure);
        })
    }

    fn compile_now(&self, identity: &Identity, bytes: &[u8]) -> Result<Arc<Component>, String> {
        let engine = self.engines.of(identity.engine())?;
        let compiled = self.compiler.compile(&engine.wasm, engine.kind, bytes)?;
        let component = self.loaded(identity, Code::of(&engine.wasm, &compiled)?)?;
        if let Some(cache) = &self.cache
            && let Err(why) = cache.keep(&engine.entry(identity), &compiled)
            && !self.unkept.swap(true, Relaxed)
        {
            // Told once: a full disk would be told at each load.
            tracing::warn!(
                "a compiled component is not kept: {why}; make room there, or choose another \
                 directory with --state"
            );
        }
        Ok(component)
    }

    fn turn(&self, content: [u8; 32]) -> Arc<Mutex<()>> {
        let mut turns = lock(&self.turns);
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = turns.get(&content).and_then(Weak::upgrade).unwrap_or_default();
        turns.insert(content, Arc::downgrade(&turn));
        turn
    }

    fn loaded(&self, identity: &Identity, code: Code) -> Result<Arc<Component>, String> {
        let engine = self.engines.of(identity.engine())?;
        let component = Arc::new(Component::new(engine, identity, code)?);
        let mut held = lock(&self.held);
        let entry = held
            .entry(identity.content)
            .or_insert_with(|| Held { component: Weak::new(), mounts: Vec::new() });
        // Someone else may have loaded it meanwhile: there is one of it.
        if let Some(first) = entry.component.upgrade() {
            return Ok(first);
        }
        entry.component = Arc::downgrade(&component);
        Ok(component)
    }

    /// A component is asked for.
    pub(super) fn touch(&self, component: &Component) {
        let now = self.loads.load(Relaxed);
        // Most are asked for again before another is loaded.
        if component.used.load(Relaxed) != now {
            component.used.store(now, Relaxed);
        }
    }

    /// A mounted component was loaded. If it is one too many, those make room
    /// that were not asked for longest; they go once their last requests end.
    pub(super) fn hold(&self, mounted: &Arc<Mounted>, component: &Component) {
        component.used.store(self.loads.fetch_add(1, Relaxed) + 1, Relaxed);
        let gone = {
            let mut held = lock(&self.held);
            held.retain(|_, held| held.component.strong_count() > 0);
            if let Some(entry) = held.get_mut(&component.content) {
                entry.mounts.retain(|mount| mount.strong_count() > 0);
                let mount = Arc::downgrade(mounted);
                if !entry.mounts.iter().any(|known| known.ptr_eq(&mount)) {
                    entry.mounts.push(mount);
                }
            }
            self.beyond(&held, component)
        };
        // Here, where nobody waits for the lock: instances end with them.
        gone.iter().for_each(|mount| mount.unload());
    }

    /// What must go so that the rest is within the limits.
    fn beyond(&self, held: &HashMap<[u8; 32], Held>, last: &Component) -> Vec<Arc<Mounted>> {
        let all = held.values().filter_map(|held| Some((held.component.upgrade()?, held)));
        let mut all: Vec<_> = all.collect();
        let mut bytes: usize = all.iter().map(|(component, _)| component.bytes).sum();
        let mut count = all.len();
        if bytes <= self.most && count <= self.room.components {
            return Vec::new();
        }
        // Each is looked at once: they change while they are sorted.
        all.sort_by_cached_key(|(component, _)| component.used.load(Relaxed));
        let mut gone = Vec::new();
        for (component, held) in all {
            if bytes <= self.most && count <= self.room.components {
                break;
            }
            if component.content != last.content {
                gone.extend(held.mounts.iter().filter_map(Weak::upgrade));
                bytes -= component.bytes;
                count -= 1;
            }
        }
        gone
    }
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
