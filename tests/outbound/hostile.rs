//! Row C11: servers that do not mean well. The guest gets an error within its
//! limit, and the connection is not used again.

use std::time::Instant;

use super::{GUESTS, HELLO, fetch, server};
use crate::support::PATIENCE;
use crate::support::origin::{Conversation, Origin};

/// The first connection does what the test says; those behind it answer.
fn first(hold: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Origin {
    Origin::start(move |conversation| {
        if conversation.number == 1 {
            conversation.head();
            hold(conversation);
            conversation.rest();
            return;
        }
        while conversation.head().is_some() {
            conversation.send(HELLO.as_bytes());
        }
    })
}

/// Whether a guest was told a code. One of 0.2 is told none of what happens
/// within a body.
fn tells(said: &str, code: &str) -> bool {
    said.contains(code) || said.contains("\nbroken: None\n")
}

/// Asks twice: what became of the first; the second is answered.
fn asked(guest: &str, origin: &Origin, time: &str) -> String {
    let server = server(guest, &[&origin.grant()], &["--max-outbound-time", time]);
    let said = fetch(&server, &origin.authority(), "");
    let next = fetch(&server, &origin.authority(), "");
    assert!(next.contains("hello\nwhole"), "{guest}: {next} after {said}");
    said
}

#[test]
fn c11_a_server_that_never_answers_is_given_up() {
    for guest in GUESTS {
        let silent = || first(|_| {});
        let begun = Instant::now();
        let said = asked(guest, &silent(), "1s");
        assert!(said.contains("ConnectionReadTimeout"), "{guest}: {said}");
        assert!(begun.elapsed() < PATIENCE / 4);
        // A guest may ask for less time, not for more.
        let origin = silent();
        let server = server(guest, &[&origin.grant()], &["--max-outbound-time", "30s"]);
        let said = fetch(&server, &origin.authority(), "&first=100");
        assert!(said.contains("ConnectionReadTimeout"), "{guest}: {said}");
        let origin = silent();
        let server = super::server(guest, &[&origin.grant()], &["--max-outbound-time", "200ms"]);
        let said = fetch(&server, &origin.authority(), "&first=50000&between=50000");
        assert!(said.contains("ConnectionReadTimeout"), "{guest}: {said}");
    }
}

#[test]
fn c11_a_server_that_drips_is_given_up_in_the_time_of_a_request() {
    for guest in GUESTS {
        let drip = |before: &'static str| {
            first(move |conversation| {
                conversation.send(before.as_bytes());
                while conversation.send(b"x") {
                    std::thread::park_timeout(std::time::Duration::from_millis(20));
                }
            })
        };
        for head in
            ["", "HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n"]
        {
            let begun = Instant::now();
            let said = asked(guest, &drip(head), "1s");
            let given_up = ["Timeout", "HttpProtocolError"].iter().any(|code| tells(&said, code));
            assert!(given_up, "{guest} {head:?}: {said}");
            assert!(begun.elapsed() < PATIENCE / 4);
        }
    }
}

#[test]
fn c11_a_pause_within_a_body_has_its_own_time() {
    for guest in GUESTS {
        let origin = first(|conversation| {
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nbegun");
        });
        let server = server(guest, &[&origin.grant()], &["--max-outbound-time", "30s"]);
        let said = fetch(&server, &origin.authority(), "&between=100");
        assert!(said.contains("begun") && tells(&said, "ConnectionReadTimeout"), "{guest}: {said}");
    }
}

#[test]
fn c11_heads_without_end_are_refused() {
    for guest in GUESTS {
        let many = |line: &'static str, end: &'static str| {
            first(move |conversation| {
                conversation.send(b"HTTP/1.1 200 OK\r\n");
                for _ in 0..100_000 {
                    if !conversation.send(line.repeat(10).as_bytes()) {
                        return;
                    }
                }
                conversation.send(end.as_bytes());
            })
        };
        for line in
            ["x: 1\r\n", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]
        {
            let said = asked(guest, &many(line, "\r\n\r\n"), "10s");
            let refused = ["HttpResponseHeaderSectionSize", "HttpProtocolError"];
            assert!(refused.iter().any(|code| said.contains(code)), "{guest}: {said}");
        }
        let informational = first(|conversation| {
            while conversation.send(&b"HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n".repeat(10)) {}
        });
        let said = asked(guest, &informational, "10s");
        assert!(said.contains("HttpProtocolError"), "{guest}: {said}");
    }
}

#[test]
fn c11_what_is_no_answer_is_an_error() {
    for guest in GUESTS {
        for (answer, said_of_it) in [
            ("", "HttpResponseIncomplete"),
            ("HTTP/1.1 200", "HttpResponseIncomplete"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "HttpProtocolError"),
            ("HTTP/1.1 99 Odd\r\n\r\n", "HttpProtocolError"),
            (
                "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
                "HttpUpgradeFailed",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
                "HttpProtocolError",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HttpProtocolError"),
            ("HTTP/1.1 200 OK\r\nX y: 1\r\n\r\n", "HttpProtocolError"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "HttpResponseIncomplete"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                "HttpResponseIncomplete",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello",
                "Http",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello",
                "Http",
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello", "Http"),
        ] {
            let origin = Origin::start(move |conversation| {
                if conversation.number > 1 {
                    while conversation.head().is_some() {
                        conversation.send(HELLO.as_bytes());
                    }
                    return;
                }
                conversation.head();
                conversation.send(answer.as_bytes());
            });
            let said = asked(guest, &origin, "5s");
            assert!(tells(&said, said_of_it), "{guest} {answer:?}: {said}");
            assert!(!said.contains("\nwhole"), "{guest} {answer:?}: {said}");
        }
    }
}

#[test]
fn c11_what_follows_an_answer_is_not_the_next_one() {
    for guest in GUESTS {
        let origin = Origin::start(|conversation| {
            let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
            while conversation.head().is_some() {
                let number = conversation.number;
                let own =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Number: {number}\r\n\r\nok");
                conversation.send(format!("{own}{forged}").as_bytes());
            }
        });
        let server = server(guest, &[&origin.grant()], &[]);
        for _ in 0..5 {
            let said = fetch(&server, &origin.authority(), "");
            assert!(said.contains("ok\nwhole") && !said.contains("forged"), "{guest}: {said}");
        }
    }
}

#[test]
fn c11_a_body_that_is_coded_stays_coded() {
    for guest in GUESTS {
        let origin = Origin::saying(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbomb",
        );
        let server = server(guest, &[&origin.grant()], &[]);
        let said = fetch(&server, &origin.authority(), "");
        assert!(
            said.contains("content-encoding: gzip\n") && said.contains("bomb\nwhole"),
            "{said}"
        );
    }
}

#[test]
fn c11_a_body_that_nobody_reads_waits_with_its_server() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    for guest in GUESTS {
        static SENT: AtomicUsize = AtomicUsize::new(0);
        SENT.store(0, SeqCst);
        let origin = Origin::start(|conversation| {
            conversation.head();
            conversation.send(b"HTTP/1.1 200 OK\r\n\r\n");
            let piece = [b'x'; 64 << 10];
            while conversation.send(&piece) {
                SENT.fetch_add(piece.len(), SeqCst);
            }
            conversation.tell("closed");
        });
        // The guest takes the head alone.
        let server = server(guest, &[&origin.grant()], &["--max-outbound-time", "1s"]);
        let said = server.get(&format!("/fetch-many?count=1&to={}", origin.authority()));
        assert_eq!(said.text(), "200\n", "{guest}");
        assert_eq!(origin.told(), "closed", "{guest}");
        // What the system keeps for a socket is up to 10 MiB.
        assert!(SENT.load(SeqCst) < 16 << 20, "{guest}: {}", SENT.load(SeqCst));
    }
}

/// Begins an answer, and tells when its connection ends.
fn begun() -> Origin {
    Origin::start(|conversation| {
        conversation.head();
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun");
        conversation.rest();
        conversation.tell("ended");
    })
}

#[test]
fn an_answer_that_its_guest_does_not_read_has_no_more_time() {
    for guest in GUESTS {
        let origin = begun();
        let limits = ["--max-outbound-time", "200ms", "--max-wall", "10m"];
        let server = server(guest, &[&origin.grant()], &limits);
        let mut client = server.connect();
        let target = format!("/fetch-unread?ms=600000&to={}", origin.authority());
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        assert_eq!(origin.told(), "ended", "{guest}");
    }
}

#[test]
fn an_answer_that_a_reused_guest_keeps_ends_with_its_request() {
    for kept in ["answer", "trailers"] {
        let origin = begun();
        let limits =
            ["--reuse", "1000", "--max-outbound-time", "10m", "--max-instance-idle", "10m"];
        let server = server(GUESTS[0], &[&origin.grant()], &limits);
        let target = format!("/fetch-unread?ms=0&kind={kept}&to={}", origin.authority());
        assert_eq!(server.get(&target).text(), "unread\n");
        assert_eq!(origin.told(), "ended", "{kept}");
    }
}
