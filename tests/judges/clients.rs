//! Clients that people use, over TLS: h2load, httpx and Chromium. curl is in
//! `tls.rs` and `http2.rs`.

use std::fs;

use super::{is_there, output, python, script, tool};
use crate::support::tls::Authority;
use crate::support::{Server, guest};

/// A page whose script asks an app, and shows what it got and by which protocol.
const PAGE: &str = r#"<!doctype html>
<html lang="en"><title>waiting</title><body><script>
fetch("/sayhello?name=Chromium").then(answer => answer.text()).then(text => {
  const [page] = performance.getEntriesByType("navigation");
  document.body.textContent = text.trim() + " by " + page.nextHopProtocol;
});
</script></body></html>
"#;

/// A server for `localhost` over TLS, the folder that it is in, and its origin.
fn server() -> (Server, tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    authority.certify(folder.path(), "localhost", &["localhost"]);
    fs::write(folder.path().join("authority.pem"), authority.pem()).expect("a file");
    fs::create_dir(folder.path().join("html")).expect("a folder");
    fs::write(folder.path().join("html/index.html"), PAGE).expect("a file");
    let tls = ["--tls", "localhost.pem,localhost.pem"];
    let server = Server::start_in(folder.path(), &[&["--app", &guest("hello")], &tls[..]].concat());
    let origin = format!("https://localhost:{}", server.address.port());
    (server, folder, origin)
}

#[test]
fn h2load_is_answered() {
    if !is_there("h2load") {
        return;
    }
    let (_server, _folder, origin) = server();
    // Fewer at the same time than a tenant runs and lets wait.
    let load = ["-n", "5000", "-c", "10", "-m", "10"];
    let printed = output(tool("h2load").args(load).arg(format!("{origin}/sayhello")));
    assert!(printed.contains("Application protocol: h2"), "{printed}");
    assert!(printed.contains(" 5000 succeeded, 0 failed, 0 errored, 0 timeout"), "{printed}");
    assert!(printed.contains("status codes: 5000 2xx, "), "{printed}");
}

#[test]
fn httpx_is_answered_over_http2() {
    if !is_there(&python()) {
        return;
    }
    let (_server, folder, origin) = server();
    let authority = folder.path().join("authority.pem");
    let printed = output(tool(&python()).args([&script("get.py"), &origin]).arg(authority));
    let mut lines = printed.lines();
    for expected in [
        "HTTP/2 GET 200 <!doctype html>",
        "HTTP/2 GET 206 <!doctype html>",
        "HTTP/2 HEAD 200 ",
        "HTTP/2 POST 404 Not found",
    ] {
        assert_eq!(lines.next(), Some(expected), "{printed}");
    }
    for n in 0..50 {
        let expected = format!("HTTP/2 GET 200 Hello, {n}!");
        assert_eq!(lines.next(), Some(expected.as_str()), "{printed}");
    }
    assert_eq!(lines.next(), None, "{printed}");
}

#[test]
fn chromium_shows_a_page_and_its_script_asks_an_app() {
    if !is_there("chromium") {
        return;
    }
    let (_server, folder, origin) = server();
    // Nothing but the page is asked for; of certificates, `tls.rs` is the judge.
    let printed = output(
        tool("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--ignore-certificate-errors"])
            .args(["--virtual-time-budget=30000", "--dump-dom"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg(format!("{origin}/")),
    );
    assert!(printed.contains("Hello, Chromium! by h2"), "{printed}");
}
