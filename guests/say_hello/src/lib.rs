//! Greets whoever is named in `?name=`, as plain text.

use myweb::{Env, IntoResponse, handler};

#[handler]
fn application(env: Env) -> impl IntoResponse {
    let name = env.query("name").unwrap_or("world");
    (200, [("content-type", "text/plain; charset=utf-8")], format!("Hello, {name}!\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets_the_world() {
        assert_eq!(application(Env::get("/")).into_response().text(), "Hello, world!\n");
    }

    #[test]
    fn greets_by_name() {
        let response = application(Env::get("/?name=Ada+L%C3%B8v")).into_response();
        assert_eq!(response.text(), "Hello, Ada Løv!\n");
    }
}
