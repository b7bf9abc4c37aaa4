//! Frameworks as they come from their authors.

use std::sync::Arc;

use super::json;
use crate::support::scripts::serving;
use crate::support::{Answer, Server};

/// Bytes of the file that is uploaded.
const UPLOADED: usize = 900_000;

fn app(name: &str) -> Option<Arc<Server>> {
    let target = match name {
        "django" => "django/wsgi:application".to_owned(),
        _ => format!("{name}/app:app"),
    };
    let flag = if name == "starlette" { "--asgi" } else { "--wsgi" };
    serving(&[flag, &target], name)
}

/// Posts a form.
fn post_form(server: &Server, target: &str, headers: &str, form: &str) -> Answer {
    let headers = format!("Content-Type: application/x-www-form-urlencoded\r\n{headers}");
    server.request("POST", target, &headers, form.as_bytes())
}

/// Uploads a file in a form, and checks that all of it has arrived.
fn check_upload(server: &Server) {
    let head = "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
                Content-Type: application/octet-stream\r\n\r\n";
    let body = [head.as_bytes(), &vec![7; UPLOADED], b"\r\n--edge--\r\n"].concat();
    let headers = "Content-Type: multipart/form-data; boundary=edge\r\n";
    let answer = server.request("POST", "/upload", headers, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let said = json(&answer);
    assert_eq!((said["name"].as_str(), said["size"].as_u64()), (Some("a.bin"), Some(900_000)));
}

/// Counts requests in a signed cookie, which cannot be forged.
fn check_session(server: &Server) {
    let first = server.get("/count");
    assert_eq!(first.text(), "1");
    let line = first.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = line.and_then(|line| line.split(';').next()).expect("a cookie");
    let headers = |cookie: &str| format!("Cookie: {cookie}\r\n");
    assert_eq!(server.request("GET", "/count", &headers(cookie), b"").text(), "2");
    let forged = format!("{cookie}x");
    assert_eq!(server.request("GET", "/count", &headers(&forged), b"").text(), "1");
}

fn check_style(server: &Server) {
    let style = server.get("/static/style.css");
    assert_eq!((style.status, style.text()), (200, "body { color: teal }\n"));
    assert!(style.header("content-type").is_some_and(|kind| kind.starts_with("text/css")));
    assert_eq!(server.get("/static/nothing.css").status, 404);
}

#[test]
fn flask_answers_as_it_does_elsewhere() {
    let Some(server) = app("flask") else { return };
    let home = server.get("/");
    assert_eq!((home.text(), home.header("x-after")), ("home", Some("yes")));
    assert_eq!(json(&server.get("/item/3"))["number"], 3);
    let page = server.get("/page/Ada");
    let expected = "<!doctype html><title>Page Ada</title><ul><li>1: one</li><li>2: &lt;two&gt;</li>\
                    </ul><a href=\"/static/style.css\">ADA</a>";
    assert_eq!(page.text().trim_end(), expected);
    let form = json(&post_form(&server, "/form", "", "name=Ada+L&tick=1&tick=2"));
    assert_eq!(form, serde_json::json!({ "name": "Ada L", "all": ["1", "2"] }));
    let sent = server.request("POST", "/json", "Content-Type: application/json\r\n", b"[1, null]");
    assert_eq!(json(&sent), serde_json::json!([1, null]));
    check_upload(&server);
    check_session(&server);
    check_style(&server);
    assert_eq!(server.get("/flash").text(), "['seen']");
    let cookie = server.get("/cookie");
    assert_eq!(cookie.head.matches("set-cookie: ").count(), 2);
    let go = server.get("/go");
    assert_eq!((go.status, go.header("location")), (302, Some("/item/3")));
    assert_eq!(server.get("/abort").status, 418);
    let missing = server.get("/missing");
    assert_eq!((missing.status, missing.text()), (404, "no /missing here"));
    assert_eq!(server.get("/broken").status, 500);
    server.wait_for_log("KeyError: 'nothing'");
    assert_eq!(server.get("/stream?q=x").text(), "0 x\n1 x\n2 x\n");
    let sent = server.get("/sent");
    assert_eq!(sent.header("content-disposition"), Some("attachment; filename=other.css"));
    assert_eq!(server.get("/password").text(), "(True, False)");
    assert_eq!(server.request("POST", "/", "", b"").status, 405);
}

#[test]
fn django_without_a_database_answers_as_it_does_elsewhere() {
    let Some(server) = app("django") else { return };
    assert_eq!(json(&server.get("/item/3"))["number"], 3);
    let page = server.get("/page/Ada");
    assert_eq!(page.text().trim(), "<!doctype html><title>Januar Ada</title>14:00");
    check_session(&server);
    check_upload(&server);
    check_style(&server);
    let form = server.get("/form");
    let token = form.text().split("value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let token = token.expect("a token");
    let cookie = form.header("set-cookie").and_then(|line| line.split(';').next());
    let headers = format!("Cookie: {}\r\n", cookie.expect("a cookie"));
    let body = format!("name=Ada&csrfmiddlewaretoken={token}");
    assert_eq!(json(&post_form(&server, "/form", &headers, &body))["name"], "Ada");
    let long = format!("name=Adelaide&csrfmiddlewaretoken={token}");
    assert_eq!(post_form(&server, "/form", &headers, &long).status, 400);
    assert_eq!(post_form(&server, "/form", "", "name=Ada").status, 403);
    assert_eq!(server.get("/go").header("location"), Some("/item/3"));
    assert_eq!(server.get("/missing").text(), "no /missing here");
    assert_eq!(server.get("/broken").status, 500);
}

#[test]
fn bottle_answers_as_it_does_elsewhere() {
    let Some(server) = app("bottle") else { return };
    assert_eq!(json(&server.get("/item/3"))["number"], 3);
    assert_eq!(server.get("/page/Ada").text().trim(), "<title>Page</title><p>Ada</p>");
    assert_eq!(json(&post_form(&server, "/form", "", "name=Ada"))["name"], "Ada");
    check_session(&server);
    check_upload(&server);
    check_style(&server);
    assert_eq!(server.get("/missing").text(), "nothing here");
}

#[test]
fn falcon_answers_as_it_does_elsewhere() {
    let Some(server) = app("falcon") else { return };
    assert_eq!(json(&server.get("/item/3?q=x")), serde_json::json!({ "number": 3, "q": "x" }));
    let headers = "Content-Type: application/json\r\n";
    let created = server.request("POST", "/item/3", headers, b"{\"a\": 1}");
    assert_eq!((created.status, json(&created)["a"].as_u64()), (201, Some(1)));
    let counted = server.request("GET", "/count", "Cookie: count=4\r\n", b"");
    assert_eq!((counted.text(), counted.header("set-cookie").is_some()), ("5", true));
    check_upload(&server);
    check_style(&server);
    let broken = server.get("/broken");
    assert_eq!((broken.status, broken.text()), (409, "handled 'lost'"));
    assert_eq!(server.get("/missing").status, 404);
}

#[test]
fn pyramid_answers_as_it_does_elsewhere() {
    let Some(server) = app("pyramid") else { return };
    assert_eq!(json(&server.get("/item/3"))["number"], 3);
    assert_eq!(server.get("/page/Ada").text().trim(), "<title>Page Ada</title>");
    assert_eq!(json(&post_form(&server, "/form", "", "name=Ada"))["name"], "Ada");
    check_session(&server);
    check_upload(&server);
    check_style(&server);
    assert_eq!(server.get("/go").header("location"), Some("http://localhost/item/3"));
    let missing = server.get("/missing");
    assert_eq!((missing.status, json(&missing)["missing"].as_str()), (404, Some("/missing")));
}

#[test]
fn starlette_answers_as_it_does_elsewhere() {
    let Some(server) = app("starlette") else { return };
    let item = json(&server.get("/item/3"));
    assert_eq!(item, serde_json::json!({ "number": 3, "started": "yes" }));
    assert_eq!(server.get("/plain").text(), "from a function that is not async");
    assert_eq!(server.get("/page/Ada").text().trim(), "<title>Page Ada</title>");
    assert_eq!(json(&post_form(&server, "/form", "", "name=Ada"))["name"], "Ada");
    check_session(&server);
    check_upload(&server);
    check_style(&server);
    assert_eq!(server.get("/stream").text(), "0\n1\n2\n");
    server.wait_for_log("guest: afterwards");
    assert_eq!(json(&server.get("/together")), serde_json::json!([0, 1, 2]));
    let teapot = server.get("/teapot");
    assert_eq!((teapot.status, teapot.text()), (418, "handled short and stout"));
    assert_eq!(server.get("/broken").status, 500);
    assert_eq!(server.get("/missing").status, 404);
}
