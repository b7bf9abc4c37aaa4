//! What exists only in a component: the wire types and the export's glue.

use std::cell::OnceCell;

use crate::env::Env;
use crate::into_response::IntoResponse;
use crate::response::{Body, Response};

/// The request as it crosses from the server.
pub use bindings::Env as WireEnv;
pub use bindings::Guest;
use bindings::{Body as WireBody, Header};

/// The answer as it crosses to the server.
pub type WireResponse = (u16, Vec<Header>, WireBody);

/// Generated from the WIT files by wit-bindgen.
#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, clippy::pedantic)]
pub mod bindings {
    wit_bindgen::generate!({
        world: "application",
        path: "wit",
        pub_export_macro: true,
        default_bindings_module: "myweb::__private::bindings",
    });
}

/// Calls a handler and turns what it returns into what the server takes.
pub fn answer<R: IntoResponse>(env: WireEnv, handler: fn(Env) -> R) -> WireResponse {
    let request_id = env.request_id.clone();
    let response = handler(Env::from(env)).into_response();
    let response = match response.cause.clone() {
        Some(cause) => refer(response, &cause, &request_id),
        None => response,
    };
    let body = match response.body {
        Body::Bytes(bytes) => WireBody::Bytes(bytes),
        Body::File(path) => WireBody::File(path),
    };
    (response.status, response.headers, body)
}

/// Logs the cause of a failure; the client sees only where to look for it.
#[allow(clippy::print_stderr)] // A component's standard error is its log.
fn refer(response: Response, cause: &str, request_id: &str) -> Response {
    eprintln!("the handler failed: {cause}");
    response.with_body(format!("Internal error, reference {request_id}\n"))
}

impl From<WireEnv> for Env {
    fn from(wire: WireEnv) -> Env {
        Env {
            method: wire.method,
            scheme: wire.scheme,
            host: wire.host,
            port: wire.port,
            script_name: wire.script_name,
            path_info: wire.path_info,
            query_string: wire.query_string,
            uri: wire.uri,
            protocol: wire.protocol,
            remote_addr: wire.remote_addr,
            request_id: wire.request_id,
            params: wire.params,
            headers: wire.headers,
            body: wire.body,
            query: OnceCell::new(),
        }
    }
}
