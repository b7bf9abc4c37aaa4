//! What a guest of `wasi:http` must not do.

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::types::{ErrorCode, Fields, Request};

use super::{Answer, Answered, Query, consume, read_all, respond, say, start};

#[allow(clippy::exit)]
pub async fn answer(path: &str, query: Query, request: Request) -> Answered {
    match path {
        "/no-answer" => core::arch::wasm32::unreachable(),
        "/error-answer" => Err(ErrorCode::LoopDetected),
        "/trap-after-head" => begun(async |_answer| {
            wait_for(1_000_000).await;
            core::arch::wasm32::unreachable()
        }),
        "/trap-at-once" => begun(async |_answer| core::arch::wasm32::unreachable()),
        "/exit-after-head" => begun(async |_answer| {
            wait_for(1_000_000).await;
            std::process::exit(3);
        }),
        "/loop-after-head" => begun(async |_answer| {
            loop {
                std::hint::black_box(0);
            }
        }),
        "/sleep-after-head" => begun(async |answer| {
            wait_for(60_000_000_000).await;
            answer.end(None).await;
        }),
        "/unfinished" => begun(async move |answer| {
            query.wait().await;
            std::mem::forget((answer.stream, answer.trailers));
        }),
        "/dropped" => begun(async move |answer| {
            query.wait().await;
            drop(answer.stream);
            let _ = answer.trailers.write(Err(ErrorCode::InternalError(None))).await;
        }),
        "/endless" => start(200, &[], async |mut answer| {
            while answer.write(vec![b'x'; 4096]).await {}
            println!("nobody takes it any more");
        }),
        "/length" => length(query),
        "/fields" => fields(&query),
        "/status" => {
            let (probe, code) = (Fields::new(), query.number("code") as u16);
            if !is_status(code, probe) {
                return say("refused\n".to_owned());
            }
            start(code, &[], async move |mut answer| {
                query.wait().await;
                answer.write(b"body\n".to_vec()).await;
                answer.end(None).await;
            })
        }
        "/trailers" => trailers(query),
        "/keep" => {
            std::mem::forget(request);
            say("kept\n".to_owned())
        }
        "/early" => say("early\n".to_owned()),
        "/half" => {
            let (mut body, _) = consume(request);
            let (_, bytes) = body.read(Vec::with_capacity(query.number("bytes") as usize)).await;
            say(format!("{}\n", bytes.len()))
        }
        "/late" => begun(async move |mut answer| {
            let (mut body, _) = consume(request);
            let count = read_all(&mut body, async |_| {}).await;
            answer.write(format!("{count}\n").into_bytes()).await;
            answer.end(None).await;
        }),
        _ => start(404, &[], async |answer| answer.end(None).await),
    }
}

/// An answer with the beginning of a body.
fn begun<F>(go_on: F) -> Answered
where
    F: AsyncFnOnce(Answer) + 'static,
{
    start(200, &[], async move |mut answer| {
        answer.write(b"begun\n".to_vec()).await;
        go_on(answer).await;
    })
}

fn is_status(code: u16, fields: Fields) -> bool {
    let (_, ended) = wasip3::wit_future::new(|| Ok(None));
    let (response, _sent) = wasip3::http::types::Response::new(fields, None, ended);
    response.set_status_code(code).is_ok()
}

/// A body of another length than is said.
fn length(query: Query) -> Answered {
    let headers = Fields::new();
    for declared in query.text("declared").split(',') {
        if headers.append("content-length", declared.as_bytes()).is_err() {
            return say("refused\n".to_owned());
        }
    }
    respond(200, headers, async move |mut answer| {
        // The head goes first.
        query.wait().await;
        answer.write(vec![b'x'; query.number("sent") as usize]).await;
        if query.text("end") == "forget" {
            drop(answer.stream);
            std::mem::forget(answer.trailers);
        } else {
            answer.end(None).await;
        }
    })
}

/// Any header, as often as is asked for.
fn fields(query: &Query) -> Answered {
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
            return say(format!("refused: {error:?}\n"));
        }
    }
    respond(200, headers, async |answer| answer.end(None).await)
}

/// Trailers of any name, as often as is asked for.
fn trailers(query: Query) -> Answered {
    let trailers = Fields::new();
    for number in 0..query.number("times").max(1) {
        let numbered = format!("{}-{number}", query.text("name"));
        let name = if query.number("times") > 0 { &numbered } else { query.text("name") };
        if let Err(error) = trailers.append(name, b"1") {
            return say(format!("refused: {error:?}\n"));
        }
    }
    let name = query.text("name").to_owned();
    start(200, &[("trailer", &name)], async move |mut answer| {
        answer.write(b"body\n".to_vec()).await;
        query.wait().await;
        answer.end(Some(trailers)).await;
    })
}
