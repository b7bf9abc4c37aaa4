//! Loads the site again when a component changes on disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::app::Shared;

/// A tool writes a file in several steps; it is loaded after this much quiet.
const QUIET: Duration = Duration::from_millis(100);

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

/// Starts to watch the directories of all components: editors and compilers
/// replace files rather than write into them.
pub(crate) fn start(shared: &Arc<Shared>) -> Watching {
    let (changed, changes) = mpsc::channel(1);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // A change that is already announced need not be announced again.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = changed.try_send(());
        }
    });
    let watcher = watcher.and_then(|mut watcher| {
        for directory in directories(shared) {
            watcher.watch(&directory, RecursiveMode::NonRecursive)?;
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
    let config = &shared.config;
    let of_apps = config.apps.iter().filter_map(|mount| mount.path.parent());
    let here = |path: &Path| if path.as_os_str().is_empty() { ".".into() } else { path.to_owned() };
    of_apps.chain(config.handlers.as_deref()).map(here).collect()
}

async fn reload_on_change(shared: Weak<Shared>, mut changes: mpsc::Receiver<()>) {
    while changes.recv().await.is_some() {
        while let Ok(Some(())) = timeout(QUIET, changes.recv()).await {}
        let Some(shared) = shared.upgrade() else { return };
        // Compiling takes long: not where requests are answered.
        let reloaded = tokio::task::spawn_blocking(move || shared.reload()).await;
        match reloaded {
            Ok(Ok(())) => tracing::info!("reloaded"),
            Ok(Err(error)) => tracing::error!("not reloaded, the old site goes on: {error}"),
            Err(_) => tracing::error!("not reloaded, the old site goes on: the load failed"),
        }
    }
}
