//! Who asks: what trusted proxies say counts, and nobody else's word.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::tls::Authority;
use crate::support::{Answer, BINARY, Client, PATIENCE, Server, test_guest};

/// A server with one tenant, with more lines of its file before it.
fn server(more: &str) -> (tempfile::TempDir, Server) {
    let more = format!("listen = [\"127.0.0.1:0\"]\n{more}");
    server_in(tempfile::tempdir().expect("a folder"), &more, "")
}

fn server_in(
    folder: tempfile::TempDir,
    more: &str,
    of_tenant: &str,
) -> (tempfile::TempDir, Server) {
    let echo = test_guest("echo");
    let toml = format!(
        "{more}\n[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n{of_tenant}\n\
         [[tenant.route]]\npath = \"/*\"\napp = {echo:?}\n"
    );
    fs::write(folder.path().join("myweb.toml"), toml).expect("a file");
    let server = Server::start_at(Command::new(BINARY).current_dir(folder.path()), 1);
    (folder, server)
}

fn says(answer: &Answer, name: &str, value: &str) -> bool {
    answer.text().contains(&format!("[\"{name}\",\"{value}\"]"))
}

#[test]
fn a_trusted_proxy_names_the_client_and_its_scheme() {
    for (trusted, name, scheme) in
        [("127.0.0.0/8", "192.0.2.7", "https"), ("10.0.0.0/8", "127.0.0.1", "http")]
    {
        for (header, headers) in [
            ("forwarded", "Forwarded: for=203.0.113.1, for=192.0.2.7;proto=https\r\n"),
            (
                "x-forwarded-for",
                "Forwarded: for=203.0.113.1;proto=http\r\n\
                 X-Forwarded-For: 203.0.113.1, 192.0.2.7\r\nX-Forwarded-Proto: https\r\n",
            ),
        ] {
            let trusts = format!("trusted-proxies = [{trusted:?}]\nclient-header = {header:?}");
            let (_folder, server) = server(&trusts);
            let answer = server.request("GET", "/", headers, b"");
            assert!(says(&answer, "REMOTE_ADDR", name), "{}", answer.text());
            assert!(says(&answer, "REQUEST_SCHEME", scheme), "{}", answer.text());
        }
    }
}

#[test]
fn the_proxy_protocol_names_the_client_and_is_asked_for() {
    let (_folder, server) = server("proxy-protocol = [\"127.0.0.1\"]");
    let mut client = server.connect();
    client.send(b"PROXY TCP4 192.0.2.7 10.0.0.1 5 80\r\n");
    let answer = client.get("/");
    assert!(says(&answer, "REMOTE_ADDR", "192.0.2.7"), "{}", answer.text());
    let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    second.extend([192, 0, 2, 8, 10, 0, 0, 1, 0, 5, 0, 80]);
    let mut client = server.connect();
    client.send(&second);
    assert!(says(&client.get("/"), "REMOTE_ADDR", "192.0.2.8"));
    let mut without = server.connect();
    without.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(without.is_closed());
}

#[test]
fn nobody_elses_connections_may_begin_with_the_proxy_protocol() {
    let (_folder, server) = server("");
    let mut client = server.connect();
    client.send(b"PROXY TCP4 192.0.2.7 10.0.0.1 5 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read_answer().map(|answer| answer.status), Some(400));
}

#[test]
fn a_proxy_may_speak_for_itself_or_for_nobody() {
    let (_folder, server) = server("proxy-protocol = [\"127.0.0.1\"]");
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let unix = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8"[..], &[0; 216]].concat();
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN ::1 ::1 1 2\r\n", local, &unix] {
        let mut client = server.connect();
        client.send(header);
        assert!(says(&client.get("/"), "REMOTE_ADDR", "127.0.0.1"), "{header:?}");
    }
    // A byte at a time it is the same.
    let mut client = server.connect();
    for byte in b"PROXY TCP6 2001:db8::1 ::1 5 80\r\n" {
        client.send(&[*byte]);
    }
    assert!(says(&client.get("/"), "REMOTE_ADDR", "2001:db8::1"));
    for header in [
        &b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"[..],
        b"PROXY TCP4 1.2.3.4.5 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c123456789012",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\x7f\0\0\x01",
        &[b'P'; 5_000],
    ] {
        let mut client = server.connect();
        client.send(header);
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.read_answer().is_none(), "{header:?}");
    }
}

#[test]
fn a_header_of_the_proxy_protocol_that_does_not_arrive_is_not_waited_for() {
    let more = "proxy-protocol = [\"127.0.0.1\"]\n[limits]\nheader-time = \"500ms\"";
    let (_folder, server) = server(more);
    for part in [&b""[..], b"PROXY TCP4 192.0.2.7", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff"] {
        let began = Instant::now();
        let mut client = server.connect();
        client.send(part);
        assert!(client.is_closed(), "{part:?}");
        assert!(began.elapsed() < Duration::from_secs(3), "{part:?}: {:?}", began.elapsed());
    }
}

#[test]
fn tls_begins_behind_the_header_of_the_proxy_protocol() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    authority.certify(folder.path(), "a", &["a.example"]);
    let more = "listen = [\"https://127.0.0.1:0\"]\nproxy-protocol = [\"127.0.0.1\"]";
    let (_folder, server) = server_in(folder, more, "tls = { certificate = \"a.pem\" }");
    let mut stream = TcpStream::connect(server.address).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(b"PROXY TCP4 192.0.2.7 10.0.0.1 5 443\r\n").expect("a header");
    let mut client = Client::over(authority.over(stream, "a.example", &["http/1.1"]));
    client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let answer = client.read_answer().expect("an answer");
    assert!(says(&answer, "REMOTE_ADDR", "192.0.2.7"), "{}", answer.text());
    assert!(says(&answer, "REQUEST_SCHEME", "https"), "{}", answer.text());
}

#[test]
fn a_proxy_of_a_socket_of_the_file_system_is_named_unix() {
    let listen = "listen = [\"unix:a.sock\"]";
    for (named, first, headers, seen) in [
        ("trusted-proxies", "", "X-Forwarded-For: 203.0.113.1, 192.0.2.7\r\n", "192.0.2.7"),
        ("proxy-protocol", "PROXY TCP4 192.0.2.8 10.0.0.1 5 80\r\n", "", "192.0.2.8"),
    ] {
        let more = format!("{listen}\n{named} = [\"unix\"]");
        let (folder, _server) = server_in(tempfile::tempdir().expect("a folder"), &more, "");
        let stream = UnixStream::connect(folder.path().join("a.sock")).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut client = Client::over(stream);
        client.send(first.as_bytes());
        let answer = client.request("GET", "/", headers, b"");
        assert!(says(&answer, "REMOTE_ADDR", seen), "{named}: {}", answer.text());
    }
}
