//! Shows a picture. It is compiled into the component, so this needs no grant;
//! with `?from=file` the server sends the same picture from the app's granted
//! files (`--files guests/show_pic`), without a copy through the component.

use myweb::{Env, Response, files, handler};

const PICTURE: &[u8] = include_bytes!("../pic.jpg");

#[handler]
fn application(env: Env) -> Response {
    let picture = match env.query("from") {
        Some("file") => files::send("pic.jpg"),
        _ => Response::new(200).with_body(PICTURE),
    };
    picture.with_header("content-type", "image/jpeg")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_a_jpeg() {
        let response = application(Env::get("/"));
        assert_eq!(response.header("content-type"), Some("image/jpeg"));
        assert!(response.body().starts_with(&[0xff, 0xd8, 0xff]));
    }

    #[test]
    fn the_server_is_asked_for_the_file() {
        assert_eq!(application(Env::get("/?from=file")).file(), Some("pic.jpg"));
    }
}
