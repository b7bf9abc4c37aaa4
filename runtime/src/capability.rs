//! What an app may reach beyond its request. Nothing is granted by default but
//! clocks, random numbers and the log.

pub(crate) mod fetch;
pub(crate) mod files;
pub(crate) mod log;
