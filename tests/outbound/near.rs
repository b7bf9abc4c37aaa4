//! Calls between apps of one tenant: `http://NAME.internal/`, without a socket.

use super::GUESTS;
use crate::support::origin::Origin;
use crate::support::{Client, Server, guest, test_guest};

/// A route: its path, name, app, and what it may reach.
fn route(path: &str, name: &str, app: &str, granted: &str) -> String {
    format!(
        "[[tenant.route]]\npath = \"{path}\"\nname = \"{name}\"\napp = \"{app}\"\n\
         grants = {{ outbound = [{granted}] }}\n"
    )
}

fn tenant(name: &str, more: &str) -> String {
    format!("[[tenant]]\nname = \"{name}\"\nhosts = [\"{name}\"]\n{more}\n")
}

fn fetch(client: &mut Client, host: &str, target: &str) -> String {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
    client.read_answer().expect("an answer").text().to_owned()
}

#[test]
fn an_app_calls_another_of_its_tenant_and_no_other() {
    for version in GUESTS {
        let app = test_guest(version);
        let granted =
            "\"http://hello.internal\", \"http://echo.internal\", \"http://gone.internal\"";
        let toml = tenant("one", "")
            + &route("/ask/*", "asking", &app, granted)
            + &route("/greet/*", "hello", &guest("hello"), "")
            + &route("/streams/*", "echo", &test_guest("wasi_http_02"), "")
            + &tenant("two", "")
            + &route("/*", "asking", &app, granted)
            + &route("/secret", "gone", &guest("hello"), "");
        // The guests do not know where they are mounted.
        let toml = toml.replace("/ask/*", "/*");
        let folder = crate::config::folder(&toml);
        let server = Server::start_in(folder.path(), &[]);
        let mut client = server.connect();
        let said = fetch(&mut client, "one", "/fetch?to=hello.internal&path=/sayhello%3Fname=Ada");
        assert!(said.starts_with("200\n") && said.ends_with("Hello, Ada!\n\nwhole\n"), "{said}");
        assert!(said.contains("content-length: 12\n"), "{version}: {said}");
        let seen = "/fetch?to=echo.internal&path=/seen%3Fx&header=x-own:7";
        let said = fetch(&mut client, "one", seen);
        for line in ["Get", "Http", "\"echo.internal\"", "/seen?x", "x-own: 7", "whole"] {
            assert!(said.contains(line), "{version}: {line} is not in {said}");
        }
        let upload = "/fetch-upload?to=echo.internal&path=/count&method=POST&sent=100000";
        assert!(fetch(&mut client, "one", upload).contains("100000 whole"), "{version}");
        let cut = format!("{upload}&declared=100001&first=300");
        assert!(!fetch(&mut client, "one", &cut).contains("whole\n\nwhole"), "{version}");
        // Errors of the other are answers.
        let said = fetch(&mut client, "one", "/fetch?to=hello.internal&path=/nothing");
        assert!(said.starts_with("404\n"), "{version}: {said}");
        let said = fetch(&mut client, "one", "/fetch?to=echo.internal&path=/no-answer");
        assert!(said.starts_with("500\n"), "{version}: {said}");
        // Neither another tenant's, nor what was not granted, nor over TLS.
        let said = fetch(&mut client, "one", "/fetch?to=gone.internal&path=/secret");
        assert!(said.contains("DestinationNotFound"), "{version}: {said}");
        for to in ["asking.internal", "HELLO.internal:81", "x.hello.internal"] {
            let said = fetch(&mut client, "one", &format!("/fetch?to={to}"));
            assert!(said.contains("HttpRequestDenied"), "{version} {to}: {said}");
        }
        let said = fetch(&mut client, "one", "/fetch?to=hello.internal&scheme=https");
        assert!(said.contains("HttpRequestDenied"), "{version}: {said}");
        let said = fetch(&mut client, "two", "/fetch?to=hello.internal&path=/sayhello");
        assert!(said.contains("DestinationNotFound"), "{version}: {said}");
    }
}

#[test]
fn calls_that_go_round_end() {
    for version in GUESTS {
        let app = test_guest(version);
        let own = "\"http://self.internal\"";
        let toml = tenant("one", "") + &route("/*", "self", &app, own);
        let folder = crate::config::folder(&toml);
        let server = Server::start_in(folder.path(), &[]);
        // Each call asks for the next one.
        let mut target = "/hello".to_owned();
        for depth in 0..10 {
            let said = fetch(&mut server.connect(), "one", &target);
            match depth {
                0..=8 => assert!(said.contains("Hello, world!"), "{version} {depth}: {said}"),
                _ => assert!(said.contains("LoopDetected"), "{version} {depth}: {said}"),
            }
            let inner = target.replace('%', "%25").replace('&', "%26").replace('?', "%3F");
            let inner = inner.replace('=', "%3D");
            target = format!("/fetch?to=self.internal&path={inner}");
        }
    }
}

#[test]
fn the_tenants_limits_hold_for_calls_and_the_callee_ends_with_its_caller() {
    for version in GUESTS {
        let app = test_guest(version);
        let limits = "limits = { concurrency = 1, queue = 0 }";
        let own = "\"http://self.internal\"";
        let toml = tenant("one", limits) + &route("/*", "self", &app, own);
        let folder = crate::config::folder(&toml);
        let server = Server::start_in(folder.path(), &[]);
        let said = fetch(&mut server.connect(), "one", "/fetch?to=self.internal&path=/hello");
        assert!(said.starts_with("503\n"), "{version}: {said}");
        // The callee asks a server that says nothing: once that was asked, both run.
        let origin = Origin::start(|conversation| {
            let head = conversation.head().unwrap_or_default();
            conversation.tell(&head);
            conversation.rest();
            conversation.tell("it has left");
        });
        let granted = format!("{own}, {:?}", origin.grant());
        let toml = tenant("one", "limits = { concurrency = 2, queue = 0 }")
            + &route("/*", "self", &app, &granted);
        let folder = crate::config::folder(&toml);
        let server = Server::start_in(folder.path(), &[]);
        let asks = format!("/fetch?to=self.internal&path=/fetch%3Fto%3D{}", origin.authority());
        let mut client = server.connect();
        client.send(format!("GET {asks} HTTP/1.1\r\nHost: one\r\n\r\n").as_bytes());
        let status = || {
            let mut client = server.connect();
            client.send(b"GET /hello HTTP/1.1\r\nHost: one\r\n\r\n");
            client.read_answer().expect("an answer").status
        };
        assert!(origin.told().starts_with("GET / "), "{version}");
        assert_eq!(status(), 503, "{version}");
        drop(client);
        assert_eq!(origin.told(), "it has left", "{version}");
        crate::support::wait_for(|| (0..3).all(|_| status() == 200));
    }
}

#[test]
fn names_are_one_to_an_app() {
    let app = guest("hello");
    let toml = tenant("one", "")
        + &route("/a", "same", &app, "")
        + &route("/b", "same", &app, "")
        + &route("/c", "No Name", &app, "");
    let folder = crate::config::folder(&toml);
    let (code, said) = crate::support::run(folder.path(), &["check"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is called \"same\" too; rename one"), "{said}");
    assert!(said.contains("a name has 1 to 63 letters in lower case"), "{said}");
}
