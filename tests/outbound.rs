//! Requests of apps to other servers: only where they were granted, and checked
//! at the address that is dialled.

mod addresses;
mod bodies;
mod fair;
mod hostile;
mod near;
mod secure;

use std::fs;

use crate::support::origin::Origin;
use crate::support::{Server, test_guest};

/// One guest a version; they ask alike.
const GUESTS: [&str; 2] = ["wasi_http_02", "wasi_http_03"];

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kept: 1\r\n\r\nhello";

/// A server whose app may reach these origins.
fn server(guest: &str, granted: &[&str], more: &[&str]) -> Server {
    let app = test_guest(guest);
    let granted = granted.iter().flat_map(|origin| ["--outbound", origin]);
    let arguments: Vec<&str> = ["--app", &app].into_iter().chain(granted).collect();
    Server::start(&[&arguments, more].concat())
}

/// What a guest says of a request to an authority.
fn fetch(server: &Server, to: &str, more: &str) -> String {
    server.get(&format!("/fetch?to={to}{more}")).text().to_owned()
}

#[test]
fn an_app_reaches_the_origins_that_it_was_granted() {
    for guest in GUESTS {
        let origin = Origin::saying(HELLO);
        let server = server(guest, &[&origin.grant()], &[]);
        let to = origin.authority();
        let said = fetch(&server, &to, "&path=/a%2520b%3Fq%3D1&header=x-own:7");
        assert!(said.starts_with("200\n") && said.ends_with("hello\nwhole\n"), "{guest}: {said}");
        assert!(said.contains("x-kept: 1\n") && said.contains("content-length: 5\n"), "{said}");
        let head = origin.told();
        assert!(head.starts_with("GET /a%20b?q=1 HTTP/1.1\r\n"), "{guest}: {head}");
        assert!(head.contains(&format!("host: {to}\r\n")) && head.contains("x-own: 7\r\n"));
        assert_eq!(head.matches("host:").count(), 1, "{head}");
    }
}

#[test]
fn nothing_is_granted_by_default_and_the_log_tells_the_mend() {
    for guest in GUESTS {
        let origin = Origin::saying(HELLO);
        for granted in [&[][..], &["http://127.0.0.1:1", "https://127.0.0.1", "127.0.0.0/8"]] {
            let server = server(guest, granted, &[]);
            let said = fetch(&server, &origin.authority(), "");
            assert!(said.contains("HttpRequestDenied"), "{guest}: {said}");
            server.wait_for_log("was refused: not granted; add its origin to");
        }
        assert_eq!(origin.connections(), 0);
    }
}

#[test]
fn what_was_granted_ends_when_the_file_is_loaded_without_it() {
    for guest in GUESTS {
        let origin = Origin::saying(HELLO);
        let app = test_guest(guest);
        let toml = |grants: &str| {
            format!(
                "[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n[[tenant.route]]\npath = \"/*\"\n\
                 app = \"{app}\"\nreuse = 1000\ngrants = {{ keyvalue = [\"visits\"]{grants} }}\n"
            )
        };
        let folder = crate::config::folder(&toml(&format!(", outbound = [{:?}]", origin.grant())));
        let server = Server::start_in(folder.path(), &[]);
        assert_eq!(server.get("/visits").text(), "visit 1, 2 keys\n", "{guest}");
        assert!(fetch(&server, &origin.authority(), "").contains("hello"), "{guest}");
        fs::write(folder.path().join("myweb.toml"), toml("")).expect("a file");
        server.signal("HUP");
        server.wait_for_log("reloaded");
        assert!(fetch(&server, &origin.authority(), "").contains("HttpRequestDenied"), "{guest}");
        assert_eq!(server.get("/visits").text(), "visit 2, 2 keys\n", "{guest}");
    }
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    for guest in GUESTS {
        let origin = Origin::saying(HELLO);
        let server = server(guest, &[&origin.grant()], &[]);
        for _ in 0..10 {
            assert!(fetch(&server, &origin.authority(), "").contains("hello"), "{guest}");
        }
        // A request that comes before the connection is back makes another.
        assert!(origin.connections() < 10, "{guest}");
    }
}

#[test]
fn a_kept_connection_that_was_closed_costs_no_request() {
    for guest in GUESTS {
        // It promises to go on, and closes, or resets the connection.
        for end in ["after its answer", "after the next request", "at the next request"] {
            let origin = Origin::start(move |conversation| {
                conversation.head();
                conversation.send(HELLO.as_bytes());
                match end {
                    "after the next request" => drop(conversation.head()),
                    "at the next request" => conversation.wait(),
                    _ => {}
                }
            });
            let server = server(guest, &[&origin.grant()], &[]);
            for _ in 0..5 {
                let said = fetch(&server, &origin.authority(), "");
                assert!(said.contains("hello\nwhole"), "{guest} {end}: {said}");
            }
        }
    }
}

#[test]
fn tenants_never_share_a_connection() {
    let origin = Origin::saying(HELLO);
    let app = test_guest("wasi_http_02");
    let tenant = |name: &str, granted: &str| {
        format!(
            "[[tenant]]\nname = \"{name}\"\nhosts = [\"{name}\"]\n\
             [[tenant.route]]\npath = \"/*\"\napp = \"{app}\"\n\
             grants = {{ outbound = [\"{granted}\"] }}\n"
        )
    };
    let toml = tenant("one", &origin.grant())
        + &tenant("two", &origin.grant())
        + &tenant("three", "http://a.example");
    let folder = crate::config::folder(&toml);
    let server = Server::start_in(folder.path(), &[]);
    let mut client = server.connect();
    let mut fetch = |host: &str| {
        let target = format!("/fetch?to={}", origin.authority());
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        client.read_answer().expect("an answer").text().to_owned()
    };
    for _ in 0..3 {
        assert!(fetch("one").contains("hello"));
        assert!(fetch("two").contains("hello"));
        assert!(fetch("three").contains("HttpRequestDenied"));
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn requests_are_counted_and_so_many_run_at_the_same_time() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    static RUNNING: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let origin = Origin::start(|conversation| {
        while conversation.head().is_some() {
            let running = RUNNING[0].fetch_add(1, SeqCst) + 1;
            RUNNING[1].fetch_max(running, SeqCst);
            std::thread::park_timeout(std::time::Duration::from_millis(20));
            RUNNING[0].fetch_sub(1, SeqCst);
            conversation.send(HELLO.as_bytes());
        }
    });
    for guest in GUESTS {
        let limits = ["--max-outbound", "9", "--max-outbound-concurrency", "3"];
        let server = server(guest, &[&origin.grant()], &limits);
        let said = server.get(&format!("/fetch-many?count=12&to={}", origin.authority()));
        let (said, refused) = (said.text(), "ConnectionLimitReached");
        assert_eq!((said.matches("200").count(), said.matches(refused).count()), (9, 3), "{said}");
    }
    assert!(RUNNING[1].load(SeqCst) <= 3, "at the same time");
}

/// A guest that takes the answers in that order would wait for one that waits for it.
#[test]
fn requests_go_in_the_order_in_which_they_were_begun() {
    let origin = Origin::saying(HELLO);
    let server = server(GUESTS[0], &[&origin.grant()], &["--max-outbound-concurrency", "1"]);
    for _ in 0..20 {
        let said = server.get(&format!("/fetch-many?count=12&to={}", origin.authority()));
        assert_eq!(said.text(), "200\n".repeat(12));
    }
}

#[test]
fn a_client_that_leaves_takes_its_apps_requests_with_it() {
    for guest in GUESTS {
        let origin = Origin::start(|conversation| {
            let head = conversation.head().expect("a request");
            conversation.tell(&head);
            conversation.rest();
            conversation.tell("closed");
        });
        let server = server(guest, &[&origin.grant()], &[]);
        let mut client = server.connect();
        let target = format!("/fetch?to={}", origin.authority());
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        assert!(origin.told().starts_with("GET / "), "{guest}");
        drop(client);
        assert_eq!(origin.told(), "closed", "{guest}");
    }
}
