//! What belongs to the server and is no part of any app: directories of state, and the files that
//! a configuration names.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files and directories of the server.
#[derive(Clone, Debug, Default)]
pub struct Private {
    /// Directories where the server keeps what it makes.
    pub states: Vec<PathBuf>,
    /// Keys, secrets, grants, logs, and the configuration itself.
    pub files: Vec<PathBuf>,
}

/// A file or directory, however it is named.
pub(super) type Id = (u64, u64);

/// The same for one app's folder.
#[derive(Clone, Default)]
pub(super) struct Kept {
    ids: HashSet<Id>,
    paths: Vec<PathBuf>,
}

impl Private {
    /// All that is kept out of a component of this folder, whose links are resolved.
    ///
    /// # Errors
    /// The folder itself belongs to the server.
    pub(super) fn kept_out_of(&self, folder: &Path) -> Result<Kept, String> {
        let states: Vec<PathBuf> = self.states.iter().map(|path| resolved(path)).collect();
        if states.iter().any(|state| folder.starts_with(state)) {
            return Err("its folder is the state directory; name another with --state".to_owned());
        }
        let files = self.files.iter().map(|path| resolved(path));
        // A granted directory may be the app's folder, or above it.
        let files = files.filter(|path| !folder.starts_with(path));
        let paths: Vec<PathBuf> = states.into_iter().chain(files).collect();
        let metadata = paths.iter().filter_map(|path| fs::metadata(path).ok());
        let ids = metadata.map(|metadata| (metadata.dev(), metadata.ino())).collect();
        Ok(Kept { ids, paths })
    }
}

impl Kept {
    /// Whether a file or directory is one of these; a hard link is, too.
    pub(super) fn has(&self, id: Id) -> bool {
        self.ids.contains(&id)
    }

    /// Whether a path is one of these, or below one.
    pub(super) fn holds(&self, path: &Path) -> bool {
        self.paths.iter().any(|kept| path.starts_with(kept))
    }
}

/// A path without links; of what is not there, the folder above it without links.
fn resolved(path: &Path) -> PathBuf {
    let real = |path: &Path| {
        fs::canonicalize(if path.as_os_str().is_empty() { Path::new(".") } else { path })
    };
    real(path).unwrap_or_else(|_| {
        let above = path.parent().and_then(|above| real(above).ok());
        match (above, path.file_name()) {
            (Some(above), Some(name)) => above.join(name),
            _ => path.to_owned(),
        }
    })
}
