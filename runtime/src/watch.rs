//! Loads the site again when a component or the configuration changes on disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::app::{Reloaded, Shared};

/// A tool writes a file in several steps; it is loaded after this much quiet.
const QUIET: Duration = Duration::from_millis(100);
/// Without any quiet, it is loaded after this long.
const LONGEST: Duration = Duration::from_secs(1);

/// Watches until it is dropped.
pub(crate) struct Watching {
    _watcher: Option<notify::RecommendedWatcher>,
    task: JoinHandle<()>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts to watch. Whole directories: editors and compilers replace files
/// rather than write into them.
pub(crate) fn start(shared: &Arc<Shared>) -> Watching {
    let (changed, changes) = mpsc::channel(1);
    let recipes = shared.source.recipes().to_vec();
    let mut sources = shared.source.watched();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // A change that is already announced need not be announced again. Logs
        // and the like in the same directory are no change.
        let loaded =
            |path: &PathBuf| path.extension().is_some_and(|ext| ext == "wasm" || ext == "toml");
        let mut built = |path: &PathBuf| sources.iter_mut().any(|watched| watched.has(path));
        let mut counts = |path: &PathBuf| loaded(path) || built(path);
        if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(&mut counts)) {
            let _ = changed.try_send(());
        }
    });
    let watcher = watcher.and_then(|mut watcher| {
        for directory in directories(shared) {
            watcher.watch(&directory, RecursiveMode::NonRecursive)?;
        }
        for (_, recipe) in &recipes {
            watcher.watch(&recipe.folder, RecursiveMode::Recursive)?;
        }
        Ok(watcher)
    });
    let watcher = watcher
        .inspect_err(|error| {
            tracing::error!("--watch does not work here: {error}; restart to load changes");
        })
        .ok();
    let task = tokio::spawn(reload_on_change(Arc::downgrade(shared), changes));
    Watching { _watcher: watcher, task }
}

fn directories(shared: &Shared) -> BTreeSet<PathBuf> {
    let plan = shared.source.plan().ok();
    let components =
        plan.iter().flat_map(|plan| plan.components().filter_map(|(path, _)| path.parent()));
    let written_in = shared.source.written_in();
    let written_in = written_in.map(|path| if path.is_dir() { Some(path) } else { path.parent() });
    let here = |path: &Path| if path.as_os_str().is_empty() { ".".into() } else { path.to_owned() };
    components.chain(written_in.flatten()).map(here).collect()
}

async fn reload_on_change(shared: Weak<Shared>, mut changes: mpsc::Receiver<()>) {
    while changes.recv().await.is_some() {
        let latest = Instant::now() + LONGEST;
        loop {
            let quiet = (Instant::now() + QUIET).min(latest);
            let more = matches!(timeout_at(quiet, changes.recv()).await, Ok(Some(())));
            if !more || Instant::now() >= latest {
                break;
            }
        }
        let Some(shared) = shared.upgrade() else { return };
        reload(shared).await;
    }
}

/// Loads the site again, and tells what became of it.
pub(crate) async fn reload(shared: Arc<Shared>) {
    // Compiling takes long: not where requests are answered.
    match tokio::task::spawn_blocking(move || shared.reload()).await {
        Ok(Ok(Reloaded { kept, broken, warnings })) => {
            for problem in &kept {
                tracing::error!("not reloaded, the old one goes on: {problem}");
            }
            for problem in &broken {
                tracing::error!("{problem}");
            }
            for warning in &warnings {
                tracing::warn!("{warning}");
            }
            if kept.is_empty() && broken.is_empty() {
                tracing::info!("reloaded");
            }
        }
        Ok(Err(error)) => {
            for line in error.to_string().lines() {
                tracing::error!("not reloaded, the old site goes on: {line}");
            }
        }
        Err(_) => tracing::error!("not reloaded, the old site goes on: the load failed"),
    }
}
