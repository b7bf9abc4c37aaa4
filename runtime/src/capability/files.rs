//! The read-only files that an app was granted, for `interface files` and for
//! bodies that name a file.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::explain;
use crate::files::{Entry, Root};

/// The files granted to an app; none by default.
#[derive(Clone, Default)]
pub(crate) struct GrantedFiles(Option<Arc<Root>>);

/// Why a file is not given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    NotGranted,
    NotFound,
    TooLarge,
    /// The system's reason.
    Unreadable(String),
}

impl GrantedFiles {
    /// Grants the files below a directory.
    pub(crate) fn of(root: Arc<Root>) -> GrantedFiles {
        GrantedFiles(Some(root))
    }

    /// Opens a file, to be sent.
    pub(crate) fn find(&self, path: &str) -> Result<Arc<Entry>, Denied> {
        let root = self.0.as_ref().ok_or(Denied::NotGranted)?;
        match root.file(path) {
            Ok(Some(file)) => Ok(file),
            Ok(None) => Err(Denied::NotFound),
            Err(error) => Err(Denied::Unreadable(explain(&error))),
        }
    }

    /// Opens a file of at most `most` bytes, to be read.
    pub(crate) fn open(&self, path: &str, most: usize) -> Result<(Arc<Entry>, usize), Denied> {
        let found = self.find(path)?;
        let length = usize::try_from(found.length).ok().filter(|length| *length <= most);
        length.map(|length| (found, length)).ok_or(Denied::TooLarge)
    }
}

/// Reads a file that was opened.
pub(crate) fn read(found: &Entry) -> Result<Bytes, Denied> {
    found.read().map_err(|error| Denied::Unreadable(explain(&error)))
}

impl Denied {
    /// The reason, for the log.
    pub(crate) fn why(&self) -> String {
        let why = match self {
            Denied::NotGranted => "the app was granted no files; start the server with --files DIR",
            Denied::NotFound => "there is no such file among the granted ones",
            Denied::TooLarge => "it is larger than an answer may be",
            Denied::Unreadable(why) => return format!("it cannot be read: {why}"),
        };
        why.to_owned()
    }
}
