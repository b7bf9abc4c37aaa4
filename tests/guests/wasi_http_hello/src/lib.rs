//! The hello of `wasi:http` 0.2, with which the bench measures `wasmtime serve`.
#![cfg(target_arch = "wasm32")]

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Hello;

impl Guest for Hello {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        if request.path_with_query().as_deref() == Some("/loop") {
            loop {
                std::hint::black_box(0);
            }
        }
        let headers = Fields::new();
        let text = b"text/plain; charset=utf-8".to_vec();
        headers.append("content-type", &text).expect("a header that is allowed");
        let response = OutgoingResponse::new(headers);
        let body = response.body().expect("a body that is taken once");
        ResponseOutparam::set(answer, Ok(response));
        let stream = body.write().expect("a stream that is taken once");
        stream.blocking_write_and_flush(b"Hello, world!\n").expect("a client that listens");
        drop(stream);
        OutgoingBody::finish(body, None).expect("a body of no announced length");
    }
}

wasip2::http::proxy::export!(Hello);
