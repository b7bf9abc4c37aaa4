//! Requests that an app sends to other servers: none is granted yet, all are
//! denied. And what bodies of `wasi:http` may hold of the server's memory.

use http::HeaderName;
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

/// What one store of an app may fetch.
#[derive(Default)]
pub(crate) struct Fetch {
    /// Bodies that the guest began for the request that is served.
    bodies: usize,
}

/// What a body may hold that nobody has taken yet: chunks, beside the one that
/// wasi:http adds, and their bytes. An answer's is the first; then there are
/// those of requests at the same time.
const FIRST_BODY: (usize, usize) = (1, 64 << 10);
const BODIES: usize = 6;
const BODY: (usize, usize) = (1, 8 << 10);
/// SECURITY: a guest may begin as many as it has handles for, and leave them.
const FURTHER_BODY: (usize, usize) = (1, 256);

/// What is taken at once of a body of 0.3, which holds only what is on its way:
/// three of these.
const CHUNK: usize = 64 << 10;

impl Fetch {
    /// A request is served from now on.
    pub(crate) fn start(&mut self) {
        self.bodies = 0;
    }

    /// What the body that is begun may hold. Its chunks are asked for first.
    fn room(&self) -> (usize, usize) {
        match self.bodies {
            0 | 1 => FIRST_BODY,
            count if count <= BODIES => BODY,
            _ => FURTHER_BODY,
        }
    }
}

type Answered = (http::Response<WasiBody>, Ended);
type Ended = Box<dyn Future<Output = Result<()>> + Send>;

impl WasiHttpHooks for Fetch {
    /// Headers of the connection are the server's own, in both directions. Guests
    /// see this list; answers are checked against a longer one.
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> wasmtime_wasi_http::ForbiddenHeaderFilter {
        std::sync::Arc::new(is_forbidden)
    }

    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Ended,
    ) -> Box<dyn Future<Output = Result<Answered>> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        self.bodies += 1;
        self.room().0
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        self.room().1
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }
}

fn is_forbidden(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "host"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "transfer-encoding"
            | "upgrade"
    )
}
