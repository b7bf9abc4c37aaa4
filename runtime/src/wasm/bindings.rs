//! The types of `wit/handler.wit` as they cross: borrowed on the way in, owned
//! on the way out, so that strings and bodies are copied once each way.

use wasmtime::component::{ComponentType, Lift, Lower};

/// `record env`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Env<'a> {
    pub(super) method: &'a str,
    pub(super) scheme: &'a str,
    pub(super) host: &'a str,
    pub(super) port: u16,
    #[component(name = "script-name")]
    pub(super) script_name: &'a str,
    #[component(name = "path-info")]
    pub(super) path_info: &'a str,
    #[component(name = "query-string")]
    pub(super) query_string: &'a str,
    pub(super) uri: &'a str,
    pub(super) protocol: &'a str,
    #[component(name = "remote-addr")]
    pub(super) remote_addr: &'a str,
    #[component(name = "request-id")]
    pub(super) request_id: &'a str,
    pub(super) params: &'a [(&'a str, &'a str)],
    pub(super) headers: &'a [(&'a str, &'a [u8])],
    pub(super) body: &'a [u8],
}

impl Env<'_> {
    /// How many texts and lists there are: the guest makes room for each of them,
    /// and first for the record.
    pub(super) fn values(&self) -> usize {
        const TEXTS: usize = 10;
        const LISTS: usize = 3;
        1 + TEXTS + LISTS + 2 * (self.params.len() + self.headers.len())
    }
}

/// `variant body`.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum Body {
    #[component(name = "bytes")]
    Bytes(Vec<u8>),
    #[component(name = "file")]
    File(String),
}

/// `tuple<status, list<header>, body>`.
pub(super) type Answer = (u16, Vec<(String, Vec<u8>)>, Body);

/// The arguments and results of `application`.
pub(super) type Params<'a> = (Env<'a>,);
pub(super) type Results = (Answer,);

/// `variant error` of `interface files`.
#[derive(ComponentType, Lower)]
#[component(variant)]
pub(super) enum FilesError {
    #[component(name = "not-granted")]
    NotGranted,
    #[component(name = "not-found")]
    NotFound,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "unreadable")]
    Unreadable,
}
