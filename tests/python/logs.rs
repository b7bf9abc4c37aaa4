//! What is in the log of an app. A server of its own: what another test waited
//! past would be gone.

use crate::support::Server;
use crate::support::scripts::component;

#[test]
fn what_went_wrong_is_in_the_log_and_not_in_the_answer() {
    let Some(component) = component(&["--wsgi", "plain/app:app"], "plain") else { return };
    let server = Server::start(&["--app", &component]);
    let answer = server.get("/raises");
    assert!(!answer.text().contains("secret"), "{}", answer.text());
    server.wait_for_log("/app/ways.py");
    server.wait_for_log("ValueError: a secret cause");
    // `close` is called whatever happens.
    assert_eq!(server.get("/closed_after_failure").status, 500);
    server.wait_for_log("guest: closed");
    assert_eq!(server.get("/closed").text(), "closing\n");
    server.wait_for_log("guest: closed");
    for (way, told) in [("fails_to_close", "ZeroDivisionError"), ("breaks_its_output", "is lost")] {
        let answer = server.get(&format!("/{way}"));
        assert_eq!((answer.status, answer.text()), (200, "closing\n"), "{way}");
        server.wait_for_log(told);
    }
    server.get("/bytes_not_list");
    server.wait_for_log("warning: the app returned bytes");
    for (way, sentence) in [
        ("threads", "can't start new thread: a sandboxed app has one"),
        ("sockets", "a sandboxed app has no sockets"),
        ("ctypes", "a sandboxed app has no _ctypes: it has no C functions to call"),
    ] {
        assert_eq!(server.get(&format!("/{way}")).status, 500, "{way}");
        server.wait_for_log(sentence);
    }
}

#[test]
fn with_debug_the_page_shows_why_an_app_failed() {
    let Some(component) = component(&["--wsgi", "plain/app:app"], "plain") else { return };
    let server = Server::start(&["--app", &component, "--debug"]);
    let answer = server.get("/raises");
    assert_eq!(answer.status, 500);
    for part in ["internal error, reference ", "/app/ways.py\", line", "ValueError: a secret cause"]
    {
        assert!(answer.text().contains(part), "{}", answer.text());
    }
}
