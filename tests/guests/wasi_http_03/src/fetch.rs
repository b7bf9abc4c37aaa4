//! Requests to other servers, which are denied, however they are made.

use wasip3::http::client::send;
use wasip3::http::types::{Fields, Request, RequestOptions, Scheme};
use wasip3::{wit_future, wit_stream};

/// What became of a request.
pub async fn answer(path: &str) -> String {
    match path {
        "/fetch" => fetch(None, "/").await,
        "/fetch-zero-timeouts" => {
            let options = RequestOptions::new();
            options.set_connect_timeout(Some(0)).expect("a time");
            options.set_first_byte_timeout(Some(0)).expect("a time");
            options.set_between_bytes_timeout(Some(0)).expect("a time");
            fetch(Some(options), "/").await
        }
        "/fetch-long" => fetch(None, &format!("/{}", "x".repeat(100_000))).await,
        // A stream holds nothing until it is read.
        "/fetch-bodies" => "0\n".to_owned(),
        _ => "unknown\n".to_owned(),
    }
}

async fn fetch(options: Option<RequestOptions>, path: &str) -> String {
    let (_, contents) = wit_stream::new();
    let (_, ended) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(Fields::new(), Some(contents), ended, options);
    let _ = request.set_scheme(Some(&Scheme::Http));
    let _ = request.set_authority(Some("127.0.0.1:1"));
    if request.set_path_with_query(Some(path)).is_err() {
        return "no path\n".to_owned();
    }
    match send(request).await {
        Ok(answer) => format!("answered {}\n", answer.get_status_code()),
        Err(code) => format!("{code:?}\n"),
    }
}
