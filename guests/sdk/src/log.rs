//! Messages for the log, with how much they matter. What is printed with
//! `println!` is in the log, too; so is the cause of an [`Error`](crate::Error).
//!
//! ```
//! use myweb::{Env, handler, log};
//!
//! #[handler]
//! fn application(env: Env) -> String {
//!     if env.query("name").is_none() {
//!         log::warn("nobody is named");
//!     }
//!     log::write(log::Level::Debug, "greeting", "begins");
//!     format!("Hello, {}!\n", env.query("name").unwrap_or("world"))
//! }
//!
//! // Natively, messages go to standard error.
//! assert_eq!(application(Env::get("/")), "Hello, world!\n");
//! ```

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step, for whoever looks for a mistake.
    Trace,
    /// What helps to find a mistake.
    Debug,
    /// What is good to know.
    Info,
    /// What may go wrong.
    Warn,
    /// What went wrong.
    Error,
    /// What keeps the app from going on.
    Critical,
}

/// Logs a message at level `trace`.
pub fn trace(message: impl AsRef<str>) {
    write(Level::Trace, "", message);
}

/// Logs a message at level `debug`.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, "", message);
}

/// Logs a message at level `info`.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, "", message);
}

/// Logs a message at level `warn`.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, "", message);
}

/// Logs a message at level `error`.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, "", message);
}

/// Logs a message at level `critical`.
pub fn critical(message: impl AsRef<str>) {
    write(Level::Critical, "", message);
}

/// Logs a message with what it belongs to, in the app's own words.
pub fn write(level: Level, context: &str, message: impl AsRef<str>) {
    #[cfg(target_arch = "wasm32")]
    wasm::write(level, context, message.as_ref());
    #[cfg(not(target_arch = "wasm32"))]
    native::write(level, context, message.as_ref());
}

#[cfg(target_arch = "wasm32")]
mod wasm {
    use super::Level;
    use crate::capabilities::wasi::logging::logging as wire;

    pub(super) fn write(level: Level, context: &str, message: &str) {
        let level = match level {
            Level::Trace => wire::Level::Trace,
            Level::Debug => wire::Level::Debug,
            Level::Info => wire::Level::Info,
            Level::Warn => wire::Level::Warn,
            Level::Error => wire::Level::Error,
            Level::Critical => wire::Level::Critical,
        };
        wire::log(level, context, message);
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use super::Level;

    #[allow(clippy::print_stderr)] // Where a test's messages belong.
    pub(super) fn write(level: Level, context: &str, message: &str) {
        eprintln!("{level:?} {context}: {message}");
    }
}
