//! Guests of `wasi:http` that stream what they should not: the rows that only
//! streams have, and those of whole answers again.

use super::{Bad, Victim, memory_of};
use crate::support::{Client, Server, test_guest, wait_for};

/// A server with a good tenant, and a bad one whose app streams, at `/`.
pub(super) fn server(guest: &str, limits: &str) -> Server {
    Bad { app: &test_guest(guest), at: "", limits, route: "" }.start()
}

const GUESTS: [&str; 2] = ["wasi_http_02", "wasi_http_03"];

/// All that a connection has after a request and another behind it.
pub(super) fn wire(server: &Server, method: &str, target: &str, body: &[u8]) -> String {
    let mut client = server.connect();
    let length = body.len();
    client.send(
        format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        )
        .as_bytes(),
    );
    client.send(body);
    client.send(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    String::from_utf8_lossy(&client.read_all()).into_owned()
}

/// Whether an answer was ended cleanly, or the next request was answered: what
/// broke off must do neither.
pub(super) fn is_clean(wire: &str) -> bool {
    wire.contains("\r\n0\r\n") || wire.contains("Hello, world!")
}

#[test]
fn a8_a_trap_after_the_head_never_ends_an_answer_cleanly() {
    for guest in GUESTS {
        let server = server(guest, "wall = \"1s\"");
        Victim::of(&server).beside(1, || {
            for fault in [
                "/trap-after-head",
                "/trap-at-once",
                "/exit-after-head",
                "/loop-after-head",
                "/sleep-after-head",
                "/unfinished?ms=5",
                "/dropped?ms=5",
            ] {
                let said = wire(&server, "GET", fault, b"");
                let refused = said.starts_with("HTTP/1.1 5");
                assert!(refused || !is_clean(&said), "{guest} {fault}: {said}");
            }
            let said = wire(&server, "GET", "/no-answer", b"");
            assert!(said.starts_with("HTTP/1.1 500") && is_clean(&said), "{said}");
            let said = wire(&server, "GET", "/error-answer", b"");
            assert!(said.starts_with("HTTP/1.1 500") && is_clean(&said), "{said}");
        });
    }
}

#[test]
fn b6_an_answer_that_nobody_takes_waits_in_the_guest() {
    for guest in GUESTS {
        let server = server(guest, "");
        Victim::of(&server).is_well();
        let before = memory_of(&server, "VmRSS");
        let clients: Vec<Client> = (0..16)
            .map(|_| {
                let mut client = server.connect();
                client.send(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n");
                client.read_head();
                client
            })
            .collect();
        // The guests have filled all that there is once they use no CPU.
        wait_for(|| {
            let used = cpu_ticks(&server);
            std::thread::park_timeout(std::time::Duration::from_millis(300));
            cpu_ticks(&server) <= used + 1
        });
        // Beside its memory and stack, each has at most 256 KiB here.
        let grown = memory_of(&server, "VmRSS").saturating_sub(before);
        assert!(grown < 16 * (2_048 + 256), "{guest}: {grown} KiB");
        Victim::of(&server).is_well();
        drop(clients);
    }
}

fn cpu_ticks(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    fields[11].parse::<u64>().expect("ticks") + fields[12].parse::<u64>().expect("ticks")
}

#[test]
fn b7_what_is_not_read_is_never_taken_for_a_request() {
    for guest in GUESTS {
        let server = server(guest, "");
        let hidden = b"GET /calls HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100_000);
        Victim::of(&server).beside(2, || {
            for target in ["/early", "/half?bytes=1000", "/early?", "/keep"] {
                let mut client = server.connect();
                let length = hidden.len();
                let head = format!(
                    "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
                );
                client.send(head.as_bytes());
                client.send(&hidden);
                let said = String::from_utf8_lossy(&client.read_all()).into_owned();
                assert!(said.matches("HTTP/1.1").count() <= 1, "{target}: {said}");
            }
        });
    }
}

#[test]
fn b8_statuses_of_streams_are_checked_and_bodies_kept_where_they_belong() {
    for guest in GUESTS {
        let server = server(guest, "");
        Victim::of(&server).beside(1, || {
            for ms in [0, 5] {
                for status in [0, 99, 100, 101, 103, 199, 600, 999, 1_000, 65_535] {
                    let said = wire(&server, "GET", &format!("/status?code={status}&ms={ms}"), b"");
                    let refused = said.starts_with("HTTP/1.1 502") || said.contains("refused");
                    assert!(refused, "{guest} {status}: {said}");
                }
                for status in [204, 304] {
                    let said = wire(&server, "GET", &format!("/status?code={status}&ms={ms}"), b"");
                    assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{said}");
                    assert!(!said.contains("body") && said.contains("Hello, world!"), "{said}");
                }
                let said = wire(&server, "HEAD", &format!("/status?code=200&ms={ms}"), b"");
                assert!(!said.contains("body") && said.contains("Hello, world!"), "{said}");
            }
        });
    }
}

#[test]
fn b9_headers_of_streams_cannot_split_the_answer() {
    for guest in GUESTS {
        let server = server(guest, "");
        Victim::of(&server).beside(1, || {
            for query in ["name=x&value=crlf", "name=x&value=nul", "name=space", "name=colon"] {
                let said = wire(&server, "GET", &format!("/fields?{query}"), b"");
                assert!(said.contains("refused"), "{guest} {query}: {said}");
            }
            let said = wire(&server, "GET", "/fields?name=x&value=1&times=101", b"");
            assert!(said.starts_with("HTTP/1.1 502"), "{said}");
            let said = wire(&server, "GET", "/fields?name=x&value=1&times=40000", b"");
            assert!(said.contains("refused") || said.starts_with("HTTP/1.1 5"), "{said}");
        });
    }
}

#[test]
fn b10_the_length_of_a_stream_is_what_it_says_or_it_breaks_off() {
    for guest in GUESTS {
        let server = server(guest, "");
        Victim::of(&server).beside(1, || {
            for ms in [0, 5] {
                let query = |query: &str| format!("/length?{query}&ms={ms}");
                let fine = wire(&server, "GET", &query("declared=5&sent=5"), b"");
                assert!(fine.contains("\r\n\r\nxxxxxHTTP/1.1 200"), "{guest}: {fine}");
                for wrong in [
                    "declared=5&sent=3",
                    "declared=5&sent=0",
                    "declared=5&sent=9",
                    "declared=5&sent=3&end=forget",
                    "declared=1000000&sent=900000",
                ] {
                    let said = wire(&server, "GET", &query(wrong), b"");
                    let refused = said.starts_with("HTTP/1.1 5");
                    assert!(refused || !is_clean(&said), "{guest} {wrong}: {said}");
                }
                // What is beyond an end is not sent.
                let said = wire(&server, "GET", &query("declared=0&sent=9"), b"");
                assert!(!said.contains("\r\n\r\nx"), "{guest}: {said}");
                for refused in ["5,6", "5,5", "+5", "-1", "0x5", "", "18446744073709551616"] {
                    let said = wire(&server, "GET", &query(&format!("declared={refused}")), b"");
                    let refused = said.contains("refused") || said.starts_with("HTTP/1.1 5");
                    assert!(refused, "{guest}: {said}");
                }
            }
            for name in ["connection", "keep-alive", "transfer-encoding", "upgrade", "te"] {
                let said = wire(&server, "GET", &format!("/fields?name={name}&value=x"), b"");
                let head = said.split("\r\n\r\n").next().expect("a head");
                let named =
                    head.lines().filter(|line| !line.starts_with("transfer-encoding: chunked"));
                let mut named = named.filter(|line| line.starts_with(&format!("{name}:")));
                assert_eq!(named.next(), None, "{guest}: {said}");
                assert!(said.contains("Hello, world!"), "{said}");
            }
        });
    }
}

#[test]
fn b11_trailers_that_steer_are_dropped_and_too_many_break_off() {
    for guest in GUESTS {
        let server = server(guest, "");
        Victim::of(&server).beside(1, || {
            for name in ["content-length", "set-cookie", "host", "authorization", "x-kept"] {
                let mut client = server.connect();
                let head =
                    format!("GET /trailers?name={name}&ms=5 HTTP/1.1\r\nHost: localhost\r\n");
                client.send(head.as_bytes());
                client.send(b"TE: trailers\r\nConnection: TE, close\r\n\r\n");
                let said = String::from_utf8_lossy(&client.read_all()).into_owned();
                let sent = said.contains(&format!("\r\n{name}: 1\r\n"));
                assert_eq!(sent, name == "x-kept", "{guest}: {said}");
            }
            let said = wire(&server, "GET", "/trailers?name=x&times=101&ms=5", b"");
            assert!(said.starts_with("HTTP/1.1 5") || !is_clean(&said), "{guest}: {said}");
            let said = wire(&server, "GET", "/trailers?name=x&times=100000&ms=5", b"");
            assert!(said.contains("refused") || said.starts_with("HTTP/1.1 5"), "{guest}: {said}");
        });
    }
}

#[test]
fn requests_of_guests_are_denied_however_they_are_made() {
    for guest in GUESTS {
        let server = server(guest, "");
        Victim::of(&server).beside(2, || {
            for query in ["", "&connect=0&first=0&between=0"] {
                let said = server.get(&format!("/fetch?to=127.0.0.1:1{query}"));
                assert!(said.text().contains("HttpRequestDenied"), "{guest}: {}", said.text());
            }
            assert_eq!(server.get("/fetch-long?length=100000&to=a.example").status, 200, "{guest}");
        });
        let held = server.get("/fetch-bodies");
        let held: usize = held.text().trim_end().parse().expect("bytes");
        assert!(held < 1 << 20, "{guest}: {held} bytes of bodies that nobody takes");
    }
}

/// CVE-2026-27572, GHSA-q554, GHSA-6fr9: fields and maps of them without number.
#[test]
fn b3_fields_of_requests_without_number_end_in_a_trap() {
    for guest in GUESTS {
        let server = server(guest, "");
        Victim::of(&server).beside(2, || {
            for kind in ["one", "maps"] {
                for count in [33_000, 100_000] {
                    let said = server.get(&format!("/fetch-fields?kind={kind}&count={count}"));
                    let refused = said.status == 500 || !said.text().contains("all");
                    assert!(refused, "{guest} {kind}: {} {}", said.status, said.text());
                }
            }
        });
    }
}

#[test]
fn b4_what_handles_hold_is_their_tenants_memory() {
    for guest in GUESTS {
        // Guests of 0.3 that hold what has a future go on after their answers.
        let server = server(guest, "tenant-memory = \"22MiB\"");
        let hold = |kind: &str, kib, count| {
            server.get(&format!("/fetch-hold?kind={kind}&kib={kib}&count={count}"))
        };
        // What was given back stays for a while with each thread that had it.
        Victim::of_large(&server, 64).beside(1, || {
            for kind in ["fields", "method", "authority", "path"] {
                assert_eq!(hold(kind, 8, 100).text(), "held\n", "{guest} {kind}");
                // 2,000 handles of 12 KiB are more than it may have.
                assert_eq!(hold(kind, 12, 2_000).status, 507, "{guest} {kind}");
                let long = hold(kind, 1_000, 1);
                let refused = long.status == 500 || long.text() == "refused\n";
                assert!(refused, "{guest} {kind}: {}", long.text());
            }
        });
    }
}

#[test]
fn more_in_one_write_than_there_is_room_for_is_a_trap() {
    let server = server("wasi_http_02", "");
    Victim::of(&server).beside(2, || {
        let said = wire(&server, "GET", "/over-budget", b"");
        assert!(said.starts_with("HTTP/1.1 500") || !is_clean(&said), "{said}");
    });
}
