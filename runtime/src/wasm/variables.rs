//! The variables that an app is granted, and what its reads at import make of them.

use std::collections::BTreeSet;

use super::mounted::Unfit;
use crate::build::ImportRead;

/// The adapter of Python looks for this variable itself, in each request.
const DEBUG: &str = "MYWEB_DEBUG";
/// Reads that one message names.
const SHOWN: usize = 5;

/// The names of the variables that an app is granted and that are meant to be seen in
/// requests.
pub(crate) struct Variables(Vec<String>);

impl Variables {
    /// The granted names, but for those whose value at import is meant.
    pub(crate) fn new<'a>(
        granted: impl Iterator<Item = &'a String>,
        at_import: &BTreeSet<String>,
    ) -> Variables {
        let kept = |name: &&String| !at_import.contains(*name) && *name != DEBUG;
        Variables(granted.filter(kept).cloned().collect())
    }

    /// Why the app cannot be served: a file of its own read a granted name at import.
    pub(super) fn unfit(&self, reads: &[ImportRead]) -> Option<Unfit> {
        let (reads, names) = self.read_by(reads, ImportRead::is_own)?;
        Some(Unfit::ReadAtImport { reads, names })
    }

    /// A warning of granted names that someone else read while the app was built.
    pub(super) fn warning(&self, reads: &[ImportRead]) -> Option<String> {
        let (reads, names) = self.read_by(reads, |read| !read.is_own())?;
        Some(format!(
            "{reads}, while it is built: what it keeps of that is not the granted value; if that \
             is meant, say env-at-import = [{names}] in the grants"
        ))
    }

    /// The reads of granted names, for people, and these names as a list of TOML.
    fn read_by(
        &self,
        reads: &[ImportRead],
        is_meant: impl Fn(&ImportRead) -> bool,
    ) -> Option<(String, String)> {
        let of_granted = |read: &&ImportRead| self.0.iter().any(|name| read.is_of(name));
        let found: Vec<&ImportRead> =
            reads.iter().filter(|read| is_meant(read)).filter(of_granted).collect();
        let names = self.0.iter().filter(|name| found.iter().any(|read| read.is_of(name)));
        let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
        let mut shown: Vec<String> =
            found.iter().take(SHOWN).map(|read| read.to_string()).collect();
        if found.len() > SHOWN {
            shown.push(format!("{} more", found.len() - SHOWN));
        }
        (!found.is_empty()).then(|| (shown.join(", "), names.join(", ")))
    }
}
