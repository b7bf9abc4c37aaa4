//! Streams both ways with `wasi:http` 0.2, well and badly; the path selects how.
#![cfg(target_arch = "wasm32")]

mod faults;
mod fetch;
mod visits;

use std::sync::atomic::{AtomicU32, Ordering};

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
    Trailers,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// How often this instance was called: says whether it is fresh.
static CALLS: AtomicU32 = AtomicU32::new(0);

struct Streams;

/// A request's query, by names.
struct Query(String);

impl Query {
    fn text(&self, name: &str) -> &str {
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next().unwrap_or_default()
    }

    /// A text in which `%` stands before the number of a byte.
    fn decoded(&self, name: &str) -> String {
        let mut parts = self.text(name).split('%');
        let mut decoded = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            decoded.push(byte.map_or('%', char::from));
            decoded += part.get(2..).unwrap_or_default();
        }
        decoded
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }
}

/// An answer whose head is set, and the stream of its body.
struct Answer {
    body: OutgoingBody,
    stream: OutputStream,
}

impl Guest for Streams {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = Query(query.to_owned());
        match path {
            "/hello" => say(out, "Hello, world!\n"),
            "/calls" => {
                let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
                say(out, &format!("{calls}\n"));
            }
            "/seen" => say(out, &seen(&request)),
            "/visits" => say(out, &visits::count()),
            "/echo" => echo(&request, out),
            "/count" => {
                let body = request.consume().expect("a body that is taken once");
                let mut count = 0;
                let read = read_all(&body, |bytes| count += bytes.len());
                say(out, &format!("{count} {}\n", if read { "whole" } else { "broken" }));
            }
            "/events" => events(out, &query),
            "/download" => {
                let answer = start(out, 200, &[]);
                let piece = vec![b'x'; 64 << 10];
                let pieces = query.number("mib") * 16;
                let _ = (0..pieces).try_for_each(|_| write(&answer.stream, &piece));
                answer.end(None);
            }
            "/after" => {
                let length = query.text("length");
                let headers = [("content-length", length)];
                let headers = if length.is_empty() { &[][..] } else { &headers };
                start(out, 200, headers).with("ended\n").end(None);
                subscribe_duration(query.number("ms") * 1_000_000).block();
                println!("went on after its answer of length {length}");
            }
            path if path.starts_with("/fetch") => say(out, &fetch::answer(path, &query)),
            path => faults::answer(path, &query, request, out),
        }
    }
}

fn start(out: ResponseOutparam, status: u16, headers: &[(&str, &str)]) -> Answer {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).expect("a header that is allowed");
    }
    let response = OutgoingResponse::new(fields);
    response.set_status_code(status).expect("a status");
    let body = response.body().expect("a body that is taken once");
    let stream = body.write().expect("a stream that is taken once");
    ResponseOutparam::set(out, Ok(response));
    Answer { body, stream }
}

fn say(out: ResponseOutparam, text: &str) {
    start(out, 200, &[("content-type", "text/plain")]).with(text).end(None);
}

impl Answer {
    fn with(self, text: &str) -> Answer {
        let _ = write(&self.stream, text.as_bytes());
        self
    }

    fn end(self, trailers: Option<Trailers>) {
        drop(self.stream);
        let _ = OutgoingBody::finish(self.body, trailers);
    }
}

/// Writes as much as there is room for at once.
fn write(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        let room = stream.check_write()? as usize;
        if room == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        stream.write(now)?;
        bytes = later;
    }
    Ok(())
}

/// Reads a body to its end; false if it broke off.
fn read_all(body: &IncomingBody, mut take: impl FnMut(&[u8])) -> bool {
    let stream: InputStream = body.stream().expect("a stream that is taken once");
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(bytes) => take(&bytes),
            Err(StreamError::Closed) => return true,
            Err(StreamError::LastOperationFailed(_)) => return false,
        }
    }
}

fn seen(request: &IncomingRequest) -> String {
    let mut lines = vec![
        format!("{:?}", request.method()),
        format!("{:?}", request.scheme()),
        format!("{:?}", request.authority()),
        format!("{:?}", request.path_with_query()),
    ];
    let fields = request.headers().entries();
    lines.extend(
        fields.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))),
    );
    lines.join("\n") + "\n"
}

/// Sends what comes as it comes, the trailers too.
fn echo(request: &IncomingRequest, out: ResponseOutparam) {
    let body = request.consume().expect("a body that is taken once");
    let answer = start(out, 200, &[("trailer", "x-sum")]);
    let whole = read_all(&body, |bytes| {
        let _ = write(&answer.stream, bytes);
    });
    let trailers = IncomingBody::finish(body);
    trailers.subscribe().block();
    let trailers = trailers.get().and_then(Result::ok).and_then(Result::ok).flatten();
    if whole {
        answer.end(trailers.map(|trailers| trailers.clone()));
    }
}

/// `count` events, one every `ms`; each says when it was written.
fn events(out: ResponseOutparam, query: &Query) {
    let answer = start(out, 200, &[("content-type", "text/event-stream")]);
    for _ in 0..query.number("count") {
        let now = wasip2::clocks::wall_clock::now();
        let event =
            format!("data: {}\n\n", now.seconds * 1_000_000 + u64::from(now.nanoseconds) / 1_000);
        if write(&answer.stream, event.as_bytes()).is_err() {
            println!("the client has left");
            return;
        }
        subscribe_duration(query.number("ms") * 1_000_000).block();
    }
    answer.end(None);
}

wasip2::http::proxy::export!(Streams);
