//! Configuration, environment and messages: what an app was granted of them, and
//! that nobody else sees it.

use std::fs;
use std::process::Command;

use crate::support::{BINARY, Server, test_guest};

/// Secrets that must not be seen.
const SECRETS: [&str; 4] = ["secret-of-text", "secret-of-file", "secret-of-variable", "secret-2"];

fn file(folder: &std::path::Path, config: &str, env: &str) {
    let toml = format!(
        "[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n[[tenant.route]]\npath = \"/*\"\napp = \"{}\"\n\
         [tenant.route.grants]\nconfig = {config}\nenv = {env}\n",
        test_guest("store")
    );
    fs::write(folder.join("myweb.toml"), toml).expect("a file");
}

#[test]
fn values_are_from_texts_files_and_variables_and_nobody_else_sees_them() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("token"), "secret-of-file\n").expect("a file");
    file(
        folder.path(),
        "{ currency = \"secret-of-text\", token = { file = \"token\" } }",
        "{ KEY = { env = \"THE_KEY\" } }",
    );
    let command = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(arguments).current_dir(folder.path()).env("THE_KEY", "secret-of-variable");
        command
    };
    for shown in ["check", "routes"] {
        let output = command(&[shown]).output().expect("the server runs");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{text}");
        assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "{text}");
    }
    let server = Server::start_by(&mut command(&[]), &[]);
    assert_eq!(server.get("/config?key=currency").text(), "secret-of-text");
    assert_eq!(server.get("/config?key=token").text(), "secret-of-file");
    assert_eq!(server.get("/config?key=KEY").text(), "none");
    assert_eq!(
        server.get("/config-all").text(),
        "[(\"currency\", \"secret-of-text\"), (\"token\", \"secret-of-file\")]"
    );
    assert_eq!(server.get("/env?key=KEY").text(), "secret-of-variable");
    assert_eq!(server.get("/env?key=THE_KEY").text(), "none", "not the server's own");
    assert_eq!(server.get("/env?key=PATH").text(), "none");
    // Read again with the site.
    fs::write(folder.path().join("token"), "secret-2").expect("a file");
    server.signal("HUP");
    server.wait_for_log("reloaded");
    assert_eq!(server.get("/config?key=token").text(), "secret-2");
    fs::remove_file(folder.path().join("token")).expect("a file that is removed");
    server.signal("HUP");
    let line = server.wait_for_log("grants.config.token");
    assert!(line.contains("token: no such file"), "{line}");
    assert_eq!(server.get("/config?key=token").text(), "secret-2", "the old site goes on");
    let log = server.log_so_far().join("\n");
    assert!(SECRETS.iter().all(|secret| !log.contains(secret)), "{log}");
}

#[test]
fn a_value_that_is_wrong_is_told_without_it() {
    let folder = tempfile::tempdir().expect("a folder");
    for (config, env, said) in [
        ("{ a = { text = \"secret-2\" } }", "{}", "config.a.text: an unknown key"),
        ("{ a = [\"secret-2\"] }", "{}", "config.a: write a text, { file = \"PATH\" }"),
        ("{ a = { file = \"x\", env = \"secret-2\" } }", "{}", "config.a: write a text"),
        (
            "{ a = { env = \"NONE_SUCH\" } }",
            "{}",
            "grants.config.a: the server's environment has no",
        ),
        ("{ a = { file = \"none\" } }", "{}", "none: no such file or directory"),
        ("\"secret-2\"", "{}", "grants.config"),
        ("{}", "{ \"a=b\" = \"secret-2\" }", "a variable's name has no ="),
        ("{ a = \"secret-2\", a = 1 }", "{}", "myweb.toml:8"),
    ] {
        file(folder.path(), config, env);
        let (code, output) = crate::support::run(folder.path(), &["check"]);
        assert_eq!(code, Some(1), "{config} {env}: {output}");
        assert!(output.contains(said), "{config} {env}\nsays {output}\nnot {said}");
        assert!(!output.contains("secret-2"), "{output}");
    }
    let app = format!("[[tenant.route]]\npath = \"/*\"\napp = \"{}\"\n", test_guest("store"));
    let tenant = "[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n";
    for (text, said) in [
        (
            format!("keyvalue = \"secret-2\"\n{tenant}{app}grants = {{ keyvalue = [\"a\"] }}\n"),
            "keyvalue: no address of Redis; write it like redis://HOST",
        ),
        (
            format!("{tenant}{app}grants = {{ keyvalue = [\"a/b\"] }}\n"),
            "a bucket's name has 1 to 64 letters",
        ),
        (format!("{tenant}keyvalue = 5\n{app}"), "tenant[0].keyvalue: write a text"),
    ] {
        fs::write(folder.path().join("myweb.toml"), &text).expect("a file");
        let (code, output) = crate::support::run(folder.path(), &["check"]);
        assert_eq!(code, Some(1), "{text}: {output}");
        assert!(output.contains(said) && !output.contains("secret-2"), "{text}\nsays {output}");
    }
}

#[test]
fn messages_are_lines_of_the_log_with_their_level_and_context() {
    let server = Server::start(&["--app", &test_guest("store"), "--max-log", "1KiB"]);
    assert_eq!(server.get("/log?context=cart&bytes=3&text=a%0ab%1b[2J").text(), "logged");
    let line = server.wait_for_log("guest: [warn cart] xxx");
    assert!(line.contains("tenant default route /* request "), "{line}");
    server.wait_for_log("guest: [error] a\\nb\\u{1b}[2J");
    assert_eq!(server.get("/log?context=c%0d%0ax&bytes=100").text(), "logged");
    server.wait_for_log("guest: [warn c\\r\\nx] xxx");
    assert_eq!(server.get("/log?bytes=2000000&text=late").text(), "logged");
    server.wait_for_log("2000004 bytes of output dropped: over the log limit");
}
