//! Where key-value data is when nothing else is said: a directory of each configuration, outside
//! of the folders of apps.

use std::env;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::absolute;

/// Where data was kept before, beside the configuration, and the file that shows it.
const BEFORE: &str = "state";
const DATABASE: &str = "keyvalue.redb";
/// How much of a name is in the directory's, in bytes.
const LONGEST: usize = 64;
/// How much of a digest tells paths apart, in bytes.
const DIGEST: usize = 8;

/// The directory of all data of this user; `None` without a home.
pub(crate) fn default_root() -> Option<PathBuf> {
    let home = || Some(absolute("HOME")?.join(".local/state"));
    Some(absolute("XDG_STATE_HOME").or_else(home)?.join("myweb"))
}

/// The directory for the data of a configuration, or of a folder that is served without one.
///
/// # Errors
/// There is no home, or data from before is at its old place: a sentence with the mend.
pub(crate) fn data_directory(written: &Path) -> Result<PathBuf, String> {
    let root = default_root().ok_or(
        "there is no directory for the data, because neither XDG_STATE_HOME nor HOME is set; \
         name one with --state DIR, or with the key state",
    )?;
    let directory = root.join(name(&as_written(written)));
    let above = if written == Path::new(".") { Some(written) } else { written.parent() };
    let old = above.unwrap_or(Path::new(".")).join(BEFORE).join(DATABASE);
    if fs::symlink_metadata(&old).is_err() {
        return Ok(directory);
    }
    let old = as_written(&old);
    if fs::symlink_metadata(directory.join(DATABASE)).is_ok() {
        return Err(format!(
            "there is data in {} and, from before, in {}; remove or rename one of them",
            directory.join(DATABASE).display(),
            old.display()
        ));
    }
    Err(format!(
        "data from before is in {}, where it could become part of an app; its place is now {}; \
         stop a server that uses it, then move it: mkdir -p -m 700 {to} && mv {} {to}",
        old.display(),
        directory.display(),
        quoted(&old),
        to = quoted(&directory),
    ))
}

/// A directory's name for a path: its last part, and a digest of all of it.
fn name(path: &Path) -> String {
    let last = path.file_stem().map(|name| name.to_string_lossy().into_owned());
    let known = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let last: String = last.unwrap_or_default().chars().map(known).take(LONGEST).collect();
    let digest = Sha256::digest(path.as_os_str().as_bytes());
    let digest: String = digest.iter().take(DIGEST).map(|byte| format!("{byte:02x}")).collect();
    format!("{last}-{digest}")
}

/// An absolute path whose links are not resolved, so that a link to the current release of a site
/// names the same data for every release.
fn as_written(path: &Path) -> PathBuf {
    let whole = if path.is_absolute() { path.to_owned() } else { here().join(path) };
    whole.components().filter(|part| *part != Component::CurDir).collect()
}

/// The folder that the process runs in, as the shell names it if that is the same folder.
fn here() -> PathBuf {
    let id = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let is_plain = |path: &PathBuf| {
        path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
    };
    let named = absolute("PWD").filter(is_plain);
    let named = named.filter(|path| id(path).is_some() && id(path) == id(Path::new(".")));
    named.or_else(|| env::current_dir().ok()).unwrap_or_default()
}

/// A path as a word of the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_named_for_the_path_as_written() {
        let shop = name(Path::new("/srv/shop/myweb.toml"));
        assert!(shop.starts_with("myweb-") && shop.len() == "myweb-".len() + 16, "{shop}");
        assert_ne!(shop, name(Path::new("/srv/other/myweb.toml")));
        assert_ne!(shop, name(Path::new("/srv/shop/other.toml")));
        assert!(name(Path::new("/srv/it's a \n shop")).starts_with("it_s_a___shop-"));
        assert!(name(Path::new("/")).starts_with('-'));
        assert!(name(Path::new(&format!("/{}", "a".repeat(500)))).len() < 100);
    }

    #[test]
    fn paths_are_absolute_and_keep_their_links() {
        assert_eq!(as_written(Path::new("/srv/./shop/x.toml")), Path::new("/srv/shop/x.toml"));
        assert_eq!(as_written(Path::new("./x.toml")), as_written(Path::new("x.toml")));
        assert!(as_written(Path::new(".")).is_absolute());
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("current");
        std::os::unix::fs::symlink("/", &link).expect("a link");
        assert_eq!(as_written(&link), link);
    }

    #[test]
    fn a_path_is_one_word_of_the_shell() {
        assert_eq!(quoted(Path::new("/a b/it's $x")), "'/a b/it'\\''s $x'");
    }
}
