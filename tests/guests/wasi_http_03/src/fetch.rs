//! Requests to other servers, well and badly; the query says which.

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::client::send;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, RequestOptions, Response, Scheme};
use wasip3::wit_bindgen::rt::async_support::{FutureWriter, StreamWriter};
use wasip3::wit_bindgen::{StreamResult, spawn_local};
use wasip3::{wit_future, wit_stream};

use super::{Query, Trailers};

/// A request, and what its body is written to.
struct Begun {
    request: Request,
    stream: StreamWriter<u8>,
    ended: FutureWriter<Result<Option<Trailers>, ErrorCode>>,
}

/// What became of a request.
pub async fn answer(path: &str, query: &Query) -> String {
    match path {
        "/fetch" => fetch(query, None).await,
        "/fetch-many" => many(query).await,
        "/fetch-unread" => unread(query).await,
        "/fetch-upload" => upload(query).await,
        "/fetch-half" => half(query).await,
        "/fetch-long" => {
            let long = format!("/{}", "x".repeat(query.number("length") as usize));
            fetch(query, Some(&long)).await
        }
        // A stream holds nothing until it is read.
        "/fetch-bodies" => "0\n".to_owned(),
        "/fetch-fields" => fields(query),
        "/fetch-hold" => hold(query),
        _ => "unknown\n".to_owned(),
    }
}

/// The request that a query describes, or the part of it that is refused.
fn begin(query: &Query, path: Option<&str>) -> Result<Begun, String> {
    let headers = Fields::new();
    let header = query.decoded("header");
    if let Some((name, value)) = header.split_once(':') {
        headers.append(name, value.as_bytes()).map_err(|error| format!("header {error:?}\n"))?;
    }
    if !query.text("declared").is_empty() {
        let declared = query.text("declared").as_bytes();
        headers.append("content-length", declared).map_err(|error| format!("{error:?}\n"))?;
    }
    let (stream, contents) = wit_stream::new();
    let (ended, trailers) = wit_future::new(|| Ok(None));
    let body = (!query.text("sent").is_empty()).then_some(contents);
    let (request, _sent) = Request::new(headers, body, trailers, Some(options(query)));
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
    Ok(Begun { request, stream, ended })
}

fn options(query: &Query) -> RequestOptions {
    let options = RequestOptions::new();
    let asked = |name: &str| {
        let text = query.text(name);
        if text == "max" { Some(u64::MAX) } else { text.parse().ok().map(|ms: u64| ms * 1_000_000) }
    };
    let _ = options.set_connect_timeout(asked("connect"));
    let _ = options.set_first_byte_timeout(asked("first"));
    let _ = options.set_between_bytes_timeout(asked("between"));
    options
}

async fn fetch(query: &Query, path: Option<&str>) -> String {
    match begin(query, path) {
        Ok(begun) => {
            drop((begun.stream, begun.ended));
            read(send(begun.request).await).await
        }
        Err(why) => why,
    }
}

/// An answer as text: status, headers, body, and how the body ended.
async fn read(answer: Result<Response, ErrorCode>) -> String {
    let answer = match answer {
        Ok(answer) => answer,
        Err(code) => return format!("{code:?}\n"),
    };
    let mut said = format!("{}\n", answer.get_status_code());
    for (name, value) in answer.get_headers().copy_all() {
        said += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
    }
    let (_, received) = wit_future::new(|| Ok(()));
    let (mut body, ended) = Response::consume_body(answer, received);
    loop {
        let (result, bytes) = body.read(Vec::with_capacity(64 << 10)).await;
        if said.len() < 4_096 {
            said += &String::from_utf8_lossy(&bytes);
        }
        if !matches!(result, StreamResult::Complete(_)) {
            break;
        }
    }
    drop(body);
    match ended.await {
        Ok(_) => said + "\nwhole\n",
        Err(code) => format!("{said}\nbroken: Some({code:?})\n"),
    }
}

/// Takes no more of an answer than its head, and goes on for `ms`.
async fn unread(query: &Query) -> String {
    let Ok(begun) = begin(query, None) else { return "no request\n".to_owned() };
    drop((begun.stream, begun.ended));
    let answer = send(begun.request).await;
    wait_for(query.number("ms") * 1_000_000).await;
    drop(answer);
    "unread\n".to_owned()
}

/// `count` requests at the same time; what became of each, in a line.
async fn many(query: &Query) -> String {
    let count = query.number("count") as usize;
    let lines = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    for _ in 0..count {
        let (begun, lines) = (begin(query, None).expect("a request"), lines.clone());
        spawn_local(async move {
            drop((begun.stream, begun.ended));
            let answered = send(begun.request).await;
            lines.borrow_mut().push(match answered {
                Ok(answer) => format!("{}\n", answer.get_status_code()),
                Err(code) => format!("{code:?}\n"),
            });
        });
    }
    while lines.borrow().len() < count {
        wait_for(1_000_000).await;
    }
    let lines = lines.borrow();
    lines.concat()
}

/// A body of `sent` bytes, whatever was declared, ended or not.
async fn upload(query: &Query) -> String {
    let Begun { request, mut stream, ended } = match begin(query, None) {
        Ok(begun) => begun,
        Err(why) => return why,
    };
    let bytes = vec![b'x'; query.number("sent") as usize];
    let end = query.text("end").to_owned();
    spawn_local(async move {
        stream.write_all(bytes).await;
        match end.as_str() {
            "forget" => std::mem::forget((stream, ended)),
            "drop" => {
                drop(stream);
                let _ = ended.write(Err(ErrorCode::InternalError(None))).await;
            }
            _ => drop((stream, ended)),
        }
    });
    read(send(request).await).await
}

/// Half of a body; then the guest sleeps, or traps.
async fn half(query: &Query) -> String {
    let Begun { request, mut stream, ended } = begin(query, None).expect("a request");
    spawn_local(async move {
        let _ = send(request).await;
    });
    stream.write_all(b"half".to_vec()).await;
    query.wait().await;
    std::mem::forget((stream, ended));
    core::arch::wasm32::unreachable()
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
        let (_, ended) = wit_future::new(|| Ok(None));
        let (request, _sent) = Request::new(headers, None, ended, None);
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
