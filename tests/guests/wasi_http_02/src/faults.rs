//! What a guest of `wasi:http` must not do.

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

use super::{Query, read_all, say, start, write};

#[allow(clippy::exit)]
pub fn answer(path: &str, query: &Query, request: IncomingRequest, out: ResponseOutparam) {
    let started = |out| start(out, 200, &[]).with("begun\n");
    match path {
        "/no-answer" => {}
        "/error-answer" => ResponseOutparam::set(out, Err(ErrorCode::LoopDetected)),
        "/trap-after-head" => {
            let _answer = started(out);
            subscribe_duration(1_000_000).block();
            core::arch::wasm32::unreachable()
        }
        "/trap-at-once" => {
            let _answer = started(out);
            core::arch::wasm32::unreachable()
        }
        "/exit-after-head" => {
            let _answer = started(out);
            subscribe_duration(1_000_000).block();
            std::process::exit(3);
        }
        "/loop-after-head" => {
            let _answer = started(out);
            loop {
                std::hint::black_box(0);
            }
        }
        "/sleep-after-head" => {
            let answer = started(out);
            subscribe_duration(60_000_000_000).block();
            answer.end(None);
        }
        "/unfinished" => {
            let answer = started(out);
            subscribe_duration(query.number("ms") * 1_000_000).block();
            std::mem::forget((answer.body, answer.stream));
        }
        "/dropped" => {
            let answer = started(out);
            subscribe_duration(query.number("ms") * 1_000_000).block();
            drop(answer.stream);
            drop(answer.body);
        }
        "/endless" => {
            let answer = start(out, 200, &[]);
            while write(&answer.stream, &[b'x'; 4096]).is_ok() {}
            println!("nobody takes it any more");
        }
        "/length" => length(query, out),
        "/fields" => fields(query, out),
        "/status" => {
            let response = OutgoingResponse::new(Fields::new());
            match response.set_status_code(query.number("code") as u16) {
                Err(()) => say(out, "refused\n"),
                Ok(()) => {
                    let body = response.body().expect("a body that is taken once");
                    let stream = body.write().expect("a stream that is taken once");
                    ResponseOutparam::set(out, Ok(response));
                    subscribe_duration(query.number("ms") * 1_000_000).block();
                    let _ = write(&stream, b"body\n");
                    drop(stream);
                    let _ = OutgoingBody::finish(body, None);
                }
            }
        }
        "/trailers" => trailers(query, out),
        "/keep" => {
            std::mem::forget(request.consume());
            say(out, "kept\n");
        }
        "/early" => say(out, "early\n"),
        "/half" => {
            let body = request.consume().expect("a body that is taken once");
            let stream = body.stream().expect("a stream that is taken once");
            let read = stream.blocking_read(query.number("bytes")).map_or(0, |bytes| bytes.len());
            say(out, &format!("{read}\n"));
        }
        "/late" => {
            let answer = started(out);
            let body = request.consume().expect("a body that is taken once");
            let mut count = 0;
            read_all(&body, |bytes| count += bytes.len());
            answer.with(&format!("{count}\n")).end(None);
        }
        "/amounts" => say(out, &format!("{}\n", amounts(query, &request))),
        "/over-budget" => {
            let answer = started(out);
            let _ = answer.stream.write(&vec![b'x'; 4 << 20]);
        }
        _ => start(out, 404, &[]).end(None),
    }
}

/// Asks for as much at once as can be said.
fn amounts(query: &Query, request: &IncomingRequest) -> u64 {
    let body = request.consume().expect("a body that is taken once");
    let stream = body.stream().expect("a stream that is taken once");
    let out = wasip2::cli::stdout::get_stdout();
    let count = |bytes: Vec<u8>| bytes.len() as u64;
    match query.text("kind") {
        "read" => stream.read(u64::MAX).map_or(0, count),
        "blocking-read" => stream.blocking_read(u64::MAX).map_or(0, count),
        "skip" => stream.blocking_skip(u64::MAX).unwrap_or(0),
        "splice" => out.blocking_splice(&stream, u64::MAX).unwrap_or(0),
        "zeroes" => out.write_zeroes(u64::MAX).map_or(0, |()| u64::MAX),
        "zeroes-at-once" => out.blocking_write_zeroes_and_flush(u64::MAX).map_or(0, |()| u64::MAX),
        "input" => wasip2::cli::stdin::get_stdin().blocking_read(u64::MAX).map_or(0, count),
        _ => 0,
    }
}

/// A body of another length than is said.
fn length(query: &Query, out: ResponseOutparam) {
    let headers = Fields::new();
    for declared in query.text("declared").split(',') {
        if headers.append("content-length", declared.as_bytes()).is_err() {
            return say(out, "refused\n");
        }
    }
    let response = OutgoingResponse::new(headers);
    let body = response.body().expect("a body that is taken once");
    let stream = body.write().expect("a stream that is taken once");
    ResponseOutparam::set(out, Ok(response));
    // The head goes first.
    subscribe_duration(query.number("ms") * 1_000_000).block();
    let _ = write(&stream, &vec![b'x'; query.number("sent") as usize]);
    drop(stream);
    match query.text("end") {
        "forget" => std::mem::forget(body),
        _ => drop(OutgoingBody::finish(body, None)),
    }
}

/// Any header, as often as is asked for.
fn fields(query: &Query, out: ResponseOutparam) {
    let headers = Fields::new();
    let value = match query.text("value") {
        "crlf" => b"a\r\nx-split: 1".to_vec(),
        "nul" => b"a\0b".to_vec(),
        value => value.as_bytes().to_vec(),
    };
    let name = match query.text("name") {
        "space" => "x y",
        "colon" => "x:y",
        "pseudo" => ":status",
        name => name,
    };
    for number in 0..query.number("times").max(1) {
        let numbered = format!("{name}-{number}");
        let name = if query.number("times") > 0 { &numbered } else { name };
        if let Err(error) = headers.append(name, &value) {
            return say(out, &format!("refused: {error:?}\n"));
        }
    }
    let response = OutgoingResponse::new(headers);
    let body = response.body().expect("a body that is taken once");
    ResponseOutparam::set(out, Ok(response));
    let _ = OutgoingBody::finish(body, None);
}

/// Trailers of any name, as often as is asked for.
fn trailers(query: &Query, out: ResponseOutparam) {
    let trailers = Fields::new();
    for number in 0..query.number("times").max(1) {
        let numbered = format!("{}-{number}", query.text("name"));
        let name = if query.number("times") > 0 { &numbered } else { query.text("name") };
        if let Err(error) = trailers.append(name, b"1") {
            return say(out, &format!("refused: {error:?}\n"));
        }
    }
    let answer = start(out, 200, &[("trailer", query.text("name"))]).with("body\n");
    subscribe_duration(query.number("ms") * 1_000_000).block();
    answer.end(Some(trailers));
}
