//! The app's configuration, as it was granted (`grants.config` in `myweb.toml`).
//!
//! ```
//! use myweb::{Env, IntoResponse, config, handler};
//!
//! #[handler]
//! fn application(_env: Env) -> impl IntoResponse {
//!     let currency = config::get("currency").unwrap_or("EUR".to_owned());
//!     format!("prices are in {currency}\n")
//! }
//!
//! // Natively, a test says what is configured, for its own thread.
//! config::set("currency", "CHF");
//! assert_eq!(application(Env::get("/")).into_response().text(), "prices are in CHF\n");
//! ```

/// The value of a name; none if nothing is configured.
pub fn get(name: &str) -> Option<String> {
    #[cfg(target_arch = "wasm32")]
    // The server has read all values: it does not fail.
    return crate::capabilities::wasi::config::store::get(name).ok().flatten();
    #[cfg(not(target_arch = "wasm32"))]
    native::VALUES.with_borrow(|values| values.get(name).cloned())
}

/// All names and their values.
pub fn all() -> Vec<(String, String)> {
    #[cfg(target_arch = "wasm32")]
    return crate::capabilities::wasi::config::store::get_all().unwrap_or_default();
    #[cfg(not(target_arch = "wasm32"))]
    native::VALUES.with_borrow(|values| values.clone().into_iter().collect())
}

/// Configures a value for a native test, in its thread.
#[cfg(not(target_arch = "wasm32"))]
pub fn set(name: impl Into<String>, value: impl Into<String>) {
    native::VALUES.with_borrow_mut(|values| values.insert(name.into(), value.into()));
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    thread_local! {
        pub(super) static VALUES: RefCell<BTreeMap<String, String>> = RefCell::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_configured_is_not_there() {
        assert_eq!((get("a"), all()), (None, Vec::new()));
        set("a", "1");
        assert_eq!((get("a"), all()), (Some("1".into()), vec![("a".into(), "1".into())]));
    }
}
