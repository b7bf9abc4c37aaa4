//! The files that go into a component: each is opened once, checked, and read from what was
//! opened, so that the digest, the size and the copy are of the same bytes.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

use super::private::{Id, Kept};
use super::rules::{self, Rules, Verdict};
use super::wrong;
use crate::units::Bytes;

/// All files of an app together, in bytes: they are in the memory of every
/// instance, compressed.
const MOST: u64 = 64 << 20;
/// Files of an app: a folder with more is not the app's alone.
const MOST_FILES: usize = 20_000;
/// Entries of the folder and all below, with those that are left out.
const MOST_ENTRIES: usize = 200_000;
/// The deepest folder.
const DEEPEST: usize = 64;
/// Names of files that are left out for safety and listed.
const LISTED: usize = 10;

/// A file of an app.
pub(super) struct Source {
    /// From the app's folder.
    pub(super) name: PathBuf,
    pub(super) content: Vec<u8>,
}

/// What was found in an app's folder.
#[derive(Default)]
pub(super) struct Taken {
    /// The files of the component, sorted by name.
    pub(super) files: Vec<Source>,
    /// All their bytes.
    size: u64,
    /// The first files that were left out for safety, with the reason, and how many there are.
    left: BTreeSet<(PathBuf, &'static str)>,
    left_count: usize,
}

impl Taken {
    /// These files.
    pub(super) fn of(mut files: Vec<Source>) -> Taken {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let size = files.iter().map(|file| file.content.len() as u64).sum();
        Taken { files, size, ..Taken::default() }
    }

    /// The content of a file.
    pub(super) fn content(&self, name: &Path) -> Option<&[u8]> {
        let at = self.files.binary_search_by(|file| file.name.as_path().cmp(name)).ok()?;
        Some(&self.files[at].content)
    }

    /// How much was taken: `3 files, 1200 bytes`.
    pub(super) fn shown(&self) -> String {
        format!("{} files, {} bytes", self.files.len(), self.size)
    }

    /// What was left out for safety, in one line, if anything was.
    pub(super) fn shown_left(&self) -> Option<String> {
        let named: Vec<String> =
            self.left.iter().map(|(name, why)| format!("{name:?} ({why})")).collect();
        let more = self.left_count.saturating_sub(named.len());
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let mend = "a line like !public.pem in .mywebignore lets one named file in";
        (!named.is_empty()).then(|| format!("{}{more}; {mend}", named.join(", ")))
    }

    fn leave(&mut self, name: &Path, why: &'static str) {
        self.left_count += 1;
        self.left.insert((name.to_owned(), why));
        if self.left.len() > LISTED {
            self.left.pop_last();
        }
    }
}

/// The rules of a folder, with those of its `.mywebignore`.
///
/// # Errors
/// That file cannot be read, or has a mistake.
pub(super) fn rules(folder: &Path) -> Result<Rules, String> {
    let path = folder.join(rules::FILE);
    match setting(folder, rules::FILE, rules::LARGEST)? {
        Some(bytes) => {
            Rules::parse(&bytes).map_err(|problem| problem.told(&path.display().to_string()))
        }
        None => Ok(Rules::default()),
    }
}

/// A file of settings in a folder, which is no link, if it is there; at most one byte more than
/// `most` is read.
///
/// # Errors
/// The file cannot be read.
pub(super) fn setting(folder: &Path, name: &str, most: usize) -> Result<Option<Vec<u8>>, String> {
    let path = folder.join(name);
    let told = |error: std::io::Error| wrong(&path, &error);
    let opened = match openat(CWD, &path, FLAGS, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        opened => opened.map_err(|error| match error {
            Errno::LOOP => format!("{}: is a link; put a file in its place", path.display()),
            error => told(error.into()),
        })?,
    };
    let stat = fstat(&opened).map_err(|error| told(error.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(format!("{}: is no regular file; put a file in its place", path.display()));
    }
    let mut bytes = Vec::new();
    File::from(opened).take(most as u64 + 1).read_to_end(&mut bytes).map_err(told)?;
    Ok(Some(bytes))
}

/// The files of a folder without links in its own path.
///
/// # Errors
/// The folder cannot be read, or holds too much to be an app.
pub(super) fn list(folder: &Path, rules: &Rules, kept: &Kept) -> Result<Taken, String> {
    let root = openat(CWD, folder, FLAGS | OFlags::DIRECTORY, Mode::empty())
        .map_err(|error| wrong(folder, &error.into()))?;
    let mut walk = Walk { folder, root, rules, kept, entries: 0, taken: Taken::default() };
    let mut left = vec![PathBuf::new()];
    while let Some(below) = left.pop() {
        walk.directory(&below, &mut left)?;
    }
    let Taken { files, left, left_count, .. } = walk.taken;
    Ok(Taken { left, left_count, ..Taken::of(files) })
}

/// No link is followed, and no FIFO or device is waited for.
pub(super) const FLAGS: OFlags =
    OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

struct Walk<'a> {
    folder: &'a Path,
    root: OwnedFd,
    rules: &'a Rules,
    kept: &'a Kept,
    entries: usize,
    taken: Taken,
}

/// Why something is not taken.
const OF_SERVER: &str = "belongs to the server";
const VANISHED: &str = "changed while it was read";

impl Walk<'_> {
    /// Takes the files of a folder, and adds the folders in it to `left`.
    fn directory(&mut self, below: &Path, left: &mut Vec<PathBuf>) -> Result<(), String> {
        let Some(fd) = self.open_folder(below)? else { return Ok(()) };
        let wrong = |error: Errno| self.wrong(below, &error.into());
        for entry in Dir::read_from(&fd).map_err(wrong)? {
            let entry = entry.map_err(|error| self.wrong(below, &error.into()))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            self.entries += 1;
            let path = below.join(name);
            let Ok(stat) = statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let kind = FileType::from_raw_mode(stat.st_mode);
            match self.rules.judge(&path, kind == FileType::Directory) {
                Verdict::Left => {}
                Verdict::Unsafe(why) => self.taken.leave(&path, why),
                Verdict::Taken if self.kept.has(id(&stat)) => self.taken.leave(&path, OF_SERVER),
                Verdict::Taken => match kind {
                    FileType::Directory => left.push(path),
                    FileType::RegularFile => self.file(&fd, name, path)?,
                    FileType::Symlink => self.link(path)?,
                    _ => self.taken.leave(&path, "is no regular file"),
                },
            }
            if self.entries > MOST_ENTRIES {
                return Err(self.too_much());
            }
        }
        Ok(())
    }

    /// A folder below the root, opened without following a link; `None` if it is left out.
    fn open_folder(&mut self, below: &Path) -> Result<Option<OwnedFd>, String> {
        if below.components().count() > DEEPEST {
            return Err(format!(
                "{}: is more than {DEEPEST} folders deep; move it up",
                self.folder.join(below).display()
            ));
        }
        let mut fd = openat(&self.root, ".", FLAGS | OFlags::DIRECTORY, Mode::empty())
            .map_err(|error| self.wrong(below, &error.into()))?;
        for part in below {
            fd = match openat(&fd, part, FLAGS | OFlags::DIRECTORY, Mode::empty()) {
                Ok(fd) => fd,
                Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {
                    self.taken.leave(below, VANISHED);
                    return Ok(None);
                }
                Err(error) => return Err(self.wrong(below, &error.into())),
            };
            if fstat(&fd).is_ok_and(|stat| self.kept.has(id(&stat))) || is_state(&fd) {
                self.taken.leave(below, OF_SERVER);
                return Ok(None);
            }
            if is_of_tools(&fd) {
                return Ok(None);
            }
        }
        Ok(Some(fd))
    }

    /// Takes a file of an open folder.
    fn file(&mut self, folder: &OwnedFd, name: &OsStr, path: PathBuf) -> Result<(), String> {
        let fd = match openat(folder, name, FLAGS, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => {
                self.taken.leave(&path, VANISHED);
                return Ok(());
            }
            Err(error) => return Err(self.wrong(&path, &error.into())),
        };
        let stat = fstat(&fd).map_err(|error| self.wrong(&path, &error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            self.taken.leave(&path, "is no regular file");
            return Ok(());
        }
        if self.kept.has(id(&stat)) {
            self.taken.leave(&path, OF_SERVER);
            return Ok(());
        }
        let mut content = Vec::new();
        let room = MOST - self.taken.size;
        let read = File::from(fd).take(room + 1).read_to_end(&mut content);
        read.map_err(|error| self.wrong(&path, &error))?;
        let length = content.len() as u64;
        if length > room || self.taken.files.len() >= MOST_FILES {
            return Err(self.too_much());
        }
        self.taken.size += length;
        self.taken.files.push(Source { name: path, content });
        Ok(())
    }

    /// Takes the file that a link leads to, if that is one of the folder's own.
    fn link(&mut self, path: PathBuf) -> Result<(), String> {
        let Ok(real) = fs::canonicalize(self.folder.join(&path)) else {
            self.taken.leave(&path, "is a link to nothing");
            return Ok(());
        };
        let Ok(target) = real.strip_prefix(self.folder).map(Path::to_owned) else {
            self.taken.leave(&path, "is a link out of the folder");
            return Ok(());
        };
        let (Some(above), Some(name)) = (target.parent(), target.file_name()) else {
            self.taken.leave(&path, "is a link to a folder");
            return Ok(());
        };
        if self.rules.judge_all(&target) != Verdict::Taken {
            self.taken.leave(&path, "is a link to a file that is left out");
            return Ok(());
        }
        let count = self.taken.left_count;
        match self.open_folder(above)? {
            // The path has no links now; if one was made meanwhile, it is not followed.
            Some(folder) => self.file(&folder, name, path),
            None if self.taken.left_count == count => {
                self.taken.leave(&path, "is a link to a file that is left out");
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn too_much(&self) -> String {
        format!(
            "{} holds more than {}, {MOST_FILES} files or {MOST_ENTRIES} entries; give the app a \
             folder of its own",
            self.folder.display(),
            Bytes(usize::try_from(MOST).unwrap_or(usize::MAX))
        )
    }

    fn wrong(&self, path: &Path, error: &std::io::Error) -> String {
        wrong(&self.folder.join(path), error)
    }
}

fn id(stat: &Stat) -> Id {
    (stat.st_dev, stat.st_ino)
}

/// Whether a folder is made by a tool: the caches of cargo and others, environments of Python.
pub(super) fn is_of_tools(folder: &OwnedFd) -> bool {
    let has = |name: &str| statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    has("CACHEDIR.TAG") || has("pyvenv.cfg")
}

/// The length of the key in a directory of state.
const KEY: i64 = 32;

/// Whether a folder is a directory of state, also of another server.
pub(super) fn is_state(folder: &OwnedFd) -> bool {
    let stat = |name: &str| statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok();
    let is_key = |stat: Stat| stat.st_size == KEY && stat.st_mode & 0o777 == 0o600;
    stat("keyvalue.redb").is_some() || stat("key").is_some_and(is_key)
}

/// Copies files into a folder.
pub(super) fn copy(files: &[Source], folder: &Path) -> Result<(), String> {
    for file in files {
        write_one(&folder.join(&file.name), folder, &file.content)?;
    }
    Ok(())
}

/// Writes files into a folder, by their names in it.
pub(super) fn write(
    files: &[(impl AsRef<Path>, impl AsRef<[u8]>)],
    folder: &Path,
) -> Result<(), String> {
    let one = |(name, content): &(_, _)| -> Result<(), String> {
        write_one(&folder.join(AsRef::<Path>::as_ref(name)), folder, AsRef::<[u8]>::as_ref(content))
    };
    files.iter().try_for_each(one)
}

fn write_one(to: &Path, folder: &Path, content: &[u8]) -> Result<(), String> {
    let above = to.parent().unwrap_or(folder);
    fs::create_dir_all(above)
        .and_then(|()| fs::write(to, content))
        .map_err(|error| wrong(to, &error))
}
