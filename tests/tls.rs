//! TLS: certificates by host, and what is said to clients with and without.

mod handshakes;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::http2::curl;
use crate::support::{PATIENCE, Server, guest, run};

/// A certificate authority and certificates of hosts, made by openssl.
fn authority(folder: &Path, hosts: &[&str]) {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(folder).output();
        let output = output.expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let ca =
        ["req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test", "-days", "2"];
    openssl(&[&ca[..], &key].concat());
    for host in hosts {
        let (name, pem) = (format!("{host}.key"), format!("{host}.pem"));
        let subject = format!("/CN={host}");
        let names = format!("subjectAltName=DNS:{host}");
        let request = ["req", "-x509", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2"];
        let of_host = ["-keyout", &name, "-out", &pem, "-subj", &subject, "-addext", &names];
        openssl(&[&request[..], &of_host, &key].concat());
    }
}

fn toml(tenants: &[(&str, &str)]) -> String {
    let hello = guest("hello");
    let tenant = |(host, more): &(&str, &str)| {
        format!(
            "[[tenant]]\nname = \"{host}\"\nhosts = [\"{host}\"]\n\
             tls = {{ certificate = \"{host}.pem\", key = \"{host}.key\" {more} }}\n\
             limits = {{ concurrency = 10 }}\n\
             [[tenant.route]]\npath = \"/*\"\napp = {hello:?}\n"
        )
    };
    tenants.iter().map(tenant).collect()
}

/// What curl prints for a host of the server, with the CA of the folder.
fn get(server: &Server, folder: &Path, host: &str, more: &[&str]) -> String {
    let connect = format!("::127.0.0.1:{}", server.address.port());
    let ca = folder.join("ca.pem").display().to_string();
    let url = format!("https://{host}/sayhello");
    curl(&[&["--connect-to", &connect, "--cacert", &ca, &url], more].concat())
}

#[test]
fn each_host_has_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    authority(folder.path(), &["a.example", "b.example"]);
    let hsts = ", hsts = \"max-age=60\"";
    fs::write(folder.path().join("myweb.toml"), toml(&[("a.example", hsts), ("b.example", "")]))
        .expect("a file");
    let server = Server::start_in(folder.path(), &["--addr", "https://127.0.0.1:0"]);
    for host in ["a.example", "b.example"] {
        for version in ["--http1.1", "--http2", "--tlsv1.3"] {
            assert_eq!(get(&server, folder.path(), host, &[version]), "Hello, world!\n", "{host}");
        }
        let old = get(&server, folder.path(), host, &["--tls-max", "1.2"]);
        assert_eq!(old, "Hello, world!\n");
    }
    assert!(get(&server, folder.path(), "c.example", &[]).contains("alert"));
    let older = get(&server, folder.path(), "a.example", &["--tls-max", "1.1"]);
    assert!(!older.contains("Hello"), "{older}");
    let head = get(&server, folder.path(), "a.example", &["--include"]);
    assert!(head.contains("strict-transport-security: max-age=60"), "{head}");
    let head = get(&server, folder.path(), "b.example", &["--include"]);
    assert!(!head.contains("strict-transport-security"), "{head}");
}

#[test]
fn c3_a_connection_to_one_tenant_does_not_reach_another() {
    let folder = tempfile::tempdir().expect("a folder");
    authority(folder.path(), &["a.example", "b.example"]);
    fs::write(folder.path().join("myweb.toml"), toml(&[("a.example", ""), ("b.example", "")]))
        .expect("a file");
    let server = Server::start_in(folder.path(), &["--addr", "https://127.0.0.1:0"]);
    let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    for version in ["--http1.1", "--http2"] {
        let other = ["--header", "Host: b.example", version];
        let printed = get(&server, folder.path(), "a.example", &[&other[..], &status].concat());
        assert_eq!(printed, "421", "{version}");
    }
}

#[test]
fn a_renewed_certificate_is_taken_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    authority(folder.path(), &["a.example"]);
    fs::write(folder.path().join("myweb.toml"), toml(&[("a.example", "")])).expect("a file");
    let server = Server::start_in(folder.path(), &["--addr", "https://127.0.0.1:0"]);
    assert_eq!(get(&server, folder.path(), "a.example", &[]), "Hello, world!\n");
    // A new authority: the old certificate is worth nothing to its clients.
    authority(folder.path(), &["a.example"]);
    assert!(!get(&server, folder.path(), "a.example", &[]).contains("Hello"));
    server.signal("HUP");
    let began = std::time::Instant::now();
    while get(&server, folder.path(), "a.example", &[]) != "Hello, world!\n" {
        assert!(began.elapsed() < PATIENCE, "the new certificate is not taken");
    }
    fs::write(folder.path().join("a.example.pem"), "nonsense").expect("a file");
    server.signal("HUP");
    let message = server.wait_for_log("a.example.pem");
    assert!(message.contains("no PEM file with certificates"), "{message}");
    assert_eq!(get(&server, folder.path(), "a.example", &[]), "Hello, world!\n");
}

#[test]
fn a_certificate_of_its_own_is_made_for_development() {
    let server = Server::start(&["--app", &guest("hello"), "--tls", "self-signed"]);
    let url = format!("https://localhost:{}/sayhello", server.address.port());
    let shown = ["--insecure", "--write-out", "%{http_version}", &url];
    assert_eq!(curl(&shown), "Hello, world!\n2");
    assert!(curl(&[&url]).contains("self-signed certificate"));
}

#[test]
fn requests_without_tls_are_sent_on_to_it() {
    let folder = tempfile::tempdir().expect("a folder");
    authority(folder.path(), &["a.example"]);
    fs::write(folder.path().join("myweb.toml"), toml(&[("a.example", ", redirect = true")]))
        .expect("a file");
    let server = Server::start_in(folder.path(), &[]);
    let mut client = server.connect();
    client.send(b"GET /sayhello?x HTTP/1.1\r\nHost: a.example:80\r\n\r\n");
    let answer = client.read_answer().expect("an answer");
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), Some("https://a.example/sayhello?x"));
}

#[test]
fn mistakes_with_certificates_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    authority(folder.path(), &["a.example", "b.example"]);
    let hello = guest("hello");
    for (arguments, said) in [
        (["--tls", "a.example.pem,b.example.key"], "name a certificate and its own key"),
        (["--tls", "none.pem,a.example.key"], "none.pem: no such file or directory"),
        (["--tls", "a.example.key,a.example.key"], "no PEM file with certificates"),
        (["--tls", "a.example.pem,a.example.pem"], "no PEM file with a private key"),
        (["--addr", "https://127.0.0.1:0"], "add --tls self-signed"),
    ] {
        let (code, output) = run(folder.path(), &[&["--app", &hello], &arguments[..]].concat());
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains(said), "{said}: {output}");
    }
    fs::write(folder.path().join("myweb.toml"), "listen = [\"https://127.0.0.1:0\"]\n")
        .expect("a file");
    let (code, output) = run(folder.path(), &["check"]);
    assert_eq!(code, Some(1));
    assert!(output.contains("no tenant has a certificate"), "{output}");
}
