//! A component's file, as it was when the site was loaded.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::EngineKind;
use super::component::check_kind;
use super::world::World;
use crate::build::{ImportRead, Recipe, is_of_scripts, reads_in};
use crate::error::explain;
use crate::units::Bytes;

/// A component's file.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) stamp: Stamp,
    /// Known once it was read. It stays the one that was read first, so that
    /// a file that changes is not loaded before the site is loaded again.
    identity: Mutex<Option<Arc<Identity>>>,
    /// Whether it was loaded.
    sound: AtomicBool,
    /// The file as it was when it was last loaded, until this one is: what a reload
    /// replaces goes on where the new file cannot be loaded.
    before: Mutex<Option<Arc<Source>>>,
}

/// Tells whether a file is still the same without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What a component is.
pub(crate) struct Identity {
    /// The digest of its file.
    pub(crate) content: [u8; 32],
    pub(super) world: World,
    /// The export that answers requests.
    pub(super) export: String,
    /// Whether it holds an interpreter.
    pub(super) scripts: bool,
    /// The variables that its app read while it was built.
    pub(super) reads: Arc<[ImportRead]>,
}

impl Identity {
    /// The kind of the engine that runs it.
    pub(super) fn engine(&self) -> EngineKind {
        match self.world {
            World::Service => EngineKind::Concurrent,
            _ if self.scripts => EngineKind::Deep,
            _ => EngineKind::Plain,
        }
    }
}

impl Source {
    /// A file that is there, not too large, and not read yet.
    ///
    /// # Errors
    /// A sentence with the mend.
    pub(crate) fn of(path: &Path, largest: usize) -> Result<Source, String> {
        let metadata = std::fs::metadata(path).map_err(|error| explain(&error))?;
        check_file(&metadata, largest)?;
        Ok(Source {
            path: path.to_owned(),
            stamp: Stamp::of(&metadata),
            identity: Mutex::default(),
            sound: AtomicBool::new(false),
            before: Mutex::default(),
        })
    }

    /// The same file in place of an old one.
    pub(crate) fn after(self, old: Option<&Arc<Source>>) -> Source {
        let sound =
            old.and_then(|old| if old.is_sound() { Some(old.clone()) } else { old.before() });
        Source { before: Mutex::new(sound), ..self }
    }

    /// It was loaded: the file before is not needed any more.
    pub(super) fn set_sound(&self) {
        self.sound.store(true, Relaxed);
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_sound(&self) -> bool {
        self.sound.load(Relaxed)
    }

    /// The file as it was when it was last loaded, if this one never was.
    pub(super) fn before(&self) -> Option<Arc<Source>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it is, if it was read already.
    pub(crate) fn identity(&self) -> Option<Arc<Identity>> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads it.
    ///
    /// # Errors
    /// It cannot be read, or is no component that answers requests.
    pub(super) fn read(&self, largest: usize) -> Result<(Arc<Identity>, Vec<u8>), String> {
        let wrong = |error: std::io::Error| explain(&error);
        let file = File::open(&self.path).map_err(wrong)?;
        let metadata = file.metadata().map_err(wrong)?;
        check_file(&metadata, largest)?;
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        file.take(largest as u64 + 1).read_to_end(&mut bytes).map_err(wrong)?;
        if bytes.len() > largest {
            return Err(too_large(bytes.len(), largest));
        }
        let content = Sha256::digest(&bytes).into();
        let mut known = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = &*known {
            return match identity.content == content {
                true => Ok((identity.clone(), bytes)),
                false => Err("the file has changed; reload the site".to_owned()),
            };
        }
        check_kind(&bytes).map_err(|why| source_code(&self.path).unwrap_or(why))?;
        let (world, export) = World::of(&bytes)?;
        let scripts = is_of_scripts(&bytes);
        let reads = reads_in(&bytes)?.into();
        let identity = Arc::new(Identity { content, world, export, scripts, reads });
        Ok((known.insert(identity).clone(), bytes))
    }
}

/// What to do with a module of a language that is built first.
fn source_code(path: &Path) -> Option<String> {
    if Recipe::is_javascript(path) {
        return Some(format!(
            "JavaScript, not a component; build it: myweb-run build {}",
            path.display()
        ));
    }
    (path.extension()? == "py").then(|| {
        "Python, not a component; serve it with --wsgi MODULE:APP, or build it: \
         myweb-run build --wsgi MODULE:APP -o app.wasm"
            .to_owned()
    })
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// SECURITY: what is no file could keep its reader waiting, or have no end.
fn check_file(metadata: &Metadata, largest: usize) -> Result<(), String> {
    if metadata.is_dir() {
        return Err(explain(&std::io::ErrorKind::IsADirectory.into()));
    }
    if !metadata.is_file() {
        return Err("not a file; name a component's file".to_owned());
    }
    match usize::try_from(metadata.len()).unwrap_or(usize::MAX) {
        length if length > largest => Err(too_large(length, largest)),
        _ => Ok(()),
    }
}

fn too_large(length: usize, largest: usize) -> String {
    let largest = Bytes(largest);
    format!(
        "the component has {length} bytes, {largest} are allowed; raise the component limit, or make it smaller"
    )
}
