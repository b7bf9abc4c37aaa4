//! Compiled components on disk. Nothing of a file is believed, let alone run,
//! before it is known that this server wrote it for this component, engine and
//! version; and the bytes that were checked are the bytes that are mapped.
//!
//! The only file with `unsafe` in it: whoever can choose the bytes of a compiled
//! component can run any code.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use wasmtime::component::Component;

use super::world::not_valid;
use crate::error::explain_writing;
use crate::state::{self, State};

/// What is signed begins with this: what an entry is, and its format.
const FORMAT: &[u8] = b"myweb compiled component 1\0";
/// A signature's length, in bytes. It is the end of a file.
const TAG: u64 = 32;
/// The largest file that is looked at, in bytes.
const LARGEST: u64 = 2 << 30;
/// How much is read at a time, in bytes.
const PIECE: usize = 256 << 10;
/// A file's time is that of its last use, give or take this.
const USED: Duration = Duration::from_secs(3_600);

/// Compiled code that can run, and its size in bytes.
pub(super) struct Code {
    pub(super) component: Component,
    pub(super) bytes: usize,
}

impl Code {
    /// What the compiler just made.
    ///
    /// # Errors
    /// The engine has no room for such a component: a sentence.
    pub(super) fn of(engine: &wasmtime::Engine, compiled: &[u8]) -> Result<Code, String> {
        let image = Image::new(|file| file.write_all(compiled)).map_err(no_image)?;
        image.load(engine)
    }
}

/// What an entry is for.
#[derive(Clone, Copy)]
pub(super) struct Name {
    /// The digest of the component.
    pub(super) content: [u8; 32],
    /// The digest of all that compiled code depends on.
    pub(super) engine: [u8; 32],
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        };
        hex(f, &self.content)?;
        f.write_str("-")?;
        hex(f, &self.engine)
    }
}

/// The entries.
pub(super) struct Cache {
    folder: PathBuf,
    key: hmac::Key,
    /// All files together, in bytes.
    most: u64,
    /// What all files together have, as far as it is known: other servers may
    /// use the directory, too.
    size: AtomicU64,
    /// Entries that were not what they should be.
    bad: AtomicU64,
}

impl Cache {
    /// The entries in a state directory, of at most so many bytes together.
    ///
    /// # Errors
    /// Nothing can be written there.
    pub(super) fn open(state: &State, most: u64) -> Result<Cache, String> {
        let (folder, key) = (state.folder("components")?, state.key("components"));
        let cache = Cache { folder, key, most, size: AtomicU64::new(0), bad: AtomicU64::new(0) };
        cache.tidy();
        Ok(cache)
    }

    /// The code of an entry, if there is one. A bad one is removed.
    ///
    /// # Errors
    /// It is sound, and cannot be loaded nevertheless: a sentence.
    pub(super) fn find(
        &self,
        engine: &wasmtime::Engine,
        name: &Name,
    ) -> Result<Option<Code>, String> {
        let path = self.folder.join(name.to_string());
        let why = match self.read(&path, name) {
            Ok(image) => return image.load(engine).map(Some),
            Err(Unusable::Missing) => return Ok(None),
            Err(Unusable::System(error)) => return Err(no_image(error)),
            Err(Unusable::Bad(why)) => why,
        };
        let bad = self.bad.fetch_add(1, Relaxed) + 1;
        tracing::warn!(
            "{}: {why}; it is removed, and the component compiled again ({bad} such files so far)",
            path.display()
        );
        let _ = fs::remove_file(&path);
        Ok(None)
    }

    /// The checked bytes of an entry.
    fn read(&self, path: &Path, name: &Name) -> Result<Image, Unusable> {
        // SECURITY: what is no file must not keep the thread.
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
        let file =
            OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Unusable::Missing,
            _ if error.raw_os_error() == Some(LINK) => Unusable::Bad("it is no file"),
            _ => Unusable::System(error),
        })?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Unusable::Bad("it is no file"));
        }
        let length = metadata.len().checked_sub(TAG).filter(|length| *length < LARGEST);
        let length = length.ok_or(Unusable::Bad("it has the wrong size"))?;
        let image = Image::new(|image| io::copy(&mut (&file).take(length), image).map(drop))?;
        // SECURITY: from here on only the image is looked at, which nobody can
        // change; what becomes of the file does not matter.
        let mut tag = [0; TAG as usize];
        let read = file.read_exact_at(&mut tag, length);
        let sound = read.is_ok() && image.length()? == length && {
            let signed = self.sign(name, |update| image.pieces(update))?;
            verify_slices_are_equal(signed.as_ref(), &tag).is_ok()
        };
        if !sound {
            return Err(Unusable::Bad("this server did not write it, or not for this component"));
        }
        // Nothing depends on it but which entry goes first when there are too many.
        if metadata.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age > USED)) {
            let _ = file.set_modified(SystemTime::now());
        }
        Ok(image)
    }

    fn sign(
        &self,
        name: &Name,
        code: impl FnOnce(&mut dyn FnMut(&[u8])) -> io::Result<()>,
    ) -> io::Result<hmac::Tag> {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(FORMAT);
        context.update(&name.content);
        context.update(&name.engine);
        code(&mut |piece| context.update(piece))?;
        Ok(context.sign())
    }

    /// Keeps code for the next time. It is there as a whole or not at all.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub(super) fn keep(&self, name: &Name, compiled: &[u8]) -> Result<(), String> {
        let folder = self.folder.display();
        self.write(name, compiled).map_err(|error| format!("{folder}: {}", explain_writing(&error)))
    }

    fn write(&self, name: &Name, compiled: &[u8]) -> io::Result<()> {
        let tag = self.sign(name, |update| {
            update(compiled);
            Ok(())
        })?;
        let new = self.folder.join(state::temporary(NEW));
        let written = state::create(&new).and_then(|mut file| {
            file.write_all(compiled)?;
            file.write_all(tag.as_ref())?;
            file.sync_all()?;
            fs::rename(&new, self.folder.join(name.to_string()))
        });
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        let size = self.size.fetch_add(compiled.len() as u64 + TAG, Relaxed);
        if size + compiled.len() as u64 > self.most {
            self.tidy();
        }
        written
    }

    /// Counts what is there, and removes what was not used for longest until
    /// there is room again.
    fn tidy(&self) {
        let Ok(folder) = fs::read_dir(&self.folder) else { return };
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = folder
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        // What a server left half-written when it was killed.
        entries.retain(|(time, _, path)| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let left = name.starts_with('.') && time.elapsed().is_ok_and(|age| age > USED);
            !(left && fs::remove_file(path).is_ok())
        });
        let mut size: u64 = entries.iter().map(|(_, length, _)| length).sum();
        if size > self.most {
            entries.sort();
            // Some room more, so that the next one does not begin it again.
            let enough = self.most - self.most / 10;
            for (_, length, path) in &entries {
                if size <= enough {
                    break;
                }
                let _ = fs::remove_file(path);
                size -= length;
            }
        }
        self.size.store(size, Relaxed);
    }
}

/// What a file is called until it is whole.
const NEW: &str = "new";

/// What a symbolic link is opened to (`ELOOP`): the directory has none.
const LINK: i32 = rustix::io::Errno::LOOP.raw_os_error();

/// Why an entry is not used.
enum Unusable {
    Missing,
    Bad(&'static str),
    System(io::Error),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Unusable {
        Unusable::System(error)
    }
}

fn no_image(error: io::Error) -> String {
    format!("the machine gives nothing to load it with: {error}")
}

/// The bytes of compiled code, which nobody can change any more.
struct Image {
    /// SECURITY: of memory, sealed: even who has a descriptor of it can neither
    /// write nor cut it off, as could be done with a file of a disk that is mapped.
    #[cfg(target_os = "linux")]
    file: File,
    #[cfg(not(target_os = "linux"))]
    bytes: Vec<u8>,
}

#[cfg(target_os = "linux")]
impl Image {
    fn new(write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<Image> {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("component", flags)?);
        write(&mut file)?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&file, seals)?;
        Ok(Image { file })
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// All of it, piece by piece.
    fn pieces(&self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        let mut at = 0;
        loop {
            let read = self.file.read_at(&mut piece, at)?;
            if read == 0 {
                return Ok(());
            }
            each(piece.get(..read).unwrap_or_default());
            at += read as u64;
        }
    }

    /// Maps it: instances get their memory from the same pages.
    #[allow(unsafe_code)]
    fn load(&self, engine: &wasmtime::Engine) -> Result<Code, String> {
        use std::os::fd::AsRawFd;
        let bytes = usize::try_from(self.length().map_err(no_image)?).unwrap_or(usize::MAX);
        // It opens the same file of memory once more, which has no other name.
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        // SAFETY: `Image` is made of what the compiler returned, or of a file that
        // was signed when it was written with just that (`read`), for this very
        // engine: so it is what `precompile_component` made. It is sealed: it does
        // not change while it is mapped.
        let component = unsafe { Component::deserialize_file(engine, path) };
        let component = component.map_err(|error| not_valid(&super::cause::of_load(&error)))?;
        Ok(Code { component, bytes })
    }
}

/// Elsewhere the bytes are copied: they are in private memory from the start.
#[cfg(not(target_os = "linux"))]
impl Image {
    fn new(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<Image> {
        let mut bytes = Vec::new();
        write(&mut bytes)?;
        Ok(Image { bytes })
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn pieces(&self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        each(&self.bytes);
        Ok(())
    }

    #[allow(unsafe_code)]
    fn load(&self, engine: &wasmtime::Engine) -> Result<Code, String> {
        // SAFETY: as above; what is read here is a copy that nobody else has.
        let component = unsafe { Component::deserialize(engine, &self.bytes) };
        let component = component.map_err(|error| not_valid(&super::cause::of_load(&error)))?;
        Ok(Code { component, bytes: self.bytes.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &[u8] = b"code";

    fn name(engine: u8) -> Name {
        Name { content: [1; 32], engine: [engine; 32] }
    }

    #[test]
    fn an_entry_is_for_its_component_engine_and_server_only() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state")).unwrap();
        let cache = Cache::open(&state, 1 << 20).unwrap();
        let path = |engine| cache.folder.join(name(engine).to_string());
        cache.keep(&name(1), CODE).unwrap();
        let image = cache.read(&path(1), &name(1)).ok().unwrap();
        assert_eq!(image.length().unwrap(), CODE.len() as u64);
        let mut all = Vec::new();
        image.pieces(&mut |piece| all.extend_from_slice(piece)).unwrap();
        assert_eq!(all, CODE);
        // As if another version had written it.
        fs::rename(path(1), path(2)).unwrap();
        assert!(matches!(cache.read(&path(2), &name(2)), Err(Unusable::Bad(_))));
        let other = State::open(&folder.path().join("other")).unwrap();
        let other = Cache::open(&other, 1 << 20).unwrap();
        assert!(matches!(other.read(&path(2), &name(1)), Err(Unusable::Bad(_))));
        assert!(cache.read(&path(2), &name(1)).is_ok(), "its name on the disk does not matter");
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state")).unwrap();
        let cache = Cache::open(&state, 100).unwrap();
        for engine in [1, 2, 3] {
            cache.keep(&name(engine), CODE).unwrap();
            let path = cache.folder.join(name(engine).to_string());
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(engine));
            File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        }
        cache.tidy();
        let there = |engine| cache.folder.join(name(engine).to_string()).exists();
        assert_eq!([there(1), there(2), there(3)], [false, true, true]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_image_can_neither_be_written_nor_cut_off() {
        let image = Image::new(|file| file.write_all(CODE)).unwrap();
        assert!(image.file.write_at(b"x", 0).is_err());
        assert!(image.file.set_len(0).is_err());
        let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&image.file));
        let again = File::options().write(true).open(again).unwrap();
        assert!(again.write_at(b"x", 0).is_err());
    }
}
