//! One application object with a URL table: `/sayhello`, `/ctime` and `/pic`.

use std::time::SystemTime;

use myweb::{Env, Response, Router, handler};

#[handler]
fn application(env: Env) -> Response {
    Router::new()
        .get("/sayhello", say_hello)
        .get("/ctime", show_time)
        .get("/pic", show_pic)
        .handle(env)
}

fn say_hello(env: Env) -> String {
    format!("Hello, {}!\n", env.query("name").unwrap_or("world"))
}

fn show_time(_env: Env) -> String {
    httpdate::fmt_http_date(SystemTime::now()) + "\n"
}

fn show_pic(_env: Env) -> Response {
    let picture = include_bytes!("../../show_pic/pic.jpg");
    Response::new(200).with_header("content-type", "image/jpeg").with_body(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_table_answers() {
        assert_eq!(application(Env::get("/sayhello?name=Ada")).text(), "Hello, Ada!\n");
        assert!(application(Env::get("/ctime")).text().ends_with(" GMT\n"));
        assert!(application(Env::get("/pic")).body().starts_with(&[0xff, 0xd8, 0xff]));
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        assert_eq!(application(Env::get("/picx")).status(), 404);
        let refused = application(Env::post("/sayhello", ""));
        assert_eq!((refused.status(), refused.header("allow")), (405, Some("GET, HEAD")));
    }
}
