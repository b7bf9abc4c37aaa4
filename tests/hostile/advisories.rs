//! What was once a way to harm a host of WASI or `wasi:http` (the advisories of
//! wasmtime, as `docs/specification.md` lists them) and has no row of its own: a
//! guest does it, and it is the request's own trouble.

use super::streams::{is_clean, server, wire};
use super::{Bad, Victim, memory_of};
use crate::support::origin::Origin;
use crate::support::{Server, test_guest};

/// What the server itself may have at most for one request, beside its guest's
/// memory and stack, in KiB; and what a busy one's memory varies by.
const HELD_KIB: usize = 256 + 4_096;

/// Asks, and says by how many KiB the server's memory has grown then.
fn grown_by(server: &Server, target: &str) -> (u16, String, usize) {
    let before = memory_of(server, "VmRSS");
    let answer = server.get(target);
    (answer.status, answer.text().to_owned(), memory_of(server, "VmRSS").saturating_sub(before))
}

/// The server's own code and tables, which its first request brings into memory, are no
/// memory of the request that is measured.
fn serve_first(server: &Server) {
    assert_eq!(server.get("/host-random?bytes=1&insecure=1").text(), "2\n");
}

/// CVE-2026-27204: guests said how large the server's own buffers are.
#[test]
fn amounts_without_end_are_no_buffers() {
    let server = server("wasi_http_02", "");
    Victim::of(&server).beside(2, || {
        for kind in ["read", "blocking-read", "skip", "splice", "zeroes", "zeroes-at-once", "input"]
        {
            let (status, said, grown) = grown_by(&server, &format!("/amounts?kind={kind}"));
            let good = status == 500 || said.trim_end().parse::<u64>().is_ok_and(|n| n < 1 << 20);
            assert!(good, "{kind}: {status} {said}");
            assert!(grown < HELD_KIB, "{kind}: {grown} KiB");
        }
    });
}

/// CVE-2026-27204, for WASI 0.3, where less may come than was asked for.
#[test]
fn random_bytes_of_0_3_are_bounded() {
    let server = server("wasi_http_03", "");
    Victim::of(&server).beside(2, || {
        assert_eq!(server.get("/host-random?bytes=1024&insecure=1024").text(), "2048\n");
        for asked in [u64::MAX, 1 << 40, (1 << 20) + 1] {
            for kind in ["bytes", "insecure"] {
                let said = server.get(&format!("/host-random?{kind}={asked}"));
                let came: usize = said.text().trim_end().parse().expect("a number");
                assert!(came <= 1 << 20, "{kind} {asked}: {came}");
            }
        }
    });
}

/// GHSA-q554, CVE-2026-27204: tables of handles that no limit counted.
#[test]
fn handles_of_0_3_that_are_never_closed_end_in_a_trap() {
    let server = server("wasi_http_03", "");
    Victim::of(&server).beside(2, || {
        for kind in ["streams", "futures", "options", "tasks", "requests"] {
            let leaked = server.get(&format!("/host-leak?kind={kind}&count=100"));
            assert_eq!(leaked.text(), "100 leaked\n", "{kind}");
            let (status, said, grown) =
                grown_by(&server, &format!("/host-leak?kind={kind}&count=20000"));
            assert!(status == 500 || status == 507, "{kind}: {status} {said}");
            assert!(grown < 32 << 10, "{kind}: {grown} KiB");
        }
    });
}

/// GHSA-c9gc, GHSA-x84v: what was written at once was copied at once.
#[test]
fn a_large_write_of_0_3_stays_in_the_guest() {
    let apps = ["--app", &test_guest("wasi_http_03"), "--max-memory", "200MiB"];
    let server = Server::start(&apps);
    serve_first(&server);
    let before = memory_of(&server, "VmRSS");
    let mut client = server.connect();
    client.send(b"GET /host-one-write?mib=64 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.read_head();
    let grown = memory_of(&server, "VmRSS").saturating_sub(before);
    assert!(grown < (64 << 10) + HELD_KIB, "{grown} KiB");
    assert_eq!(client.read_chunk().first(), Some(&b'x'), "it is there when it is taken");
    drop(client);
    let (_, said, _) = grown_by(&server, "/host-to-itself?mib=32");
    assert!(said == "33554432\n" || said.is_empty() || said.contains("500"), "{said}");
    let answer = server.request("POST", "/host-room?mib=100", "", b"little");
    assert_eq!(answer.text(), "6\n");
}

/// GHSA-gqmc: what a guest printed was kept where nobody reads it.
#[test]
fn what_0_3_prints_at_once_is_cut() {
    let server = Server::start(&["--app", &test_guest("wasi_http_03"), "--max-memory", "100MiB"]);
    serve_first(&server);
    let (status, said, grown) = grown_by(&server, "/host-print?mib=32");
    assert_eq!((status, said.as_str()), (200, "0 left\n"));
    assert!(grown < (32 << 10) + HELD_KIB, "{grown} KiB, of which the guest has 32 MiB");
    server.wait_for_log("dropped");
}

/// GHSA-3r89, CVE-2026-27195: what was cancelled half-way was a panic.
#[test]
fn calls_that_are_cancelled_half_way_harm_nobody() {
    let origin = Origin::start(|conversation| {
        conversation.head();
        conversation.wait();
    });
    let route = format!("grants = {{ outbound = [{:?}] }}", origin.grant());
    let guest = test_guest("wasi_http_03");
    let server = Bad { app: &guest, at: "", limits: "", route: &route }.start();
    Victim::of(&server).beside(3, || {
        for query in ["count=1", "count=10&method=POST&sent=5", "count=10&method=POST&sent=100000"]
        {
            let target = format!("/host-cancel?to={}&{query}", origin.authority());
            assert_eq!(server.get(&target).text(), "cancelled\n", "{query}");
        }
        // The client leaves at any moment of it.
        for moment in 0..30 {
            let mut client = server.connect();
            let target = format!("/host-cancel?to={}&count=100000", origin.authority());
            client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
            std::thread::park_timeout(std::time::Duration::from_micros(moment * 97));
        }
    });
}

/// GHSA-jxcf: trailers that were handed on passed no filter.
#[test]
fn trailers_that_are_handed_on_are_filtered() {
    let server = server("wasi_http_03", "");
    Victim::of(&server).beside(2, || {
        let mut client = server.connect();
        client.send(
            b"POST /host-forward HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\n\
              Connection: TE, close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\
              x-kept: 1\r\nset-cookie: a=b\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n",
        );
        let said = String::from_utf8_lossy(&client.read_all()).into_owned();
        assert!(said.contains("body"), "{said}");
        let (_, trailers) = said.split_once("\r\n0\r\n").unwrap_or((&said, ""));
        for name in ["set-cookie", "content-length", "transfer-encoding"] {
            assert!(!trailers.contains(&format!("{name}:")), "{said}");
        }
    });
    let said = wire(&server, "POST", "/host-forward", b"body");
    assert!(said.contains("body") && is_clean(&said), "{said}");
}

/// Panics of dates and times: GHSA-w4qr and its like.
#[test]
fn waiting_without_end_is_cut_in_0_3() {
    let server = server("wasi_http_03", "wall = \"200ms\"");
    Victim::of(&server).beside(2, || {
        for target in ["/host-wait-for-ever", "/host-wait-for-ever?until=1"] {
            assert_eq!(server.get(target).status, 504, "{target}");
        }
    });
}

/// GHSA-hmmr: datagrams to addresses that were denied. No socket is for guests.
#[test]
fn there_is_nothing_to_find_in_0_3() {
    let server = server("wasi_http_03", "");
    Victim::of(&server).beside(2, || {
        assert_eq!(server.get("/host-surroundings").text(), "nothing\n");
    });
}
