//! A directory whose files are served, and what its paths name.

use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use rustix::io::Errno;

use super::cache::{FileCache, Known, Sibling};
use super::entry::Entry;
use super::names::Names;
use super::policy;
use crate::compress::Coding;
use crate::error::{StartError, explain};

/// A directory whose files are served. Nothing outside it is reached, not
/// through `..` and not through symbolic links.
#[derive(Debug)]
pub(crate) struct Root {
    dir: Dir,
    names: Names,
    /// What a directory's own path may name, the first that is there.
    index: Vec<String>,
    cache: Arc<FileCache>,
    /// Tells the paths of this root from those of others in the cache.
    id: u64,
}

/// What a path names.
#[derive(Debug)]
pub(super) enum Found {
    File(Arc<Known>),
    /// A directory that was named without the slash at its end: what its index
    /// links to would be looked for beside it.
    Unslashed {
        index: bool,
    },
    /// A directory without an index.
    Directory(Dir),
}

impl Root {
    /// Opens a directory.
    ///
    /// # Errors
    /// It is none, or cannot be read.
    pub(crate) fn open(
        path: &Path,
        index: Vec<String>,
        cache: Arc<FileCache>,
    ) -> Result<Root, StartError> {
        let listed = std::fs::read_dir(path).map(drop);
        let dir = listed.and_then(|()| Dir::open_ambient_dir(path, ambient_authority()));
        let id = cache.new_root();
        dir.map(|dir| Root { dir, names: Names::default(), index, cache, id })
            .map_err(|error| StartError::Directory { path: path.into(), why: explain(&error) })
    }

    /// The regular file that a decoded path names, if it names one.
    ///
    /// # Errors
    /// The file may be there, but the system does not give it.
    pub(crate) fn file(&self, path: &str) -> io::Result<Option<Arc<Entry>>> {
        Ok(match self.find(path)? {
            Some(Found::File(known)) => Some(known.entry.clone()),
            _ => None,
        })
    }

    /// What a decoded path names; one that ends with a slash names a
    /// directory's index. `None` for all that is not served.
    ///
    /// # Errors
    /// Something may be there, but the system does not give it.
    pub(super) fn find(&self, path: &str) -> io::Result<Option<Found>> {
        // 1. What is known of the path, and what it may name at all.
        let known = self.cache.get(self.id, path);
        if let Some(known) = known.as_ref().filter(|known| known.is_fresh()) {
            return Ok(Some(Found::File(known.clone())));
        }
        let top = policy::top(path);
        if !top.is_empty() && !self.names.may_have(&self.dir, top) {
            return Ok(None);
        }
        let Some(relative) = policy::relative(path) else { return Ok(None) };
        self.cache.reserve.lend(|| self.look(path, &relative, known.as_ref()))
    }

    /// What a path names now, of which this was known before.
    fn look(
        &self,
        path: &str,
        relative: &Path,
        known: Option<&Arc<Known>>,
    ) -> io::Result<Option<Found>> {
        // 2. The file, or the directory's index.
        let slash = path.ends_with('/');
        let found = match slash {
            true => self.index_of(relative)?,
            false => {
                self.open_below(relative)?.map(|(f, metadata)| (relative.to_owned(), f, metadata))
            }
        };
        match found {
            Some((name, file, metadata)) if metadata.is_file() => {
                let entry = known.map(|known| &known.entry);
                let known = Known::now(Entry::of(file, &metadata, &name, entry)?, name);
                self.cache.put(self.id, path, &known);
                Ok(Some(Found::File(known)))
            }
            Some(_) => Ok(Some(Found::Unslashed { index: self.index_of(relative)?.is_some() })),
            None if slash => Ok(self.open_directory(relative)?.map(Found::Directory)),
            None => Ok(None),
        }
    }

    fn index_of(&self, directory: &Path) -> io::Result<Option<(PathBuf, File, Metadata)>> {
        for name in &self.index {
            let path = directory.join(name);
            if let Some((file, metadata)) = self.open_below(&path)?
                && metadata.is_file()
            {
                return Ok(Some((path, file, metadata)));
            }
        }
        Ok(None)
    }

    fn open_directory(&self, relative: &Path) -> io::Result<Option<Dir>> {
        match self.dir.open_dir(or_itself(relative)) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The files beside a file that hold the same in a coding.
    pub(super) fn siblings<'a>(&self, known: &'a Known) -> Cow<'a, [Sibling]> {
        if let Some(kept) = known.siblings.get() {
            return Cow::Borrowed(kept);
        }
        let open = |coding: Coding| {
            let mut name = known.name.clone().into_os_string();
            name.push(coding.extension());
            let (file, metadata) = self.open_below(Path::new(&name)).ok().flatten()?;
            let file = metadata.is_file().then_some(file)?;
            let entry = Entry::of(file, &metadata, &known.name, None).ok()?;
            Some(Sibling { coding, entry })
        };
        let found: Vec<Sibling> = Coding::ALL.into_iter().filter_map(open).collect();
        // SECURITY: what is kept with a file is small beside it (`Weight`), and holds no
        // descriptor.
        let is_small = |entry: &Entry| entry.is_in_memory() && entry.length <= known.entry.length;
        match found.iter().all(|sibling| is_small(&sibling.entry)) {
            true => Cow::Borrowed(known.siblings.get_or_init(|| found)),
            false => Cow::Owned(found),
        }
    }

    fn open_below(&self, relative: &Path) -> io::Result<Option<(File, Metadata)>> {
        // 3. Open it below the root: `openat2` with RESOLVE_BENEATH.
        //    SECURITY: without O_NONBLOCK the open of a FIFO would wait for ever.
        let mut options = OpenOptions::new();
        cap_std::fs::OpenOptionsExt::custom_flags(options.read(true), NONBLOCK);
        let file = match self.dir.open_with(or_itself(relative), &options) {
            Ok(file) => file.into_std(),
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        // 4. Only regular files and directories, asked of the open descriptor.
        let metadata = file.metadata()?;
        let known = metadata.is_file() || metadata.is_dir();
        Ok(known.then_some((file, metadata)))
    }
}

/// The root's own path is empty; the system wants a name for it.
fn or_itself(relative: &Path) -> &Path {
    if relative.as_os_str().is_empty() { Path::new(".") } else { relative }
}

/// No file, or none below the root: cap-std's answer to a path that leaves it is
/// a permission that it denies.
fn is_missing(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match error.raw_os_error() {
        None => error.kind() == PermissionDenied,
        Some(code) => matches!(error.kind(), NotFound | NotADirectory) || MISSING.contains(&code),
    }
}

/// A name that is too long, links in a circle, a path that `openat2` will not
/// follow out of the root, a socket or device that nobody serves.
const MISSING: [i32; 5] = [
    Errno::NAMETOOLONG.raw_os_error(),
    Errno::LOOP.raw_os_error(),
    Errno::XDEV.raw_os_error(),
    Errno::NXIO.raw_os_error(),
    Errno::NODEV.raw_os_error(),
];

const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
