//! Requests to other servers, well and badly; the query says which.

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method,
    OutgoingBody, OutgoingRequest, RequestOptions, Scheme, http_error_code,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use super::{Query, write};

/// What became of a request.
pub fn answer(path: &str, query: &Query) -> String {
    match path {
        "/fetch" => fetch(query),
        "/fetch-many" => many(query),
        "/fetch-upload" => upload(query),
        "/fetch-half" => half(query),
        "/fetch-long" => {
            let long = format!("/{}", "x".repeat(query.number("length") as usize));
            request(query, Some(&long)).map_or_else(|why| why, |request| send(request, query))
        }
        "/fetch-unread" => unread(query),
        "/fetch-bodies" => bodies(),
        "/fetch-fields" => fields(query),
        "/fetch-hold" => hold(query),
        _ => "unknown\n".to_owned(),
    }
}

/// The request that a query describes, or the part of it that is refused.
fn request(query: &Query, path: Option<&str>) -> Result<OutgoingRequest, String> {
    let headers = Fields::new();
    let header = query.decoded("header");
    if let Some((name, value)) = header.split_once(':') {
        headers.append(name, value.as_bytes()).map_err(|error| format!("header {error:?}\n"))?;
    }
    if !query.text("declared").is_empty() {
        let declared = query.text("declared").as_bytes();
        headers.append("content-length", declared).map_err(|error| format!("{error:?}\n"))?;
    }
    let request = OutgoingRequest::new(headers);
    let scheme = match query.text("scheme") {
        "https" => Scheme::Https,
        "http" | "" => Scheme::Http,
        other => Scheme::Other(other.to_owned()),
    };
    let method = match query.text("method") {
        "" => Method::Get,
        "POST" => Method::Post,
        "HEAD" => Method::Head,
        other => Method::Other(other.to_owned()),
    };
    let decoded = query.decoded("path");
    let path = path.unwrap_or(if decoded.is_empty() { "/" } else { &decoded });
    request.set_method(&method).map_err(|()| "no method\n")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "no scheme\n")?;
    request.set_authority(Some(&query.decoded("to"))).map_err(|()| "no authority\n")?;
    request.set_path_with_query(Some(path)).map_err(|()| "no path\n")?;
    Ok(request)
}

fn options(query: &Query) -> Option<RequestOptions> {
    let options = RequestOptions::new();
    let asked = |name: &str| {
        let text = query.text(name);
        if text == "max" { Some(u64::MAX) } else { text.parse().ok().map(|ms: u64| ms * 1_000_000) }
    };
    let _ = options.set_connect_timeout(asked("connect"));
    let _ = options.set_first_byte_timeout(asked("first"));
    let _ = options.set_between_bytes_timeout(asked("between"));
    Some(options)
}

fn fetch(query: &Query) -> String {
    request(query, None).map_or_else(|why| why, |request| send(request, query))
}

fn send(request: OutgoingRequest, query: &Query) -> String {
    match handle(request, options(query)) {
        Ok(answer) => read(&answer),
        Err(code) => format!("{code:?}\n"),
    }
}

fn wait(answer: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(answered)) => answered,
        _ => Err(ErrorCode::InternalError(Some("taken twice".to_owned()))),
    }
}

/// An answer as text: status, headers, body, and how the body ended.
fn read(answer: &FutureIncomingResponse) -> String {
    let answer = match wait(answer) {
        Ok(answer) => answer,
        Err(code) => return format!("{code:?}\n"),
    };
    let mut said = format!("{}\n", answer.status());
    for (name, value) in answer.headers().entries() {
        said += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
    }
    let body = answer.consume().expect("a body that is taken once");
    let stream: InputStream = body.stream().expect("a stream that is taken once");
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(bytes) if said.len() < 4_096 => said += &String::from_utf8_lossy(&bytes),
            Ok(_) => {}
            Err(StreamError::Closed) => return said + "\nwhole\n",
            Err(StreamError::LastOperationFailed(error)) => {
                return format!("{said}\nbroken: {:?}\n", http_error_code(&error));
            }
        }
    }
}

/// Takes no more of an answer than its head, and goes on for `ms`. What it keeps is
/// the answer, or what tells its trailers.
fn unread(query: &Query) -> String {
    let sent = request(query, None).map(|request| handle(request, options(query)));
    let Ok(Ok(Ok(answer))) = sent.map(|sent| sent.map(|answer| wait(&answer))) else {
        return "no answer\n".to_owned();
    };
    if query.text("kind") == "trailers" {
        let body = answer.consume().expect("a body that is taken once");
        std::mem::forget(IncomingBody::finish(body));
    } else {
        std::mem::forget(answer);
    }
    subscribe_duration(query.number("ms") * 1_000_000).block();
    "unread\n".to_owned()
}

/// `count` requests at the same time; what became of each, in a line.
fn many(query: &Query) -> String {
    let begun: Vec<_> = (0..query.number("count"))
        .map(|_| handle(request(query, None).expect("a request"), options(query)))
        .collect();
    let line = |begun: &Result<FutureIncomingResponse, ErrorCode>| match begun {
        Ok(answer) => wait(answer)
            .map_or_else(|code| format!("{code:?}\n"), |answer| format!("{}\n", answer.status())),
        Err(code) => format!("{code:?}\n"),
    };
    begun.iter().map(line).collect()
}

fn begin(query: &Query) -> (OutgoingRequest, OutgoingBody, OutputStream) {
    let request = request(query, None).expect("a request");
    let body = request.body().expect("a body that is taken once");
    let stream = body.write().expect("a stream that is taken once");
    (request, body, stream)
}

/// A body of `sent` bytes, whatever was declared, ended or not.
fn upload(query: &Query) -> String {
    let (request, body, stream) = begin(query);
    let answer = match handle(request, options(query)) {
        Ok(answer) => answer,
        Err(code) => return format!("{code:?}\n"),
    };
    let _ = write(&stream, &vec![b'x'; query.number("sent") as usize]);
    drop(stream);
    match query.text("end") {
        "forget" => std::mem::forget(body),
        "drop" => drop(body),
        _ => {
            if let Err(code) = OutgoingBody::finish(body, None) {
                return format!("{code:?}\n");
            }
        }
    }
    read(&answer)
}

/// Half of a body; then the guest sleeps, or traps.
fn half(query: &Query) -> String {
    let (request, _body, stream) = begin(query);
    let _answer = handle(request, options(query)).expect("a request");
    write(&stream, b"half").expect("room");
    subscribe_duration(query.number("ms") * 1_000_000).block();
    core::arch::wasm32::unreachable()
}

/// Begins bodies without number, fills them, and sends none.
fn bodies() -> String {
    let mut held = 0;
    for _ in 0..500 {
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

/// Fields without number, of one map or of many.
fn fields(query: &Query) -> String {
    let mut kept = Vec::new();
    for number in 0..query.number("count") {
        if query.text("kind") == "maps" || kept.is_empty() {
            kept.push(Fields::new());
        }
        let last = kept.last().expect("a map");
        if let Err(error) = last.append(&format!("x-{number}"), b"1") {
            return format!("{number} {error:?}\n");
        }
    }
    "all\n".to_owned()
}

/// Requests that are never sent, each with as much of one kind as is asked for.
fn hold(query: &Query) -> String {
    let long = "x".repeat(query.number("kib") as usize * 1_024);
    for _ in 0..query.number("count") {
        let headers = Fields::new();
        if query.text("kind") == "fields" && headers.append("x", long.as_bytes()).is_err() {
            return "refused\n".to_owned();
        }
        let request = OutgoingRequest::new(headers);
        let taken = match query.text("kind") {
            "method" => request.set_method(&Method::Other(long.clone())),
            "authority" => request.set_authority(Some(&long)),
            "path" => request.set_path_with_query(Some(&format!("/{long}"))),
            _ => Ok(()),
        };
        if taken.is_err() {
            return "refused\n".to_owned();
        }
        std::mem::forget(request);
    }
    "held\n".to_owned()
}
