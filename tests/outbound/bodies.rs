//! Bodies of requests: of the length that they declare, or the connection breaks
//! off (GHSA-r8xh, -9prg, -h4wp; RFC 9112 section 6.3).

use super::{GUESTS, HELLO, fetch, server};
use crate::support::origin::{Conversation, Origin};
use crate::support::{Server, wait_for};

/// Tells each head, and all that follows it until the app's server closes.
fn telling_all() -> Origin {
    Origin::start(|conversation: &mut Conversation| {
        while let Some(head) = conversation.head() {
            if head.starts_with("GET /after") {
                conversation.tell(&head);
                conversation.send(HELLO.as_bytes());
                continue;
            }
            let rest = conversation.rest();
            conversation.tell(&format!("{head}{rest}"));
        }
    })
}

fn upload(server: &Server, origin: &Origin, more: &str) -> String {
    let to = origin.authority();
    server.get(&format!("/fetch-upload?to={to}&method=POST{more}")).text().to_owned()
}

#[test]
fn a_body_is_sent_as_it_is_written() {
    for guest in GUESTS {
        let origin = Origin::start(|conversation| {
            while let Some(head) = conversation.head() {
                let chunked = head.contains("transfer-encoding: chunked");
                let mut body = String::new();
                let end = if chunked { "0\r\n\r\n" } else { "xxxxx" };
                while !body.ends_with(end) {
                    body.push(char::from(conversation.byte().expect("a body")));
                }
                conversation.tell(&format!("{head}{body}"));
                conversation.send(HELLO.as_bytes());
            }
        });
        let server = server(guest, &[&origin.grant()], &[]);
        let said = upload(&server, &origin, "&declared=5&sent=5");
        assert!(said.contains("hello\nwhole"), "{guest}: {said}");
        let wire = origin.told();
        assert!(wire.contains("content-length: 5\r\n") && wire.ends_with("\r\n\r\nxxxxx"));
        let said = upload(&server, &origin, "&sent=5");
        assert!(said.contains("hello\nwhole"), "{guest}: {said}");
        let wire = origin.told();
        assert!(wire.contains("transfer-encoding: chunked\r\n"), "{guest}: {wire}");
        assert!(wire.ends_with("5\r\nxxxxx\r\n0\r\n\r\n"), "{guest}: {wire}");
        // A connection can be used again a moment after its answer.
        wait_for(|| {
            let before = origin.connections();
            upload(&server, &origin, "&sent=5");
            origin.told();
            origin.connections() == before
        });
    }
}

#[test]
fn c10_a_body_of_another_length_never_leaves_the_next_request_behind_it() {
    for guest in GUESTS {
        let origin = telling_all();
        let server = server(guest, &[&origin.grant()], &["--max-outbound-time", "5s"]);
        for wrong in [
            "&declared=5&sent=3",
            "&declared=5&sent=0",
            "&declared=1000000&sent=900000",
            "&sent=5&end=drop",
            "&declared=5&sent=3&end=drop",
            "&declared=5&sent=3&end=forget",
            "&sent=5&end=forget",
        ] {
            let wall = if wrong.contains("forget") { "&first=200" } else { "" };
            let said = upload(&server, &origin, &format!("{wrong}{wall}"));
            assert!(!said.contains("hello"), "{guest} {wrong}: {said}");
            assert!(fetch(&server, &origin.authority(), "&path=/after").contains("hello"));
            // A body that broke off may be told before or after, if it was begun.
            loop {
                let wire = origin.told();
                if wire.starts_with("GET /after ") {
                    break;
                }
                let (_, body) = wire.split_once("\r\n\r\n").expect("a head");
                assert!(!body.contains("\r\n0\r\n") && body.len() < 950_000, "{guest}: {wire}");
            }
        }
        for refused in ["5,6", "%2b5", "-1", "0x5", "18446744073709551616"] {
            let said = upload(&server, &origin, &format!("&declared={refused}&sent=5"));
            assert!(!said.contains("hello"), "{guest} {refused}: {said}");
        }
    }
}

#[test]
fn what_is_beyond_the_declared_length_is_not_sent() {
    for guest in GUESTS {
        let origin = Origin::start(|conversation| {
            while let Some(head) = conversation.head() {
                if head.starts_with("POST") {
                    let _ = (0..5).map_while(|_| conversation.byte()).count();
                }
                conversation.tell(&head);
                conversation.send(HELLO.as_bytes());
            }
        });
        let server = server(guest, &[&origin.grant()], &[]);
        for _ in 0..3 {
            upload(&server, &origin, "&declared=5&sent=50");
            assert!(fetch(&server, &origin.authority(), "").contains("hello"), "{guest}");
        }
        // Nothing was taken for a request but what was one.
        let heads: Vec<String> = (0..3).map(|_| origin.told()).collect();
        assert!(heads.iter().all(|head| head.starts_with("POST /") || head.starts_with("GET /")));
    }
}

#[test]
fn a_guest_that_ends_leaves_no_body_that_looks_whole() {
    for guest in GUESTS {
        let origin = telling_all();
        let server = server(guest, &[&origin.grant()], &["--max-wall", "3s"]);
        for ms in [0, 20, 60_000] {
            let to = origin.authority();
            let target = format!("/fetch-half?to={to}&method=POST&sent=1&ms={ms}");
            assert!(server.get(&target).status >= 500, "{guest} {ms}");
        }
        // Of the others the body may not have been begun.
        let wire = origin.told();
        assert!(!wire.contains("\r\n0\r\n"), "{guest}: {wire}");
    }
}
