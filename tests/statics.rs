//! Static files, served natively in front of the apps and below `/static/`.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::process::{limit_descriptors, memory};
use crate::support::{Server, guest, root};

#[test]
fn html_is_in_front_of_the_app_and_at_static() {
    let server = Server::start(&["--app", &guest("hello")]);
    let page = fs::read(root().join("html/index.html")).expect("the page");
    for path in ["/", "/index.html", "/static/index.html", "/static/"] {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("max-age=0"), "{path}");
        assert!(answer.body == page, "{path}");
    }
    assert_eq!(server.get("/sayhello").text(), "Hello, world!\n");
    assert_eq!(server.get("/index.c").status, 404);
    assert_eq!(server.get("/static/sayhello").status, 404);
    let refused = server.request("POST", "/static/index.html", "", b"x");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
}

#[test]
fn a_version_that_the_client_has_is_not_sent_again() {
    let server = Server::start(&["--static", "html"]);
    let mut client = server.connect();
    let first = client.get("/");
    let etag = first.header("etag").expect("an etag").to_owned();
    let modified = first.header("last-modified").expect("a date").to_owned();
    for (headers, status) in [
        (format!("If-None-Match: {etag}\r\n"), 304),
        (format!("If-None-Match: \"other\", W/{etag}\r\n"), 304),
        ("If-None-Match: *\r\n".to_owned(), 304),
        ("If-None-Match: \"other\"\r\n".to_owned(), 200),
        (format!("If-Modified-Since: {modified}\r\n"), 304),
        ("If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n".to_owned(), 200),
        ("If-Modified-Since: nonsense\r\n".to_owned(), 200),
        (format!("If-None-Match: \"other\"\r\nIf-Modified-Since: {modified}\r\n"), 200),
    ] {
        let answer = client.request("GET", "/", &headers, b"");
        assert_eq!(answer.status, status, "{headers}");
        assert_eq!(answer.header("etag"), Some(etag.as_str()), "{headers}");
    }
    let head = client.request("HEAD", "/", "", b"");
    assert_eq!(head.header("content-length"), first.header("content-length"));
}

#[test]
fn e16_nothing_outside_the_root_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let public = folder.path().join("public");
    fs::create_dir_all(public.join("sub")).expect("folders");
    for (name, text) in
        [("secret", "secret"), ("public/.hidden", "secret"), ("public/open", "open")]
    {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    symlink("../secret", public.join("link")).expect("a link");
    symlink(folder.path(), public.join("up")).expect("a link");
    symlink("open", public.join("inner")).expect("a link");
    symlink("/etc", public.join("etc")).expect("a link");
    symlink("circle", public.join("circle")).expect("a link");
    fs::write(public.join("sub/.env"), "secret").expect("a file");
    fs::create_dir(public.join(".git")).expect("a folder");
    fs::write(public.join(".git/config"), "secret").expect("a file");
    let made = std::process::Command::new("mkfifo").arg(public.join("fifo")).status();
    assert!(made.expect("mkfifo runs").success());
    let _socket = std::os::unix::net::UnixListener::bind(public.join("socket")).expect("a socket");
    // /dev/zero; who may not make devices has a link to it.
    let device = public.join("device");
    let made = std::process::Command::new("mknod").arg(&device).args(["c", "1", "5"]).output();
    if !made.is_ok_and(|made| made.status.success()) {
        symlink("/dev/zero", &device).expect("a link");
    }

    let server = Server::start_in(folder.path(), &["--static", "public"]);
    let before = std::time::Instant::now();
    assert_eq!(server.get("/open").text(), "open");
    assert_eq!(server.get("/inner").text(), "open");
    for path in [
        "/link",
        "/link/",
        "/up",
        "/up/",
        "/up/secret",
        "/up/public/open",
        "/etc/passwd",
        "/circle",
        "/circle/",
        "/device",
        "/socket",
        "/sub/.env",
        "/.git/config",
        "/.git/",
        "/%2egit/config",
        "/sub/../open",
        "/./open",
        "/sub//../../secret",
        "/%2e%2e%2fsecret",
        "/.%2e/secret",
        "/%252e%252e/secret",
        "/..%5csecret",
        "/..\\secret",
        "/sub%2f..%2f..%2fsecret",
        "/open%2f",
        "/open%0a",
        "/%ff",
        "/.hidden",
        "/sub",
        "/sub/",
        "/fifo",
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "//secret",
        "/sub/..%2f..%2fsecret",
        "/open/",
        "/open%00",
        "/..%5csecret",
    ] {
        let answer = server.get(path);
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.text().contains("secret"), "{path}");
    }
    // Nothing of it was waited for: a FIFO that nobody writes to, a device without end.
    assert!(before.elapsed() < std::time::Duration::from_secs(10));
}

#[test]
fn large_files_arrive_whole_and_leave_little_in_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes: Vec<u8> = (0..20_000_000u32).map(|n| (n % 251) as u8).collect();
    fs::write(folder.path().join("large.bin"), &bytes).expect("a file");
    fs::write(folder.path().join("empty.txt"), "").expect("a file");
    let server = Server::start_in(folder.path(), &["--static", "."]);
    let before = memory(&server);
    let mut client = server.connect();
    client.send(b"GET /large.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let first = client.read(1 << 20);
    let after = memory(&server);
    assert!(after < before + (4 << 20), "{before} bytes of memory grew to {after}");
    let head = first.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
    let left = client.read(bytes.len() + head - first.len());
    assert!(bytes.starts_with(&first[head..]) && bytes.ends_with(&left));
    let large = server.request("HEAD", "/large.bin", "", b"");
    assert_eq!(large.header("content-type"), Some("application/octet-stream"));
    let empty = server.get("/empty.txt");
    assert_eq!((empty.status, empty.body.len()), (200, 0));
}

#[test]
fn a_directory_is_led_to_with_its_slash() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("sub/empty")).expect("a folder");
    fs::write(folder.path().join("sub/index.html"), "index").expect("a file");
    let server = Server::start_in(folder.path(), &["--static", "/assets=."]);
    let lead = server.get("/assets/sub?x=1");
    assert_eq!((lead.status, lead.header("location")), (308, Some("/assets/sub/?x=1")));
    assert_eq!(server.get("/assets/sub/").text(), "index");
    assert_eq!(server.get("/assets/sub/empty").status, 404);
    let server = Server::start_in(folder.path(), &["--static", "/assets=sub"]);
    assert_eq!(server.get("/assets").header("location"), Some("/assets/"));
    let options = server.request("OPTIONS", "/assets/", "", b"");
    assert_eq!((options.status, options.header("allow")), (204, Some("GET, HEAD, OPTIONS")));
}

#[test]
fn a_file_that_the_system_does_not_give_is_not_taken_for_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.txt"), "a").expect("a file");
    let server = Server::start_in(folder.path(), &["--static", "."]);
    let mut client = server.connect();
    assert_eq!(client.get("/a.txt").status, 200);
    limit_descriptors(&server, 3);
    assert_eq!(client.get("/a.txt").status, 503);
    server.wait_for_log("a.txt\" cannot be read");
}

#[test]
fn lists_in_headers_are_read_up_to_a_bound() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.txt"), "abcdefghij".repeat(200)).expect("a file");
    let server = Server::start_in(folder.path(), &["--static", "."]);
    let mut client = server.connect();
    let tag = client.get("/a.txt").header("etag").expect("a tag").to_owned();
    for (count, known, coded) in [(10, 304, Some("br")), (10_000, 200, None)] {
        let list = "\"x\",".repeat(count);
        let headers = format!("If-None-Match: {list}{tag}\r\n");
        assert_eq!(client.request("GET", "/a.txt", &headers, b"").status, known, "{count}");
        let headers = format!("Accept-Encoding: {}br\r\n", "a,".repeat(count));
        let answer = client.request("GET", "/a.txt", &headers, b"");
        assert_eq!(answer.header("content-encoding"), coded, "{count}");
    }
}
