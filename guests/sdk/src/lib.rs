//! Write web handlers as WebAssembly components for `myweb-run`.
//!
//! A handler is one function: it takes a request and returns a status, headers
//! and a body.
//!
//! ```
//! use myweb::{Env, IntoResponse, handler};
//!
//! #[handler]
//! fn application(env: Env) -> impl IntoResponse {
//!     let name = env.query("name").unwrap_or("world");
//!     (200, [("content-type", "text/plain; charset=utf-8")], format!("Hello, {name}!\n"))
//! }
//!
//! // It stays an ordinary function, so a test calls it.
//! let response = application(Env::get("/?name=Ada")).into_response();
//! assert_eq!(response.text(), "Hello, Ada!\n");
//! ```
//!
//! | to | see |
//! |---|---|
//! | read the request | [`Env`] |
//! | answer | [`IntoResponse`], [`Response`], [`Html`], [`Json`] |
//! | fail | [`Error`], with `?` |
//! | answer many paths from one component | [`Router`] |
//! | send or read granted files | [`files`] |
//! | ask other servers, and other apps | [`http`] |
//! | keep data | [`keyvalue`] |
//! | read the configuration | [`config`] |
//! | write to the log | [`log`] |

pub mod config;
mod env;
mod error;
pub mod files;
pub mod http;
mod into_response;
pub mod keyvalue;
pub mod log;
mod response;
mod router;
mod uri;

#[cfg(target_arch = "wasm32")]
mod capabilities;
#[cfg(target_arch = "wasm32")]
mod export;

pub use env::Env;
pub use error::Error;
pub use into_response::{Html, IntoResponse, Json};
/// Makes a function the component's `application`.
///
/// The function takes one [`Env`] and returns anything that is
/// [`IntoResponse`]. It is left as it is, so tests call it natively; in a
/// component, the export that the server calls is added behind it. A component
/// has one handler; use a [`Router`] in it for many paths.
pub use myweb_macro::handler;
pub use response::Response;
pub use router::Router;
/// Builds a JSON value in place, for [`Json`].
pub use serde_json::json;

/// What `#[handler]` expands to; not for use by hand.
#[doc(hidden)]
pub mod __private {
    #[cfg(target_arch = "wasm32")]
    pub use crate::export::{Guest, WireEnv, WireResponse, answer, bindings, bindings::export};

    use crate::{Env, IntoResponse};

    /// Compiles only for functions that can be handlers.
    pub fn assert_handler<R: IntoResponse>(_: fn(Env) -> R) {}
}
