//! What an app may reach beyond its request. Nothing is granted by default but
//! clocks, random numbers and the log.

pub(crate) mod config;
pub(crate) mod fetch;
pub(crate) mod files;
pub(crate) mod keyvalue;
pub(crate) mod log;

/// What an app was granted.
#[derive(Default)]
pub(crate) struct Grants {
    pub(crate) files: files::GrantedFiles,
    pub(crate) keyvalue: keyvalue::Granted,
    /// Its configuration.
    pub(crate) config: config::Values,
    /// Its environment.
    pub(crate) env: config::Values,
}
