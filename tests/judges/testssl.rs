//! testssl.sh: protocols, ciphers, what the server is like by default, headers,
//! and known weaknesses.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{is_there, output, tool};
use crate::support::Server;

/// What a certificate has that an authority of today gives: some weeks to live,
/// what it is for, and where it would be revoked.
const EXTENSIONS: [&str; 5] = [
    "subjectAltName=DNS:a.example",
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature",
    "extendedKeyUsage=serverAuth",
    "crlDistributionPoints=URI:http://crl.a.example/ca.crl",
];

/// `*` is for clients that name no host: some of its checks do not. Answers that
/// are encoded count as open to BREACH, whatever is in them.
const SITE: &str = r#"
listen = ["https://127.0.0.1:0"]

[[tenant]]
name = "a"
hosts = ["a.example", "*"]
tls = { certificate = "a.pem", key = "a.key", hsts = "max-age=31536000; includeSubDomains" }

[[tenant.route]]
path = "/*"
static = "."
compress = false
headers = { X-Content-Type-Options = "nosniff", Content-Security-Policy = "default-src 'self'" }
"#;

/// Checks that testssl.sh loses at times: its client leaves at once after the
/// handshake, and on a busy machine before the ticket of TLS 1.3 is there.
/// `tls/handshakes.rs` goes on with a session.
const RACES: [&str; 2] = ["sessionresumption_ticket", "sessionresumption_ID"];

/// Whether a finding is of severity LOW or above, or says that a check failed.
fn is_bad(finding: &Value) -> bool {
    let text = |key: &str| finding[key].as_str().unwrap_or_default();
    match text("severity") {
        "OK" | "INFO" => false,
        "WARN" => !RACES.contains(&text("id")),
        _ => true,
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let output = Command::new("openssl")
        .args(["req", "-x509", "-days", "90"])
        .args(key)
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn e15_testssl_finds_nothing_to_mend() {
    if !is_there("testssl") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    openssl(folder.path(), &["-subj", "/CN=test", "-keyout", "ca.key", "-out", "ca.pem"]);
    let extensions = EXTENSIONS.iter().flat_map(|extension| ["-addext", extension]);
    let signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-subj", "/CN=a.example"];
    let files = ["-keyout", "a.key", "-out", "a.pem"];
    let extensions: Vec<&str> = extensions.collect();
    openssl(folder.path(), &[&signed[..], &files, &extensions].concat());
    fs::write(folder.path().join("myweb.toml"), SITE).expect("a file");
    fs::write(folder.path().join("index.html"), "<!doctype html><title>a</title>").expect("a file");
    let server = Server::start_in(folder.path(), &["--addr", "https://127.0.0.1:0"]);

    let printed = output(
        tool("testssl")
            .args(["--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none"])
            .args(["--ip", "127.0.0.1", "--add-ca", "ca.pem", "--jsonfile", "findings.json"])
            .args(["--protocols", "--std", "--fs", "--server-preference", "--server-defaults"])
            .args(["--headers", "--vulnerable"])
            // GOST, of which the server has nothing, is in an engine that not every machine has.
            .env("NO_ENGINE", "true")
            .arg(format!("https://a.example:{}", server.address.port()))
            .current_dir(folder.path()),
    );
    let findings = fs::read_to_string(folder.path().join("findings.json")).expect(&printed);
    let findings: Vec<Value> = serde_json::from_str(&findings).expect(&printed);
    let judged = |id: &str| findings.iter().any(|finding| finding["id"] == id);
    for id in ["TLS1_3", "cipher_order", "cert_chain_of_trust", "heartbleed", "BREACH", "RC4"] {
        assert!(judged(id), "{id} was not looked at: {printed}");
    }
    let bad: Vec<&Value> = findings.iter().filter(|finding| is_bad(finding)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
