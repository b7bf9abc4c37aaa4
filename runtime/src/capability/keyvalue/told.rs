//! What went wrong with a store, said once until it goes well again: guests that
//! try again and again do not fill the log.

use std::sync::{Mutex, PoisonError};

/// The last thing that was said; nothing while all goes well.
#[derive(Default)]
pub(super) struct Told(Mutex<String>);

impl Told {
    pub(super) fn say(&self, text: String) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != text {
            tracing::error!("key-value data in {text}");
            *told = text;
        }
    }

    /// It goes well.
    pub(super) fn clear(&self) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.is_empty() {
            tracing::info!("the key-value data is there again");
            told.clear();
        }
    }
}
