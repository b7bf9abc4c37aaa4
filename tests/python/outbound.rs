//! Requests of Python's libraries to other servers: each is a client of HTTP as
//! its authors wrote it, over sockets that the adapter stands in for.

use std::fs;

use serde_json::{Value, json};

use super::json as read;
use crate::support::origin::Origin;
use crate::support::scripts::component;
use crate::support::tls::Authority;
use crate::support::{Server, guest, nobodys_address};

/// What apps ask others with.
const CLIENTS: [&str; 4] = ["urllib", "http", "requests", "httpx"];
const HELLO: &str = "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX-Kept: 1\r\n\r\nhello";

/// The app, which may reach these origins.
fn server(granted: &[&str], more: &[&str]) -> Option<Server> {
    let app = component(&["--wsgi", "outbound/app:app"], "outbound")?;
    let granted = granted.iter().flat_map(|origin| ["--outbound", origin]);
    let arguments: Vec<&str> = ["--app", &app].into_iter().chain(granted).collect();
    let empty = tempfile::tempdir().expect("a folder");
    Some(Server::start_in(empty.path(), &[&arguments, more].concat()))
}

fn ask(server: &Server, client: &str, url: &str) -> Value {
    read(&server.get(&format!("/with_{client}?url={url}")))
}

#[test]
fn every_client_reaches_the_origins_that_are_granted_and_no_other() {
    let origin = Origin::saying(HELLO);
    let Some(server) = server(&[&origin.grant()], &[]) else { return };
    let url = format!("{}/a", origin.grant());
    for client in CLIENTS {
        assert_eq!(ask(&server, client, &url), json!([201, "1", "hello"]), "{client}");
        let head = origin.told();
        assert!(head.starts_with("GET /a HTTP/1.1\r\n"), "{client}: {head}");
        assert!(head.contains(&format!("host: {}\r\n", origin.authority())), "{client}: {head}");
        assert!(head.contains("x-own: 7\r\n"), "{client}: {head}");
        for other in ["http://127.0.0.1:1", "https://127.0.0.1:1", "http://example.com"] {
            let said = ask(&server, client, other);
            let sentence = format!("{other} is not granted to this app: add it with --outbound");
            let told = said[1].as_str().unwrap_or_default();
            assert!(told.contains(&sentence), "{client}: {said}");
        }
    }
    assert_eq!(origin.connections(), 1, "it is kept");
    // What an app forgets is no hindrance to its next request.
    for _ in 0..2 {
        let forgets = format!("/left_open?url={url}");
        assert_eq!(read(&server.get(&forgets))[0], 201);
    }
}

#[test]
fn bodies_are_sent_whole_and_in_chunks() {
    let origin = Origin::start(|conversation| {
        while let Some(head) = conversation.head() {
            let is_chunked = head.contains("transfer-encoding: chunked");
            let end = if is_chunked { "0\r\n\r\n" } else { "abcdef" };
            let mut body = String::new();
            while !body.ends_with(end) {
                body.extend(conversation.byte().map(char::from));
            }
            let sent = body.contains("abcdef") || body.contains("ab") && body.contains("cdef");
            let answer = if sent { HELLO } else { "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n" };
            if !conversation.send(answer.as_bytes()) {
                return;
            }
        }
    });
    let Some(server) = server(&[&origin.grant()], &[]) else { return };
    for client in CLIENTS {
        let said = ask(&server, client, &format!("{}/&body=abcdef", origin.grant()));
        assert_eq!(said, json!([201, "1", "hello"]), "{client}");
    }
}

#[test]
fn what_fails_is_an_exception_of_the_library() {
    let silent = Origin::start(|conversation| {
        conversation.head();
        conversation.rest();
    });
    let short =
        Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\nhello");
    let nobody = format!("http://{}", nobodys_address());
    let granted = [&silent.grant(), &short.grant(), &nobody];
    let more = ["--max-outbound-time", "1s"];
    let Some(server) = server(&granted.map(String::as_str), &more) else { return };
    for client in CLIENTS {
        let refused = ask(&server, client, &nobody);
        let told = refused[1].as_str().unwrap_or_default();
        assert!(told.contains("refused the connection"), "{client}: {refused}");
        let late = ask(&server, client, &silent.grant());
        assert!(late[1].as_str().unwrap_or_default().contains("in time"), "{client}: {late}");
        let cut = ask(&server, client, &short.grant());
        assert!(cut[0].is_string(), "{client}: {cut}");
    }
}

#[test]
fn requests_over_tls_reach_whom_the_server_trusts_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    authority.certify(folder.path(), "server", &["localhost"]);
    fs::write(folder.path().join("ca.pem"), authority.pem()).expect("a file");
    let [ca, pem] = ["ca.pem", "server.pem"].map(|name| folder.path().join(name));
    let [ca, pem] = [ca, pem].map(|path| path.display().to_string());
    let secure = Server::start(&["--app", &guest("hello"), "--tls", &format!("{pem},{pem}")]);
    let origin = format!("https://localhost:{}", secure.address.port());
    let granted = [origin.as_str(), "127.0.0.0/8"];
    let Some(trusting) = server(&granted, &["--outbound-ca", &ca]) else { return };
    let Some(doubting) = server(&granted, &[]) else { return };
    for client in CLIENTS {
        let said = ask(&trusting, client, &format!("{origin}/sayhello"));
        assert_eq!(said, json!([200, null, "Hello, world!\n"]), "{client}");
        let said = ask(&doubting, client, &format!("{origin}/sayhello"));
        let told = said[1].as_str().unwrap_or_default();
        assert!(told.contains(&format!("the certificate of {origin} is not trusted")), "{said}");
    }
}
