//! Row F9: names that a component or a folder chooses are escaped where lines are
//! written, in the logs and on the terminal.

use std::fs;

use super::text;
use crate::config::folder;
use crate::support::{Server, guest, run};

/// A component whose exports have names that would end a line and command a terminal.
fn forging(length: usize) -> Vec<u8> {
    let name = "\\0avalid: 1 tenants\\0d\\1b[2J\\c2\\85\\e2\\80\\a8\\e2\\80\\ae".to_owned();
    let long = "x".repeat(length);
    wat::parse_str(format!(
        "(component (component $c) (instance $i (instantiate $c)) \
         (export \"{name}{long}\" (instance $i)))"
    ))
    .expect("a component")
}

/// Asserts that no character of a text could forge a line.
fn assert_plain(text: &str) {
    for c in text.chars() {
        let forges = c.is_control() || matches!(c, '\u{2028}'..='\u{202e}');
        assert!(!forges || c == '\n', "{c:?} in {text:?}");
    }
    assert!(!text.lines().any(|line| line.starts_with("valid:")), "{text}");
}

const SITE: &str = "[[tenant]]\nname = \"a\"\nhosts = [\"a.example\"]\nlog = \"a.log\"\n\
                    [[tenant.route]]\npath = \"/*\"\napp = \"app.wasm\"\n";

#[test]
fn f9_names_of_exports_forge_no_line_of_a_check() {
    for length in [0, 90_000] {
        let folder = folder(SITE);
        fs::write(folder.path().join("app.wasm"), forging(length)).expect("a file");
        let (code, said) = run(folder.path(), &["check"]);
        assert_eq!(code, Some(1), "{said}");
        assert_plain(&said);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("exports `\\nvalid: 1 tenants\\r\\u{1b}[2J"), "{said}");
        assert!(said.len() < 2_000, "{} bytes", said.len());
    }
}

#[test]
fn f9_names_of_files_and_paths_forge_no_line_of_routes_or_a_check() {
    let toml = "[[tenant]]\nname = \"a\"\nhosts = [\"a.example\"]\n\
                [[tenant.route]]\npath = \"/*\"\nstatic = \"ht\\u001B[2J\\nvalid: 1\"\n";
    let folder = folder(toml);
    let (code, said) = run(folder.path(), &["check"]);
    assert_eq!(code, Some(1), "{said}");
    assert_plain(&said);
    fs::create_dir(folder.path().join("ht\u{1b}[2J\nvalid: 1")).expect("a folder");
    let (code, said) = run(folder.path(), &["routes"]);
    assert_eq!(code, Some(0), "{said}");
    assert_plain(&said);
    assert!(said.contains("files in ht\\u{1b}[2J\\nvalid: 1"), "{said}");
}

#[test]
fn f9_names_of_exports_forge_no_line_of_a_log() {
    let folder = folder(SITE);
    let app = folder.path().join("app.wasm");
    fs::copy(guest("hello"), &app).expect("a copy");
    let mut server = Server::start_in(folder.path(), &[]);
    fs::write(folder.path().join("new.wasm"), forging(90_000)).expect("a file");
    fs::rename(folder.path().join("new.wasm"), &app).expect("a move");
    server.signal("HUP");
    let line = server.wait_for_log("not reloaded");
    assert!(line.contains("exports `\\nvalid: 1 tenants\\r\\u{1b}[2J") && line.len() < 2_000);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let rest = server.log_to_end().join("\n");
    assert_plain(&format!("{line}\n{rest}\n{}", text(folder.path(), "a.log")));
}
