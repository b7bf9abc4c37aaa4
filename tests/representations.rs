//! Which form of a static file is sent: ranges, content codings, conditions, and
//! what a route says of its files.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::support::{Answer, PATIENCE, Server, guest, test_guest};

/// A folder of files that changed long ago: those may be kept in memory.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        write(&folder.path().join(name), bytes);
    }
    folder
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("a file");
    let file = fs::File::options().write(true).open(path).expect("the file");
    let before = SystemTime::now() - Duration::from_secs(3_600);
    file.set_modified(before).expect("a time");
}

fn tenant(routes: &str) -> String {
    format!("[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n{routes}")
}

fn letters(count: usize) -> Vec<u8> {
    (0..count).map(|n| b'a' + (n % 26) as u8).collect()
}

fn decoded(answer: &Answer) -> Vec<u8> {
    let (program, flags) = match answer.header("content-encoding") {
        Some("gzip") => ("gzip", ["-d", "-c"]),
        other => panic!("{other:?} is not decoded here"),
    };
    let mut child = Command::new(program)
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip");
    let mut stdin = child.stdin.take().expect("a pipe");
    let body = answer.body.clone();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &body));
    let mut bytes = Vec::new();
    child.stdout.take().expect("a pipe").read_to_end(&mut bytes).expect("an output");
    writing.join().expect("no panic").expect("all is read");
    assert!(child.wait().expect("an end").success());
    bytes
}

#[test]
fn e16_ranges_of_small_and_large_files_are_sent() {
    let (small, large) = (letters(26), letters(300_000));
    let folder = folder(&[("small.txt", &small), ("large.bin", &large), ("empty", b"")]);
    let server = Server::start_in(folder.path(), &["--static", "."]);
    let mut client = server.connect();
    for (path, bytes) in [("/small.txt", &small), ("/large.bin", &large)] {
        let end = bytes.len();
        for (range, sent) in [
            ("0-0".to_owned(), 0..1),
            ("5-9".to_owned(), 5..10),
            ("20-".to_owned(), 20..end),
            ("-7".to_owned(), end - 7..end),
            (format!("10-{}", u64::MAX), 10..end),
            ("3-5,4-9".to_owned(), 3..10),
        ] {
            let answer = client.request("GET", path, &format!("Range: bytes={range}\r\n"), b"");
            assert_eq!(answer.status, 206, "{path} {range}");
            let shown = format!("bytes {}-{}/{end}", sent.start, sent.end - 1);
            assert_eq!(answer.header("content-range"), Some(shown.as_str()), "{path} {range}");
            assert!(answer.body == bytes[sent], "{path} {range}");
        }
        let beyond = client.request("GET", path, &format!("Range: bytes={end}-\r\n"), b"");
        let all = format!("bytes */{end}");
        assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(all.as_str())));
        for range in ["bytes=5-2", "lines=1-2", "nonsense"] {
            let answer = client.request("GET", path, &format!("Range: {range}\r\n"), b"");
            assert_eq!((answer.status, answer.body.len()), (200, end), "{range}");
        }
        let head = client.request("HEAD", path, "Range: bytes=0-0\r\n", b"");
        let length = end.to_string();
        assert_eq!((head.status, head.header("content-length")), (200, Some(length.as_str())));
        assert_eq!(head.header("accept-ranges"), Some("bytes"));
    }
    assert_eq!(client.request("GET", "/empty", "Range: bytes=0-\r\n", b"").status, 416);
}

#[test]
fn e16_several_ranges_are_parts_and_too_many_are_the_whole() {
    let folder = folder(&[("a.txt", &letters(100))]);
    let server = Server::start_in(folder.path(), &["--static", "."]);
    let mut client = server.connect();
    let answer = client.request("GET", "/a.txt", "Range: bytes=90-,0-1\r\n", b"");
    assert_eq!(answer.status, 206);
    let kind = answer.header("content-type").expect("a type");
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect(kind);
    let part = |range: &str, bytes: &str| {
        format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Range: bytes {range}/100\r\n\r\n{bytes}\r\n"
        )
    };
    let expected =
        part("90-99", "mnopqrstuv") + &part("0-1", "ab") + &format!("--{boundary}--\r\n");
    assert_eq!(answer.text(), expected);
    let many: Vec<String> = (0..17).map(|n| format!("{}-{0}", 2 * n)).collect();
    let many = format!("Range: bytes={}\r\n", many.join(","));
    assert_eq!(client.request("GET", "/a.txt", &many, b"").status, 200);
    // Parts that touch are one, if there are few; of many none is read.
    for (count, status) in [(16, 206), (17, 200), (10_000, 200)] {
        let same = format!("Range: bytes={}\r\n", vec!["0-99"; count].join(","));
        let answer = client.request("GET", "/a.txt", &same, b"");
        assert_eq!((answer.status, answer.body.len()), (status, 100), "{count}");
    }
    // Ten thousand, of which fifty lie apart; and ones that overlap in any order.
    let apart: Vec<String> = (0..10_000).map(|n| format!("{0}-{0}", 2 * (n % 50))).collect();
    let apart = format!("Range: bytes={}\r\n", apart.join(","));
    let answer = client.request("GET", "/a.txt", &apart, b"");
    assert_eq!((answer.status, answer.body.len()), (200, 100));
    for ranges in ["50-,-60,45-55", "99-99,0-98", "0-,-1,5-10"] {
        let answer = client.request("GET", "/a.txt", &format!("Range: bytes={ranges}\r\n"), b"");
        assert!(answer.status == 206 && answer.body.len() <= 100, "{ranges}: {answer:?}");
    }
}

#[test]
fn e17_conditions_decide_what_is_sent() {
    let folder = folder(&[("a.txt", &letters(100))]);
    let server = Server::start_in(folder.path(), &["--static", "."]);
    let mut client = server.connect();
    let first = client.get("/a.txt");
    let etag = first.header("etag").expect("a tag").to_owned();
    let modified = first.header("last-modified").expect("a date").to_owned();
    for (headers, status) in [
        (format!("If-Match: {etag}"), 200),
        ("If-Match: \"other\"".to_owned(), 412),
        ("If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT".to_owned(), 412),
        (format!("If-Unmodified-Since: {modified}"), 200),
        (format!("Range: bytes=0-0\r\nIf-Range: {etag}"), 206),
        (format!("Range: bytes=0-0\r\nIf-Range: {modified}"), 206),
        ("Range: bytes=0-0\r\nIf-Range: \"other\"".to_owned(), 200),
        (format!("Range: bytes=0-0\r\nIf-Range: W/{etag}"), 200),
        (format!("Range: bytes=0-0\r\nIf-None-Match: {etag}"), 304),
        (format!("If-Match: \"other\", {etag}"), 200),
        (format!("If-Match: W/{etag}"), 412),
        ("If-Match: *".to_owned(), 200),
        (format!("If-Match: \"other\"\r\nIf-None-Match: {etag}"), 412),
        (format!("If-Match: {etag}\r\nIf-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"), 200),
        ("Range: bytes=0-0\r\nIf-Range: Thu, 01 Jan 1970 00:00:00 GMT".to_owned(), 200),
        ("Range: bytes=500-\r\nIf-Range: \"other\"".to_owned(), 200),
        ("Range: bytes=500-\r\nIf-Match: \"other\"".to_owned(), 412),
    ] {
        let answer = client.request("GET", "/a.txt", &format!("{headers}\r\n"), b"");
        assert_eq!(answer.status, status, "{headers}");
        assert_eq!(answer.header("etag"), Some(etag.as_str()), "{headers}");
        let of_head = client.request("HEAD", "/a.txt", &format!("{headers}\r\n"), b"");
        // A range is asked for by GET only.
        let status = if headers.starts_with("Range") && status == 206 { 200 } else { status };
        assert_eq!(of_head.status, status, "HEAD {headers}");
    }
}

/// An answer's headers, without its status and date.
fn headers(answer: &Answer) -> Vec<&str> {
    let lines = answer.head.trim_end().lines().skip(1);
    let mut lines: Vec<&str> = lines.filter(|line| !line.starts_with("date: ")).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn e17_head_has_the_headers_of_get_and_all_forms_of_a_file_say_on_what_they_depend() {
    let text = letters(5_000);
    let folder = folder(&[("a.css", &text), ("b.js", &text), ("b.js.gz", b"x"), ("a.png", &text)]);
    let server = Server::start_in(folder.path(), &["--static", "."]);
    let mut client = server.connect();
    for path in ["/a.css", "/b.js", "/a.png", "/none"] {
        for accept in ["identity", "gzip", "br", "gzip;q=0, *;q=0.5", "identity;q=0"] {
            let asked = format!("Accept-Encoding: {accept}\r\n");
            let get = client.request("GET", path, &asked, b"");
            let head = client.request("HEAD", path, &asked, b"");
            assert_eq!((head.status, head.body.len()), (get.status, 0), "{path} {accept}");
            assert_eq!(headers(&head), headers(&get), "{path} {accept}");
            let vary = ["/a.css", "/b.js"].contains(&path).then_some("accept-encoding");
            assert_eq!(get.header("vary"), vary, "{path} {accept}");
            let Some(etag) = get.header("etag") else { continue };
            // What is not sent again would have had the same tag, and depends on the same.
            let known = format!("{asked}If-None-Match: {etag}\r\n");
            let known = client.request("GET", path, &known, b"");
            assert_eq!((known.status, known.header("etag")), (304, Some(etag)));
            assert_eq!(known.header("vary"), vary, "{path} {accept}");
            assert_eq!(known.header("content-length"), None, "{path} {accept}");
        }
    }
}

#[test]
fn files_are_sent_in_the_coding_that_the_client_likes_best() {
    let text = letters(5_000);
    let large = letters(300_000);
    let files: [(&str, &[u8]); 7] = [
        ("a.css", &text),
        ("large.css", &large),
        ("a.png", &text),
        ("tiny.css", b"a{}"),
        ("b.js", &text),
        ("b.js.zst", b"as zstd"),
        ("b.js.gz", b"as gzip"),
    ];
    let folder = folder(&files);
    let server = Server::start_in(folder.path(), &["--static", "."]);
    let mut client = server.connect();
    let mut get = |path: &str, accept: &str| {
        client.request("GET", path, &format!("Accept-Encoding: {accept}\r\n"), b"")
    };
    for (path, bytes) in [("/a.css", &text), ("/large.css", &large)] {
        let plain = get(path, "identity");
        assert_eq!(
            (plain.header("content-encoding"), plain.header("vary")),
            (None, Some("accept-encoding"))
        );
        assert!(plain.body == *bytes);
        let gzip = get(path, "gzip");
        assert_eq!(gzip.header("vary"), Some("accept-encoding"));
        assert!(gzip.body.len() < bytes.len() / 2 && decoded(&gzip) == *bytes, "{path}");
        let brotli = get(path, "gzip, br");
        assert_eq!(brotli.header("content-encoding"), Some("br"));
        let tags = [&plain, &gzip, &brotli].map(|answer| answer.header("etag").expect("a tag"));
        assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2], "{tags:?}");
        let known = format!("br\r\nIf-None-Match: {}", tags[2]);
        assert_eq!(get(path, &known).status, 304);
        let part = get(path, "br\r\nRange: bytes=0-2");
        assert_eq!((part.status, part.text()), (206, "abc"), "a range is of the file itself");
    }
    for (path, accept, body) in [
        ("/b.js", "gzip, zstd", "as zstd"),
        ("/b.js", "gzip", "as gzip"),
        ("/tiny.css", "br", "a{}"),
    ] {
        assert_eq!(get(path, accept).text(), body, "{path} {accept}");
    }
    let sibling = get("/b.js", "zstd");
    assert_eq!(sibling.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(sibling.header("content-length"), Some("7"));
    let picture = get("/a.png", "br");
    assert_eq!((picture.header("content-encoding"), picture.header("vary")), (None, None));
}

#[test]
fn a_changed_file_is_noticed() {
    let folder = folder(&[("a.css", &letters(2_000))]);
    let server = Server::start_in(folder.path(), &["--static", "."]);
    let mut client = server.connect();
    let first = client.get("/a.css");
    assert_eq!(client.get("/a.css").body, first.body);
    write(&folder.path().join("a.css"), &letters(1_999));
    let changed = std::time::Instant::now();
    while client.get("/a.css").body == first.body {
        assert!(changed.elapsed() < PATIENCE, "the change is not noticed");
    }
    assert_ne!(client.get("/a.css").header("etag"), first.header("etag"));
    fs::remove_file(folder.path().join("a.css")).expect("the file");
    while client.get("/a.css").status != 404 {
        assert!(changed.elapsed() < PATIENCE, "the removal is not noticed");
    }
}

#[test]
fn e16_a_file_that_becomes_shorter_while_it_is_sent_breaks_the_answer_off() {
    let folder = folder(&[("a.bin", &vec![7; 50 << 20])]);
    let server = Server::start_in(folder.path(), &["--static", "."]);
    let mut client = server.connect();
    client.send(b"GET /a.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read(1_000);
    let file = fs::File::options().write(true).open(folder.path().join("a.bin")).expect("a file");
    file.set_len(1_000).expect("a shorter file");
    assert!(client.read_to_end() < 50 << 20, "what is missing is not made up");
}

#[test]
fn a_route_says_how_its_files_are_served() {
    let files: [(&str, &[u8]); 9] = [
        ("docs/home/index.html", b"home"),
        ("docs/none/a.txt", b"a"),
        ("site/start.html", b"start"),
        ("site/sub/a b<.txt", b"a"),
        ("site/sub/.hidden", b"a"),
        ("spa/index.html", b"spa"),
        ("spa/app.js", b"js"),
        ("404.html", b"<p>missing"),
        ("plain/a.css", &letters(5_000)),
    ];
    let folder = folder(&files);
    let routes = r#"
        error-pages = { 404 = "404.html" }
        [[tenant.route]]
        path = "/site/*"
        static = "site"
        index = ["index.html", "start.html"]
        listing = true
        cache-control = "max-age=60"
        headers = { X-Frame-Options = "DENY" }
        [[tenant.route]]
        path = "/spa/*"
        static = "spa"
        fallback = "/index.html"
        [[tenant.route]]
        path = "/docs/*"
        static = "docs"
        fallback = "/home"
        [[tenant.route]]
        path = "/*"
        static = "docs"
        fallback = "/none"
        [[tenant.route]]
        path = "/plain/*"
        static = "plain"
        compress = false
    "#;
    fs::write(folder.path().join("myweb.toml"), tenant(routes)).expect("a file");
    let server = Server::start_in(folder.path(), &[]);
    let index = server.get("/site/");
    assert_eq!((index.text(), index.header("cache-control")), ("start", Some("max-age=60")));
    assert_eq!(index.header("x-frame-options"), Some("DENY"));
    assert_eq!(server.get("/site/sub").header("location"), Some("/site/sub/"));
    let listing = server.get("/site/sub/");
    assert_eq!(listing.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(listing.text().contains("<a href=\"./a%20b%3C.txt\">a b&lt;.txt</a>"));
    assert!(!listing.text().contains("hidden"), "{}", listing.text());
    let script = server.get("/spa/app.js");
    assert_eq!((script.text(), script.header("cache-control")), ("js", Some("max-age=0")));
    let deep = server.get("/spa/users/7");
    assert_eq!((deep.status, deep.text()), (200, "spa"));
    // A directory in place of what is not there is its index, and never an address.
    let home = server.get("/docs//evil.example");
    assert_eq!((home.status, home.text()), (200, "home"));
    assert_eq!(server.get("//evil.example").status, 404);
    let missing = server.get("/site/none");
    assert_eq!((missing.status, missing.text()), (404, "<p>missing"));
    assert_eq!(missing.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(
        (missing.header("cache-control"), missing.header("x-frame-options")),
        (None, Some("DENY"))
    );
    let json = server.request("GET", "/site/none", "Accept: application/json\r\n", b"");
    assert_eq!(json.text(), "{\"status\":404,\"error\":\"Not Found\"}\n");
    let plain = server.request("GET", "/plain/a.css", "Accept-Encoding: br\r\n", b"");
    assert_eq!((plain.header("content-encoding"), plain.body.len()), (None, 5_000));
}

#[test]
fn answers_of_apps_are_compressed_and_tagged_where_the_route_says_so() {
    let folder = folder(&[]);
    let (echo, hello) = (test_guest("echo"), guest("hello"));
    let routes = format!(
        "[[tenant.route]]\npath = \"/echo\"\napp = {echo:?}\n\
         [[tenant.route]]\npath = \"/*\"\napp = {hello:?}\netag = true\n\
         [[tenant.route]]\npath = \"/off\"\napp = {echo:?}\ncompress = false\n"
    );
    fs::write(folder.path().join("myweb.toml"), tenant(&routes)).expect("a file");
    let server = Server::start_in(folder.path(), &[]);
    let text = letters(300_000);
    for size in [5_000, 300_000] {
        let answer = server.request("POST", "/echo", "Accept-Encoding: gzip\r\n", &text[..size]);
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        let body = String::from_utf8(decoded(&answer)).expect("JSON");
        assert!(body.contains(str::from_utf8(&text[..size]).expect("letters")), "{size}");
        assert!(answer.body.len() < size / 2, "{size}");
        let off = server.request("POST", "/off", "Accept-Encoding: gzip\r\n", &text[..size]);
        assert!(off.header("content-encoding").is_none() && off.body.len() > size);
    }
    let first = server.get("/sayhello");
    let etag = first.header("etag").expect("a tag");
    let again = server.request("GET", "/sayhello", &format!("If-None-Match: {etag}\r\n"), b"");
    assert_eq!((again.status, again.body.len()), (304, 0));
    // One that would have been encoded has the headers that it had then.
    let (page, gzip) =
        (format!("/sayhello?name={}", "x".repeat(2_000)), "Accept-Encoding: gzip\r\n");
    let whole = server.request("GET", &page, gzip, b"");
    let tag = whole.header("etag").expect("a tag");
    assert_eq!(whole.header("content-encoding"), Some("gzip"), "{tag}");
    let asked = format!("{gzip}If-None-Match: {tag}\r\n");
    let again = server.request("GET", &page, &asked, b"");
    let tag_and_vary = |answer: &Answer| {
        let header = |name| answer.header(name).map(str::to_owned);
        (header("etag"), header("vary"))
    };
    assert_eq!((again.status, tag_and_vary(&again)), (304, tag_and_vary(&whole)));
    let head = server.request("HEAD", "/sayhello", "", b"");
    assert_eq!((head.header("etag"), head.header("content-length")), (Some(etag), Some("14")));
}
