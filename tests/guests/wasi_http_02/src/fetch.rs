//! Requests to other servers, which are denied, however they are made.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, OutgoingRequest, RequestOptions, Scheme};

use super::write;

/// What became of a request.
pub fn answer(path: &str) -> String {
    match path {
        "/fetch" => fetch(None, "/"),
        "/fetch-zero-timeouts" => {
            let options = RequestOptions::new();
            for set in [
                RequestOptions::set_connect_timeout,
                RequestOptions::set_first_byte_timeout,
                RequestOptions::set_between_bytes_timeout,
            ] {
                set(&options, Some(0)).expect("a time");
            }
            fetch(Some(options), "/")
        }
        "/fetch-long" => fetch(None, &format!("/{}", "x".repeat(100_000))),
        "/fetch-bodies" => bodies(),
        _ => "unknown\n".to_owned(),
    }
}

fn fetch(options: Option<RequestOptions>, path: &str) -> String {
    let request = OutgoingRequest::new(Fields::new());
    let _ = request.set_scheme(Some(&Scheme::Http));
    let _ = request.set_authority(Some("127.0.0.1:1"));
    if request.set_path_with_query(Some(path)).is_err() {
        return "no path\n".to_owned();
    }
    let answer = match handle(request, options) {
        Ok(answer) => answer,
        Err(code) => return format!("{code:?}\n"),
    };
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(Ok(answer))) => format!("answered {}\n", answer.status()),
        Some(Ok(Err(code))) => format!("{code:?}\n"),
        _ => "taken twice\n".to_owned(),
    }
}

/// Begins bodies without number, fills them, and sends none.
fn bodies() -> String {
    let mut held = 0;
    for _ in 0..1_000 {
        let request = OutgoingRequest::new(Fields::new());
        let body = request.body().expect("a body that is taken once");
        let stream = body.write().expect("a stream that is taken once");
        while let Ok(room @ 1..) = stream.check_write() {
            write(&stream, &vec![b'x'; room as usize]).expect("room");
            held += room;
        }
        std::mem::forget((request, body, stream));
    }
    format!("{held}\n")
}
