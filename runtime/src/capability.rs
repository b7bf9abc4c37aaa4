//! What an app may reach beyond its request. Nothing is granted by default but
//! clocks, random numbers and the log.

use std::sync::Arc;

pub(crate) mod config;
pub(crate) mod fetch;
pub(crate) mod files;
pub(crate) mod keys;
pub(crate) mod keyvalue;
pub(crate) mod log;

/// What an app was granted.
pub(crate) struct Grants {
    pub(crate) files: files::GrantedFiles,
    /// Where it may send requests.
    pub(crate) outbound: Arc<fetch::Reach>,
    pub(crate) keyvalue: keyvalue::Granted,
    /// Its configuration.
    pub(crate) config: config::Values,
    /// Its environment.
    pub(crate) env: config::Values,
}
