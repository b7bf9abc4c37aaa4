//! Answers with what it was given, as JSON: the server's tests read it.

use myweb::{Env, IntoResponse, Json, handler, json};

#[handler]
fn application(env: Env) -> impl IntoResponse {
    let variables: Vec<(&str, String)> = [
        "REQUEST_METHOD",
        "REQUEST_SCHEME",
        "SERVER_NAME",
        "SERVER_PORT",
        "SERVER_PROTOCOL",
        "SCRIPT_NAME",
        "PATH_INFO",
        "QUERY_STRING",
        "REQUEST_URI",
        "REMOTE_ADDR",
    ]
    .into_iter()
    .filter_map(|name| Some((name, env.var(name)?.into_owned())))
    .collect();
    let headers: Vec<(&str, String)> = env
        .headers()
        .map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()))
        .collect();
    Json(json!({
        "env": variables,
        "request-id": env.request_id(),
        "headers": headers,
        "body": String::from_utf8_lossy(env.body()),
    }))
}
