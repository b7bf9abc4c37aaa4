//! The files of all components: those that are new or changed are looked at, and
//! loaded if they are few.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::{Eager, Loader};
use crate::config::Plan;
use crate::config::problem::Origin;
use crate::error::StartError;
use crate::wasm::{Component, Source};

/// As many new or changed components are loaded before the site is there, so
/// that what is wrong with one is told at once.
const FEW: usize = 100;

impl Loader<'_> {
    /// Looks at the files of all components, and loads those that are new or
    /// changed if they are to be. On a reload, the old one of a broken one goes on.
    pub(super) fn sources(&mut self, plan: &Plan, eager: Eager) {
        let mut new: Vec<(Arc<Source>, &Origin)> = Vec::new();
        let mut seen = HashSet::new();
        for (path, origin) in
            plan.components().filter(|(path, _)| seen.insert(*path) && !path.as_os_str().is_empty())
        {
            let old = self.before.and_then(|site| site.sources.get(path));
            match Source::of(path, self.library.largest) {
                Ok(source) => match old.filter(|old| old.stamp == source.stamp) {
                    Some(old) => drop(self.sources.insert(path.to_owned(), old.clone())),
                    None => new.push((Arc::new(source.after(old)), origin)),
                },
                Err(why) => self.broken(path, origin, why),
            }
        }
        let now = match eager {
            Eager::Few => new.len() <= FEW,
            Eager::All => true,
        };
        let found: Vec<_> = new.iter().map(|(source, _)| &**source).collect();
        let loaded = if now { self.library.load_all(&found) } else { Vec::new() };
        let mut loaded = loaded.into_iter();
        for (source, origin) in new {
            match loaded.next() {
                Some(Err(why)) => self.broken(&source.path, origin, why),
                Some(Ok(component)) => self.sound(source, Some(component)),
                None => self.sound(source, None),
            }
        }
    }

    fn sound(&mut self, source: Arc<Source>, component: Option<Arc<Component>>) {
        let path = source.path.clone();
        // A file that was written again as it was: its instances go on.
        let old = self.before.and_then(|site| site.sources.get(&path)).filter(|old| {
            let content = |source: &Source| source.identity().map(|identity| identity.content);
            content(old).is_some() && content(old) == content(&source)
        });
        let source = old.cloned().unwrap_or(source);
        self.components.extend(component.map(|component| (path.clone(), component)));
        self.sources.insert(path, source);
    }

    /// A file that holds no component. The next reload looks at the file again, also
    /// where nothing else has changed.
    fn broken(&mut self, path: &Path, origin: &Origin, why: String) {
        match self.before.and_then(|site| site.sources.get(path)) {
            Some(old) => {
                let error = StartError::Component { path: path.to_owned(), why };
                self.keep(&origin.problem(error));
                self.sources.insert(path.to_owned(), old.clone());
            }
            None => drop(self.unsound.insert(path.to_owned(), why)),
        }
    }
}
