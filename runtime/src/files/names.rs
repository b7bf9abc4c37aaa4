//! The names at the top of a root, remembered: static files stand in front of
//! the apps, and most requests for an app name no file. They are told so
//! without a look at the disk.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use cap_std::fs::Dir;

use super::cache::{LOOK_AGAIN, SETTLED};
use crate::coarse;

/// Directories with more entries are not remembered: they are listed where connections
/// are served, whenever they change.
const MOST: usize = 1_000;

/// What is known of the top of a root.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: ArcSwapOption<Known>,
}

#[derive(Debug)]
struct Known {
    /// None: there are too many.
    names: Option<Arc<HashSet<Box<str>>>>,
    /// The directory's time of change, if the list can be trusted while it
    /// stays.
    changed: Option<SystemTime>,
    /// By [`coarse::now`].
    looked: Duration,
}

impl Names {
    /// Whether a file may be there whose path starts with this name. `true` is
    /// no promise.
    pub(super) fn may_have(&self, dir: &Dir, name: &str) -> bool {
        let known = self.known.load();
        if let Some(known) =
            known.as_ref().filter(|known| coarse::now().saturating_sub(known.looked) < LOOK_AGAIN)
        {
            return known.may_have(name);
        }
        let looked = look(dir, known.as_deref());
        let may = looked.as_ref().is_none_or(|known| known.may_have(name));
        self.known.store(looked.map(Into::into));
        may
    }
}

impl Known {
    fn may_have(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(name))
    }
}

/// Lists a directory, unless what is known of it still holds.
fn look(dir: &Dir, known: Option<&Known>) -> Option<Known> {
    let now = coarse::now();
    let changed = dir.dir_metadata().and_then(|metadata| metadata.modified()).ok()?.into_std();
    if let Some(known) = known.filter(|known| known.changed == Some(changed)) {
        return Some(Known { names: known.names.clone(), changed: known.changed, looked: now });
    }
    let age = SystemTime::now().duration_since(changed).unwrap_or_default();
    let names = list(dir).ok()?.map(Arc::new);
    Some(Known { names, changed: (age > SETTLED).then_some(changed), looked: now })
}

/// The names of a directory, `None` if there are too many.
fn list(dir: &Dir) -> io::Result<Option<HashSet<Box<str>>>> {
    let mut names = HashSet::new();
    for entry in dir.entries()? {
        names.extend(entry?.file_name().to_str().map(Box::from));
        if names.len() > MOST {
            return Ok(None);
        }
    }
    Ok(Some(names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;

    #[test]
    fn too_many_names_are_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        for file in 0..=MOST {
            std::fs::write(folder.path().join(file.to_string()), "").unwrap();
        }
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        let names = Names::default();
        assert!(names.may_have(&dir, "nothing"));
        let known = names.known.load_full().unwrap();
        assert!(known.names.is_none(), "it is known that there are too many");
    }
}
