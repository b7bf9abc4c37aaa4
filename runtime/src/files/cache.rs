//! Small files, kept in memory. What is kept is looked at on the disk again
//! after a moment, so that a change is noticed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use super::entry::Entry;
use super::reserve::Reserve;
use crate::coarse;
use crate::compress::Coding;

/// How long a change may stay unseen.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What changed less than this ago may change again within the same tick of the file
/// system's clock: it is not kept.
pub(super) const SETTLED: Duration = Duration::from_secs(1);

/// The largest file that is kept, in bytes.
pub(super) const LARGEST: u64 = 128 << 10;

/// What an entry costs beside its bytes, in bytes.
const OVERHEAD: u64 = 1_024;

/// Small files of all roots, bounded by their bytes together.
pub(crate) struct FileCache {
    files: Cache<Key, Arc<Known>, Weight>,
    roots: AtomicU64,
    /// For files that are not in it.
    pub(super) reserve: Reserve,
}

/// What was found at a path, and when.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) entry: Arc<Entry>,
    /// The path of the file itself: of the index, if a directory was named.
    pub(super) name: PathBuf,
    /// Looked for when they are needed first.
    pub(super) siblings: OnceLock<Vec<Sibling>>,
    /// By [`coarse::now`].
    looked: Duration,
}

/// A file beside another that holds the same in a coding: `a.css.br`.
#[derive(Clone, Debug)]
pub(super) struct Sibling {
    pub(super) coding: Coding,
    pub(super) entry: Arc<Entry>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    root: u64,
    path: Box<str>,
}

#[derive(Hash)]
struct KeyRef<'a> {
    root: u64,
    path: &'a str,
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.root == key.root && self.path == &*key.path
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Known>> for Weight {
    fn weight(&self, key: &Key, known: &Arc<Known>) -> u64 {
        // With what may be kept of it in three codings, as files or made here.
        known.entry.length * 4 + key.path.len() as u64 + OVERHEAD
    }
}

impl FileCache {
    /// A cache that holds about so many bytes.
    pub(crate) fn new(bytes: usize) -> FileCache {
        let bytes = bytes as u64;
        let files = usize::try_from(bytes / (4 * OVERHEAD)).unwrap_or(usize::MAX).max(1);
        let files = Cache::with_weighter(files, bytes, Weight);
        FileCache { files, roots: AtomicU64::new(0), reserve: Reserve::new() }
    }

    /// A number that tells a root from all others.
    pub(super) fn new_root(&self) -> u64 {
        self.roots.fetch_add(1, Relaxed)
    }

    /// What was found at a path, whether or not it is still so.
    pub(super) fn get(&self, root: u64, path: &str) -> Option<Arc<Known>> {
        self.files.get(&KeyRef { root, path })
    }

    /// Keeps what was found at a path, if it is small and has not just changed.
    pub(super) fn put(&self, root: u64, path: &str, known: &Arc<Known>) {
        let modified = known.entry.modified();
        let age = SystemTime::now().duration_since(modified).unwrap_or_default();
        if known.entry.is_in_memory() && age > SETTLED {
            self.files.insert(Key { root, path: path.into() }, known.clone());
        }
    }
}

impl Known {
    pub(super) fn now(entry: Arc<Entry>, name: PathBuf) -> Arc<Known> {
        Arc::new(Known { entry, name, siblings: OnceLock::new(), looked: coarse::now() })
    }

    /// Whether the disk need not be asked again yet.
    pub(super) fn is_fresh(&self) -> bool {
        coarse::now().saturating_sub(self.looked) < LOOK_AGAIN
    }
}

impl std::fmt::Debug for FileCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("FileCache").field(&self.files.weight()).finish()
    }
}
