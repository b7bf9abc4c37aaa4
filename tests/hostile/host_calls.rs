//! Rows B: what a guest asks of the server, and what it returns.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::component::{Core, reads};
use super::{Bad, Victim, ask, server};
use crate::support::{Client, Server, root, test_guest};

fn misbehave(limits: &str) -> Server {
    server(&test_guest("misbehave"), limits)
}

/// Asks for a fault, with a request to the good tenant right behind it: both get
/// the answer that is theirs.
fn with_a_marker(server: &Server, fault: &str) -> u16 {
    let mut client: Client = server.connect();
    let both = format!(
        "GET /bad{fault} HTTP/1.1\r\nHost: a\r\n\r\nGET /good/sayhello?name=marker HTTP/1.1\r\nHost: good.example\r\n\r\n"
    );
    client.send(both.as_bytes());
    let first = client.read_answer().expect("an answer");
    let second = client.read_answer().expect("an answer to the marker");
    assert_eq!(second.text(), "Hello, marker!\n", "behind {fault}");
    first.status
}

#[test]
fn b1_random_bytes_are_bounded() {
    let server = misbehave("");
    let victim = Victim::of(&server);
    for source in ["random", "insecure-random"] {
        for count in ["9223372036854775808", "67108864"] {
            let fault = format!("/bad/{source}?bytes={count}");
            victim.beside(2, || assert_eq!(server.get(&fault).status, 500, "{fault}"));
        }
        assert_eq!(server.get(&format!("/bad/{source}?bytes=1000")).text(), "1000\n");
    }
}

#[test]
fn b2_floods_of_output_are_cut_and_counted() {
    let server = misbehave("log = \"4KiB\"");
    let victim = Victim::of(&server);
    victim.beside(2, || assert_eq!(server.get("/bad/flood?lines=20000").status, 200));
    server.wait_for_log("bytes of output dropped");
    victim.beside(2, || assert_eq!(server.get("/bad/unending?kib=1000").status, 200));
    server.wait_for_log("bytes of output dropped");
    victim.beside(2, || assert_eq!(server.get("/bad/unending-for-ever").status, 504));
    assert_eq!(server.get("/bad/print?text=%1b%5b2J%0d%00%ff").status, 200);
    server.wait_for_log("guest: \\u{1b}[2J\\r\\u{0}\u{fffd}");
}

#[test]
fn b2_more_output_at_once_than_is_permitted_is_a_trap() {
    let server = misbehave("log = \"64MiB\"");
    let victim = Victim::of(&server);
    victim.beside(2, || assert_eq!(server.get("/bad/write?kib=64").text(), "written\n"));
    victim.beside(2, || assert_eq!(server.get("/bad/write?kib=1000").status, 500));
    server.wait_for_log("more was written than was permitted");
}

#[test]
fn b3_headers_without_number_are_502() {
    let server = misbehave("");
    let victim = Victim::of(&server);
    for count in [101, 33_000, 100_000] {
        let fault = format!("/bad/many-headers?count={count}");
        victim.beside(2, || {
            let status = server.get(&fault).status;
            assert!([502, 507].contains(&status), "{count}: {status}");
        });
    }
    assert_eq!(server.get("/bad/long-name?kib=1024").status, 502);
    assert_eq!(server.get("/bad/long-value?kib=1024").status, 502);
    assert_eq!(server.get("/bad/long-value?kib=100").status, 200);
    assert_eq!(server.get("/bad/header?name=x-empty&value=").header("x-empty"), Some(""));
}

#[test]
fn b4_handles_that_are_never_closed_end_in_a_trap() {
    let server = misbehave("");
    Victim::of(&server).beside(2, || assert_eq!(server.get("/bad/leak").status, 500));
}

#[test]
fn b5_waiting_ends_with_the_limit() {
    let server = misbehave("wall = \"300ms\"");
    let victim = Victim::of(&server);
    victim.beside(4, || assert_eq!(server.get("/bad/wait-for-ever").status, 504));
    victim.beside(2, || assert_eq!(server.get("/bad/poll-nothing").status, 500));
    victim.beside(2, || assert_eq!(server.get("/bad/poll-many").status, 500));
}

#[test]
fn b8_statuses_are_checked_and_bodies_kept_where_they_belong() {
    let server = misbehave("");
    Victim::of(&server).beside(1, || {
        for (code, status) in [
            (0, 502),
            (99, 502),
            (100, 502),
            (101, 502),
            (199, 502),
            (600, 502),
            (999, 502),
            (65_535, 502),
            (200, 200),
            (204, 204),
            (205, 205),
            (304, 304),
            (404, 404),
            (599, 599),
        ] {
            assert_eq!(with_a_marker(&server, &format!("/status?code={code}")), status, "{code}");
        }
        let mut client = server.connect();
        let head = client.request("HEAD", "/bad/status?code=200", "", b"");
        assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
        let next = ask(&mut client, "good.example", "/good/sayhello");
        assert_eq!(next.text(), "Hello, world!\n", "no body came before it");
    });
}

#[test]
fn b9_headers_cannot_split_the_answer() {
    let server = misbehave("");
    Victim::of(&server).beside(1, || {
        for header in [
            "name=x&value=a%0d%0ab:%20c",
            "name=x&value=a%0ab",
            "name=x&value=a%00b",
            "name=x&value=a%0d%0a%0d%0ab",
            "name=x&value=a%0d%0a%20folded",
            "name=x%20y&value=a",
            "name=x:&value=a",
            "name=:status&value=200",
            "name=x%0d%0ay&value=a",
            "name=&value=a",
        ] {
            assert_eq!(with_a_marker(&server, &format!("/header?{header}")), 502, "{header}");
        }
    });
}

#[test]
fn b10_the_connection_is_the_servers() {
    let server = misbehave("");
    Victim::of(&server).beside(1, || {
        for (header, status) in [
            ("name=Transfer-Encoding&value=chunked", 200),
            ("name=Connection&value=close", 200),
            ("name=Keep-Alive&value=timeout%3d1", 200),
            ("name=Upgrade&value=h2c", 200),
            ("name=TE&value=trailers", 200),
            ("name=Trailer&value=x", 200),
            ("name=Proxy-Connection&value=close", 200),
            ("name=Content-Length&value=3", 200),
            ("name=Content-Length&value=2", 502),
            ("name=Content-Length&value=4", 502),
            ("name=Content-Length&value=3,3", 502),
            ("name=Date&value=never", 200),
            ("name=Server&value=mine", 200),
        ] {
            assert_eq!(with_a_marker(&server, &format!("/header?{header}")), status, "{header}");
        }
        for name in [
            "transfer-encoding",
            "connection",
            "keep-alive",
            "upgrade",
            "te",
            "trailer",
            "proxy-connection",
        ] {
            let answer = server.get(&format!("/bad/header?name={name}&value=x"));
            assert_eq!((answer.status, answer.header(name)), (200, None), "{name}");
        }
    });
}

#[test]
fn b13_there_is_nothing_to_find() {
    let (app, files) = (test_guest("misbehave"), root().join("guests/show_pic"));
    let route = format!("grants = {{ files = {files:?} }}");
    let server = Bad { app: &app, at: "/bad", limits: "", route: &route }.start();
    Victim::of(&server).beside(1, || {
        assert_eq!(server.get("/bad/surroundings").text(), "nothing\n");
        for path in [
            "..",
            "../..",
            "/etc/passwd",
            "../hello/Cargo.toml",
            "./pic.jpg/",
            "pic.jpg/",
            "src/../../hello",
            "",
        ] {
            let path = path.replace('/', "%2f");
            assert_eq!(server.get(&format!("/bad/read?path={path}")).status, 404, "{path}");
            assert_eq!(server.get(&format!("/bad/file?path={path}")).status, 502, "{path}");
        }
    });
}

#[test]
fn b14_values_that_are_none_are_refused() {
    // Status, then pointer and length of the headers; then the body's case,
    // pointer and length.
    for (name, answer, statuses) in [
        (
            "b14-list-outside",
            r"\c8\00\00\00\00\08\00\00\40\42\0f\00\00\00\00\00\00\08\00\00\03\00\00\00",
            [500, 502],
        ),
        (
            "b14-body-of-4gib",
            r"\c8\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\08\00\00\ff\ff\ff\ff",
            [500, 502],
        ),
        (
            "b14-no-such-case",
            r"\c8\00\00\00\00\00\00\00\00\00\00\00\07\00\00\00\00\08\00\00\03\00\00\00",
            [500, 502],
        ),
        (
            "b14-name-no-utf8",
            r"\c8\00\00\00\10\04\00\00\01\00\00\00\00\00\00\00\00\08\00\00\03\00\00\00",
            [500, 502],
        ),
        (
            "b14-misaligned",
            r"\c8\00\00\00\01\08\00\00\01\00\00\00\00\00\00\00\00\08\00\00\03\00\00\00",
            [500, 502],
        ),
    ] {
        let server = server(&Core { answer, ..Core::default() }.build(name), "");
        Victim::of(&server).beside(2, || {
            let status = server.get("/bad").status;
            assert!(statuses.contains(&status), "{name}: {status}");
        });
    }
    for (name, answer) in [
        // The pointer of the name is odd; then the name is half a pair.
        (
            "b14-utf16-misaligned",
            r"\c8\00\00\00\10\04\00\00\01\00\00\00\00\00\00\00\01\08\00\00\01\00\00\00",
        ),
        (
            "b14-utf16-surrogate",
            r"\c8\00\00\00\10\04\00\00\01\00\00\00\00\00\00\00\18\04\00\00\01\00\00\00\00\d8",
        ),
    ] {
        for strings in ["utf16", "latin1+utf16"] {
            let server = server(&Core { answer, strings, ..Core::default() }.build(name), "");
            Victim::of(&server).beside(2, || {
                let status = server.get("/bad").status;
                assert!([500, 502].contains(&status), "{name}: {status}");
            });
        }
    }
    for (name, realloc) in
        [("b14-realloc-outside", "(i32.const 0x7ffffff0)"), ("b14-realloc-odd", "(i32.const 2049)")]
    {
        let server = server(&Core { realloc, ..Core::default() }.build(name), "");
        Victim::of(&server).beside(2, || assert_eq!(server.get("/bad").status, 500, "{name}"));
    }
    let misaligned = Core { application: "(return (i32.const 1025))", ..Core::default() };
    let server = server(&misaligned.build("b14-answer"), "");
    Victim::of(&server).beside(2, || assert_eq!(server.get("/bad").status, 500));
}

/// What a call gives a guest is held while the guest makes room for it, which it
/// never does here.
#[test]
fn a5_what_a_call_gives_is_its_tenants_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("big"), vec![b'x'; 4 << 20]).expect("a file");
    let app = reads("(loop (br 0)) unreachable").build("a5-takes-nothing");
    let route = format!("grants = {{ files = {:?} }}", folder.path());
    // There is room for one at the same time.
    let limits = "tenant-memory = \"8MiB\"";
    let server = Bad { app: &app, at: "/bad", limits, route: &route }.start();
    let refused = AtomicUsize::new(0);
    Victim::of_large(&server, 2).beside(8, || {
        let status = server.get("/bad").status;
        assert!([504, 507].contains(&status), "{status}");
        refused.fetch_add(usize::from(status == 507), Relaxed);
    });
    assert!(refused.into_inner() > 0, "the others got as much");
}
