//! The server's own directory: what it keeps from one run to the next, and the
//! key that tells what it wrote itself from what others put there.

mod data;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::{hmac, rand};

use crate::error::{explain, explain_writing};
pub(crate) use data::{data_directory, default_root};

/// The name of the key's file.
const KEY: &str = "key";
/// The key's length, in bytes: that of what it signs with.
const KEY_LENGTH: usize = 32;

/// An open state directory.
pub(crate) struct State {
    path: PathBuf,
    key: [u8; KEY_LENGTH],
}

impl State {
    /// Opens a state directory; makes it, and its key, if it is not there.
    ///
    /// # Errors
    /// It cannot be written, or others could have written into it: a sentence
    /// says which, and the mend.
    pub(crate) fn open(path: &Path) -> Result<State, String> {
        let told = |why: String| format!("{}: {why}", path.display());
        make(path).map_err(told)?;
        only_ours(path, 0o022, "chmod go-w").map_err(told)?;
        let file = path.join(KEY);
        let key = key(&file).map_err(|why| format!("{}: {why}", file.display()))?;
        Ok(State { path: path.to_owned(), key })
    }

    /// A directory in it, made if it is not there.
    ///
    /// # Errors
    /// It cannot be made, or nothing can be written there.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.path.join(name);
        let told = |why: String| format!("{}: {why}", path.display());
        make(&path).map_err(told)?;
        only_ours(&path, 0o022, "chmod go-w").map_err(told)?;
        let probe = path.join(temporary(name));
        let written = create(&probe).and_then(|_| fs::remove_file(&probe));
        written.map_err(|error| told(explain_writing(&error)))?;
        Ok(path)
    }

    /// A key for one purpose.
    pub(crate) fn key(&self, purpose: &str) -> hmac::Key {
        let whole = hmac::Key::new(hmac::HMAC_SHA256, &self.key);
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&whole, purpose.as_bytes()).as_ref())
    }
}

/// Where state is kept when nothing is said: what is there can be made again.
pub(crate) fn default_path() -> Option<PathBuf> {
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Some(caches?.join("myweb"))
}

/// The absolute path that a variable has.
fn absolute(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// A name that no other process uses.
pub(crate) fn temporary(name: &str) -> String {
    let mut number = [0; 8];
    // Without random numbers a name that is taken already is an error.
    let _ = rand::fill(&mut number);
    format!(".{name}-{:016x}", u64::from_ne_bytes(number))
}

/// Makes a file that was not there, for its owner only.
pub(crate) fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn make(path: &Path) -> Result<(), String> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => "not a directory; name a directory".to_owned(),
        _ => explain_writing(&error),
    })
}

/// SECURITY: what others could have written is not believed.
fn only_ours(path: &Path, others: u32, mend: &str) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|error| explain(&error))?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err("belongs to another user; name a directory of the server's own".to_owned());
    }
    if metadata.mode() & others != 0 {
        return Err(format!("others may reach it; {mend} {}", path.display()));
    }
    Ok(())
}

/// The key in a file, made at the first start. Of two servers that start at the
/// same time, one makes it.
fn key(path: &Path) -> Result<[u8; KEY_LENGTH], String> {
    if !path.exists() {
        let mut key = [0; KEY_LENGTH];
        rand::fill(&mut key).map_err(|_| "the system gave no random numbers".to_owned())?;
        let new = path.with_file_name(temporary(KEY));
        let made = create(&new).and_then(|mut file| {
            file.write_all(&key)?;
            file.sync_all()?;
            fs::hard_link(&new, path)
        });
        let _ = fs::remove_file(&new);
        let made = made.or_else(|error| match error.kind() {
            ErrorKind::AlreadyExists => Ok(()),
            _ => Err(error),
        });
        made.map_err(|error| explain_writing(&error))?;
    }
    only_ours(path, 0o077, "chmod 600")?;
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| explain(&error))?;
    file.take(KEY_LENGTH as u64 + 1).read_to_end(&mut text).map_err(|error| explain(&error))?;
    text.try_into().map_err(|_| "not a key; remove it, and the server makes another".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn tag(state: &State) -> Vec<u8> {
        hmac::sign(&state.key("a"), b"b").as_ref().to_vec()
    }

    #[test]
    fn the_key_is_made_once_and_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let first = State::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(path.join(KEY)).unwrap().mode() & 0o777, 0o600);
        assert_eq!(tag(&first), tag(&State::open(&path).unwrap()));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "nothing else is left there");
        let other = State::open(&folder.path().join("other")).unwrap();
        assert_ne!(tag(&first), tag(&other));
    }

    #[test]
    fn what_others_could_have_written_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        State::open(&path).unwrap();
        let allow = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        allow(&path.join(KEY), 0o640);
        let why = State::open(&path).err().unwrap();
        assert!(why.contains("chmod 600"), "{why}");
        allow(&path.join(KEY), 0o600);
        fs::write(path.join(KEY), "short").unwrap();
        let why = State::open(&path).err().unwrap();
        assert!(why.contains("not a key"), "{why}");
        fs::remove_file(path.join(KEY)).unwrap();
        allow(&path, 0o770);
        let why = State::open(&path).err().unwrap();
        assert!(why.contains("chmod go-w"), "{why}");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let why = State::open(&file).err().unwrap();
        assert!(why.contains("not a directory"), "{why}");
        assert!(State::open(&file.join("state")).is_err());
    }
}
