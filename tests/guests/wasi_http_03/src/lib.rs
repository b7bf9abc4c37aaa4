//! Streams both ways with `wasi:http` 0.3, well and badly; the path selects how.
#![cfg(target_arch = "wasm32")]

mod faults;
mod fetch;
mod host;
/// The same for both: key-value data is of WASI 0.2.
#[path = "../../wasi_http_02/src/visits.rs"]
mod visits;

use std::sync::atomic::{AtomicU32, Ordering};

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Trailers};
use wasip3::wit_bindgen::rt::async_support::{FutureWriter, StreamReader, StreamWriter};
use wasip3::wit_bindgen::{StreamResult, spawn_local};
use wasip3::{wit_future, wit_stream};

/// How often this instance was called: says whether it is fresh.
static CALLS: AtomicU32 = AtomicU32::new(0);

/// How many came to `/meet` in this instance.
static MET: AtomicU32 = AtomicU32::new(0);
/// Nanoseconds between two looks at that. An instance is next to never seen at work.
const LOOK: u64 = 50_000_000;

struct Streams;

type Answered = Result<Response, ErrorCode>;

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

    async fn wait(&self) {
        wait_for(self.number("ms") * 1_000_000).await;
    }
}

/// The body of an answer.
struct Answer {
    stream: StreamWriter<u8>,
    trailers: FutureWriter<Result<Option<Trailers>, ErrorCode>>,
}

impl wasip3::exports::http::handler::Guest for Streams {
    async fn handle(request: Request) -> Answered {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = Query(query.to_owned());
        match path {
            path if path.ends_with("/hello") => say("Hello, world!\n".to_owned()),
            "/calls" => say(format!("{}\n", CALLS.fetch_add(1, Ordering::Relaxed) + 1)),
            "/met" => say(format!("{}\n", MET.load(Ordering::Relaxed))),
            "/meet" => {
                let number = MET.fetch_add(1, Ordering::Relaxed) + 1;
                while u64::from(MET.load(Ordering::Relaxed)) < query.number("count") {
                    wait_for(LOOK).await;
                }
                println!("met as {number}");
                say(format!("{number}\n"))
            }
            "/loop" => loop {
                std::hint::black_box(0);
            },
            "/seen" => say(seen(&request)),
            "/visits" => say(visits::count()),
            "/echo" => echo(request),
            "/count" => {
                let (mut body, trailers) = consume(request);
                let count = read_all(&mut body, async |_| {}).await;
                drop(body);
                let end = if trailers.await.is_ok() { "whole" } else { "broken" };
                say(format!("{count} {end}\n"))
            }
            "/events" => {
                start(200, &[("content-type", "text/event-stream")], async move |answer| {
                    events(answer, &query).await;
                })
            }
            "/download" => start(200, &[], async move |mut answer| {
                for _ in 0..query.number("mib") * 16 {
                    if !answer.write(vec![b'x'; 64 << 10]).await {
                        return;
                    }
                }
                answer.end(None).await;
            }),
            "/after" => {
                let length = query.text("length").to_owned();
                let headers = [("content-length", length.as_str())];
                let headers = if length.is_empty() { &[][..] } else { &headers };
                start(200, headers, async move |mut answer| {
                    answer.write(b"ended\n".to_vec()).await;
                    answer.end(None).await;
                    query.wait().await;
                    println!("went on after its answer of length {}", query.text("length"));
                })
            }
            "/sleep" => {
                query.wait().await;
                say("slept\n".to_owned())
            }
            path if path.starts_with("/fetch") => say(fetch::answer(path, &query).await),
            path if path.starts_with("/host-") => host::answer(path, query, request).await,
            path => faults::answer(path, query, request).await,
        }
    }
}

/// Answers, and goes on with the body.
fn start<F>(status: u16, headers: &[(&str, &str)], go_on: F) -> Answered
where
    F: AsyncFnOnce(Answer) + 'static,
{
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).expect("a header that is allowed");
    }
    respond(status, fields, go_on)
}

fn respond<F>(status: u16, fields: Fields, go_on: F) -> Answered
where
    F: AsyncFnOnce(Answer) + 'static,
{
    let (stream, contents) = wit_stream::new();
    let (trailers, ended) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(fields, Some(contents), ended);
    response.set_status_code(status).expect("a status");
    spawn_local(async move { go_on(Answer { stream, trailers }).await });
    Ok(response)
}

fn say(text: String) -> Answered {
    start(200, &[("content-type", "text/plain")], async move |mut answer| {
        answer.write(text.into_bytes()).await;
        answer.end(None).await;
    })
}

impl Answer {
    /// Writes all; false if nobody takes it any more.
    async fn write(&mut self, bytes: Vec<u8>) -> bool {
        self.stream.write_all(bytes).await.is_empty()
    }

    async fn end(self, trailers: Option<Trailers>) {
        drop(self.stream);
        let _ = self.trailers.write(Ok(trailers)).await;
    }
}

type Ended =
    wasip3::wit_bindgen::rt::async_support::FutureReader<Result<Option<Trailers>, ErrorCode>>;

fn consume(request: Request) -> (StreamReader<u8>, Ended) {
    let (_, received) = wit_future::new(|| Ok(()));
    Request::consume_body(request, received)
}

/// Reads a body to its end: how many bytes.
async fn read_all(body: &mut StreamReader<u8>, mut take: impl AsyncFnMut(Vec<u8>)) -> usize {
    let mut count = 0;
    loop {
        let (result, bytes) = body.read(Vec::with_capacity(64 << 10)).await;
        count += bytes.len();
        if !bytes.is_empty() {
            take(bytes).await;
        }
        if !matches!(result, StreamResult::Complete(_)) {
            return count;
        }
    }
}

fn seen(request: &Request) -> String {
    let mut lines = vec![
        format!("{:?}", request.get_method()),
        format!("{:?}", request.get_scheme()),
        format!("{:?}", request.get_authority()),
        format!("{:?}", request.get_path_with_query()),
    ];
    let fields = request.get_headers().copy_all();
    lines.extend(
        fields.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))),
    );
    lines.join("\n") + "\n"
}

/// Sends what comes as it comes, the trailers too.
fn echo(request: Request) -> Answered {
    start(200, &[("trailer", "x-sum")], async move |mut answer| {
        let (mut body, ended) = consume(request);
        read_all(&mut body, async |bytes| {
            answer.write(bytes).await;
        })
        .await;
        drop(body);
        match ended.await {
            Ok(trailers) => answer.end(trailers.map(|trailers| trailers.clone())).await,
            Err(code) => {
                drop(answer.stream);
                let _ = answer.trailers.write(Err(code)).await;
            }
        }
    })
}

/// `count` events, one every `ms`; each says when it was written.
async fn events(mut answer: Answer, query: &Query) {
    for _ in 0..query.number("count") {
        let now = wasip3::clocks::system_clock::now();
        let micros = now.seconds as u64 * 1_000_000 + u64::from(now.nanoseconds) / 1_000;
        if !answer.write(format!("data: {micros}\n\n").into_bytes()).await {
            println!("the client has left");
            return;
        }
        query.wait().await;
    }
    answer.end(None).await;
}

wasip3::http::service::export!(Streams);
