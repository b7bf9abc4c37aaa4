//! What went wrong with a store, said once until it goes well again: guests that
//! try again and again do not fill the log.

use std::sync::{Arc, Mutex, PoisonError};

use crate::observe::{ServerLog, Severity};

/// The last thing that was said; nothing while all goes well.
pub(super) struct Told {
    last: Mutex<String>,
    pub(super) log: Arc<ServerLog>,
}

impl Told {
    pub(super) fn new(log: Arc<ServerLog>) -> Told {
        Told { last: Mutex::default(), log }
    }

    pub(super) fn say(&self, text: String) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != text {
            self.log.report(Severity::Error, &format_args!("key-value data in {text}"));
            *last = text;
        }
    }

    /// It goes well.
    pub(super) fn clear(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !last.is_empty() {
            self.log.report(Severity::Info, &"the key-value data is there again");
            last.clear();
        }
    }
}
