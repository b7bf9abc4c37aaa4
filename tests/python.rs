//! Unmodified Python apps, built as components. `tests/scripts` has them.

mod environ;
mod failures;
mod frameworks;
mod guests;
mod libraries;
mod logs;
mod outbound;
mod upstream;
mod wsgi;

use std::sync::Arc;

use serde_json::Value;

use crate::support::scripts::serving;
use crate::support::{Answer, Server};

/// The app without a framework.
fn plain() -> Option<Arc<Server>> {
    serving(&["--wsgi", "plain/app:app"], "plain")
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"))
}
