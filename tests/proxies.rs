//! Who asks: what trusted proxies say counts, and nobody else's word.

use std::fs;

use crate::support::{Answer, Server, test_guest};

fn server(more: &str) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = test_guest("echo");
    let toml = format!(
        "{more}\n[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n\
         [[tenant.route]]\npath = \"/*\"\napp = {echo:?}\n"
    );
    fs::write(folder.path().join("myweb.toml"), toml).expect("a file");
    let server = Server::start_in(folder.path(), &[]);
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
        let (_folder, server) = server(&format!("trusted-proxies = [{trusted:?}]"));
        let headers = "Forwarded: for=203.0.113.1, for=192.0.2.7;proto=https\r\n";
        let answer = server.request("GET", "/", headers, b"");
        assert!(says(&answer, "REMOTE_ADDR", name), "{}", answer.text());
        assert!(says(&answer, "REQUEST_SCHEME", scheme), "{}", answer.text());
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
