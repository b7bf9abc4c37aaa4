//! The guests that are shown, as a visitor of the docs would try them.

use std::fs;

use super::json;
use crate::support::scripts::{component, state};
use crate::support::{Server, root, wait_for};

/// The component of a guest that is shown.
fn guest(name: &str) -> Option<String> {
    let app = root().join("guests/python").join(name).join("app:app");
    component(&["--wsgi", &app.display().to_string()], &format!("python-{name}"))
}

#[test]
fn the_shown_guests_answer() {
    let (Some(time), Some(hello), Some(picture), Some(book)) =
        (guest("show_time"), guest("say_hello"), guest("show_pic"), guest("guestbook"))
    else {
        return;
    };
    let [time, hello, picture, book] =
        [("time", time), ("hello", hello), ("pic", picture), ("book", book)]
            .map(|(prefix, path)| format!("/{prefix}={path}"));
    let server =
        Server::start(&["--app", &time, "--app", &hello, "--app", &picture, "--app", &book]);
    assert!(server.get("/time").text().trim_end().ends_with(char::is_numeric));
    assert_eq!(server.get("/hello?name=Ada+L%C3%B8v").text(), "Hello, Ada Løv!\n");
    let picture = server.get("/pic");
    assert_eq!(picture.header("content-type"), Some("image/jpeg"));
    assert_eq!(picture.body, fs::read(root().join("guests/show_pic/pic.jpg")).expect("a picture"));
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    let written = server.request("POST", "/book/", kind, b"entry=%3Cb%3Ehi");
    assert_eq!((written.status, written.header("location")), (303, Some("/book/")));
    let cookie = written.header("set-cookie").and_then(|line| line.split(';').next());
    let headers = format!("Cookie: {}\r\n", cookie.expect("a cookie"));
    let shown = server.request("GET", "/book/", &headers, b"");
    assert!(shown.text().contains("<li>&lt;b&gt;hi</li>"), "{}", shown.text());
}

#[test]
fn an_app_is_built_and_served_and_built_again_when_it_is_saved() {
    if guest("say_hello").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let app = folder.path().join("app.py");
    let answering = |text: &str| {
        let code = "import os\n\ndef app(environ, start):\n    start('200 OK', [])\n";
        fs::write(&app, format!("{code}    return [b'{text}']\n")).expect("a file");
    };
    answering("first");
    let arguments = ["--wsgi", "app:app", "--watch", "--state", &state()];
    let server = Server::start_in(folder.path(), &arguments);
    assert_eq!(server.get("/").text(), "first");
    answering("second");
    wait_for(|| server.get("/").text() == "second");
    fs::write(&app, "def app(:\n").expect("a file");
    server.wait_for_log("SyntaxError");
    assert_eq!(server.get("/").text(), "second");
}

#[test]
fn pages_can_be_asked_for_while_building() {
    let arguments = ["--wsgi", "flask/app:app", "--warm", "/page/x", "--warm", "/broken"];
    let Some(component) = component(&arguments, "flask-warm") else { return };
    let server = Server::start(&["--app", &component]);
    assert_eq!(json(&server.get("/item/3"))["number"], 3);
}
