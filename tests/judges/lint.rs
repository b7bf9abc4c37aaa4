//! REDbot and httplint: what they find in answers of every kind.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{is_there, python, script, tool};
use crate::support::{Server, guest, root, test_guest};

/// A request, and the findings that are no fault of the answer, each explained
/// where it is allowed.
fn request(method: &str, path: &str, headers: &[(&str, &str)], allowed: &[&str]) -> Value {
    let headers: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    json!({ "method": method, "path": path, "headers": headers, "allowed": allowed })
}

/// What can be asked of a site.
fn requests() -> Vec<Value> {
    let mut all = Vec::new();
    for path in [
        "/",
        "/style.css",
        "/icon.svg",
        "/pic.jpg",
        "/large.txt",
        "/sub",
        "/sub/",
        "/list/",
        "/app/sayhello",
        "/app/ctime",
        "/app/pic",
        "/tagged/pic",
        "/echo/x",
        "/old/sayhello",
        "/moved",
        "/other",
        "/none",
        "/app/none",
        "/bad/ok",
        "/bad/panic",
        "/bad/header?name=a%20b&value=x",
        "/bad/status?code=999",
        "/wasi/",
        "/wasi3/",
    ] {
        all.push(request("GET", path, &[], &[]));
        all.push(request("HEAD", path, &[], &[]));
    }
    for path in ["/style.css", "/app/sayhello", "/bad/panic"] {
        all.push(request("POST", path, &[], &[]));
        all.push(request("OPTIONS", path, &[], &[]));
    }
    all.push(request("TRACE", "/", &[], &[]));
    for (path, name, value) in [
        ("/large.txt", "Range", "bytes=0-99"),
        ("/pic.jpg", "Range", "bytes=-10"),
        ("/large.txt", "Range", "bytes=99999999-"),
        ("/style.css", "Accept-Encoding", "gzip"),
        ("/style.css", "Accept-Encoding", "br"),
        ("/style.css", "Accept-Encoding", "gzip;q=0.5, br"),
        ("/large.txt", "Accept-Encoding", "gzip"),
        ("/echo/x", "Accept-Encoding", "gzip"),
        ("/style.css", "If-None-Match", "*"),
        ("/tagged/pic", "If-None-Match", "*"),
        ("/style.css", "If-Match", "\"x\""),
        ("/none", "Accept", "application/json"),
    ] {
        all.push(request("GET", path, &[(name, value)], &[]));
        all.push(request("HEAD", path, &[(name, value)], &[]));
    }
    // Each part says its range itself; the answer must not (RFC 9110 section
    // 15.3.7.2).
    let parts = [("Range", "bytes=0-9,20-29")];
    all.push(request("GET", "/large.txt", &parts, &["PARTIAL_WITHOUT_RANGE"]));
    // That a request was bad is what the answer is there to say.
    all.push(request("GET", "/%00", &[], &["STATUS_BAD_REQUEST"]));
    let long = format!("/{}", "x".repeat(9_000));
    all.push(request("GET", &long, &[], &["STATUS_URI_TOO_LONG"]));
    all
}

/// A site with a route of every kind, whose files changed long ago.
fn site() -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let files = folder.path().join("files");
    fs::create_dir_all(files.join("sub")).expect("folders");
    for name in ["html/index.html", "html/style.css", "html/icon.svg", "guests/show_pic/pic.jpg"] {
        let from = root().join(name);
        fs::copy(&from, files.join(from.file_name().expect("a name"))).expect("a copy");
    }
    fs::copy(files.join("index.html"), files.join("sub/index.html")).expect("a copy");
    let lines: String = (0..200_000).map(|n| format!("{n}\n")).collect();
    fs::write(files.join("large.txt"), lines).expect("a file");
    for entry in walkdir::WalkDir::new(&files) {
        let file = fs::File::open(entry.expect("an entry").path()).expect("a file");
        let before = SystemTime::now() - Duration::from_secs(7_200);
        file.set_modified(before).expect("a time");
    }
    let mut toml = "[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n".to_owned();
    let (hello, echo, bad) = (guest("hello"), test_guest("echo"), test_guest("misbehave"));
    let (wasi, wasi3) = (test_guest("wasi_http_hello"), test_guest("wasi_http_03"));
    for (path, what) in [
        ("/*", "static = \"files\"".to_owned()),
        ("/list/*", "static = \"files\"\nindex = []\nlisting = true".to_owned()),
        ("/app/*", format!("app = {hello:?}")),
        ("/tagged/*", format!("app = {hello:?}\netag = true")),
        ("/echo/*", format!("app = {echo:?}")),
        ("/bad/*", format!("app = {bad:?}")),
        ("/wasi/*", format!("app = {wasi:?}")),
        ("/wasi3/*", format!("app = {wasi3:?}")),
        ("/old/*", "redirect = \"/app/*\"".to_owned()),
        ("/moved", "redirect = \"/\"\nstatus = 301".to_owned()),
        ("/other", "redirect = \"/\"\nstatus = 302".to_owned()),
    ] {
        toml.push_str(&format!("[[tenant.route]]\npath = \"{path}\"\n{what}\n"));
    }
    fs::write(folder.path().join("myweb.toml"), toml).expect("a file");
    (Server::start_in(folder.path(), &[]), folder)
}

#[test]
fn e17_redbot_and_httplint_find_nothing_to_mend() {
    if !is_there(&python()) {
        return;
    }
    let (server, _folder) = site();
    let mut child = tool(&python())
        .args([script("lint.py"), format!("http://{}", server.address)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python");
    let asked = Value::from(requests()).to_string();
    child.stdin.take().expect("a pipe").write_all(asked.as_bytes()).expect("all is read");
    let output = child.wait_with_output().expect("an end");
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && printed.is_empty(), "{printed}");
}
