//! The read-only files that the app was granted (`--files DIR`).

use crate::error::Error;
use crate::response::{Body, Response};

/// An answer whose body is a granted file: the server sends it natively, with
/// its length, its validators and, where the handler names none, its type.
///
/// ```
/// use myweb::{Env, Response, files, handler};
///
/// #[handler]
/// fn application(_env: Env) -> Response {
///     files::send("pic.jpg").with_header("content-type", "image/jpeg")
/// }
///
/// assert_eq!(application(Env::get("/")).file(), Some("pic.jpg"));
/// ```
pub fn send(path: impl Into<String>) -> Response {
    Response { body: Body::File(path.into()), ..Response::new(200) }
}

/// The content of a granted file.
///
/// # Errors
/// 404 when there is no such file among the granted ones, 500 when no files
/// were granted, or the file is larger than 4 MiB or cannot be read. Outside a
/// component, as in native tests, no files are granted.
pub fn read(path: &str) -> Result<Vec<u8>, Error> {
    #[cfg(target_arch = "wasm32")]
    return host::read(path);
    #[cfg(not(target_arch = "wasm32"))]
    return Err(not_granted(path));
}

fn not_granted(path: &str) -> Error {
    Error::internal(format!("{path}: the app was granted no files; start the server with --files"))
}

#[cfg(target_arch = "wasm32")]
mod host {
    use super::not_granted;
    use crate::error::Error;
    use crate::export::bindings::myweb::handler::files as wire;

    pub(super) fn read(path: &str) -> Result<Vec<u8>, Error> {
        wire::read(path).map_err(|error| match error {
            wire::Error::NotFound => Error::not_found(format!("{path}: no such file")),
            wire::Error::NotGranted => not_granted(path),
            wire::Error::TooLarge => Error::internal(format!("{path}: too large to be read")),
            wire::Error::Unreadable => Error::internal(format!("{path}: cannot be read")),
        })
    }
}
