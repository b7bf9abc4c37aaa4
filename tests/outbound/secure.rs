//! Requests over TLS: to whom the app's server trusts, over HTTP/2 where both can.

use std::fs;

use super::{GUESTS, fetch};
use crate::support::tls::Authority;
use crate::support::{Server, guest, test_guest};

/// A server of HTTP/2 over TLS for `localhost`, certified by an authority.
fn secure(authority: &Authority, folder: &std::path::Path, hosts: &[&str]) -> Server {
    authority.certify(folder, "server", hosts);
    fs::write(folder.join("ca.pem"), authority.pem()).expect("a file");
    let pem = folder.join("server.pem").display().to_string();
    Server::start(&["--app", &guest("hello"), "--tls", &format!("{pem},{pem}")])
}

/// A server whose app may reach that one, by a name and by its address.
fn asking(guest: &str, port: u16, authorities: Option<&std::path::Path>) -> Server {
    let origin = format!("https://localhost:{port}");
    let app = test_guest(guest);
    let mut arguments = vec!["--app", &app, "--outbound", &origin, "--outbound", "127.0.0.0/8"];
    let file = authorities.map(|path| path.display().to_string());
    if let Some(file) = &file {
        arguments.extend(["--outbound-ca", file]);
    }
    Server::start(&arguments)
}

#[test]
fn requests_over_tls_reach_whom_the_server_trusts() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let server = secure(&authority, folder.path(), &["localhost"]);
    let (port, ca) = (server.address.port(), folder.path().join("ca.pem"));
    for guest in GUESTS {
        let asking = asking(guest, port, Some(&ca));
        let to = format!("localhost:{port}");
        for _ in 0..3 {
            let said = fetch(&asking, &to, "&scheme=https&path=/sayhello");
            assert!(said.contains("Hello, world!\n\nwhole"), "{guest}: {said}");
        }
        let count = format!("/fetch-many?count=6&scheme=https&path=/ctime&to={to}");
        assert_eq!(asking.get(&count).text(), "200\n".repeat(6), "{guest}");
        let said = fetch(&asking, &to, "&scheme=http&path=/sayhello");
        assert!(said.contains("HttpRequestDenied"), "another scheme: {said}");
    }
}

#[test]
fn a_server_that_is_not_trusted_gets_no_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let other = tempfile::tempdir().expect("a folder");
    fs::write(other.path().join("ca.pem"), Authority::new().pem()).expect("a file");
    let good = secure(&authority, folder.path(), &["localhost"]);
    let other_name = tempfile::tempdir().expect("a folder");
    let wrong = secure(&authority, other_name.path(), &["elsewhere.example"]);
    let ca = folder.path().join("ca.pem");
    for guest in GUESTS {
        for (server, trusted) in
            [(&good, Some(other.path().join("ca.pem"))), (&good, None), (&wrong, Some(ca.clone()))]
        {
            let port = server.address.port();
            let asking = asking(guest, port, trusted.as_deref());
            let said = fetch(&asking, &format!("localhost:{port}"), "&scheme=https");
            assert!(said.contains("TlsCertificateError"), "{guest}: {said}");
        }
    }
}

#[test]
fn a_file_without_authorities_is_told_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    let app = test_guest("wasi_http_02");
    let file = path.display().to_string();
    for (content, said) in [(None, "no such file"), (Some("x"), "no PEM file with certificates")] {
        if let Some(content) = content {
            fs::write(&path, content).expect("a file");
        }
        let (code, told) =
            crate::support::run(folder.path(), &["--app", &app, "--outbound-ca", &file]);
        assert_eq!(code, Some(1));
        assert!(told.contains(said) && told.contains("ca.pem"), "{told}");
    }
}
