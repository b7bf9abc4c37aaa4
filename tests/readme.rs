//! What the README shows is what happens.

use std::fs;
use std::process::Command;

use crate::support::{Server, blocks, guest, root, run};

#[test]
fn every_command_of_the_readme_prints_what_it_shows() {
    let server = Server::start(&["--app", &guest("hello")]);
    let shown = blocks("README.md", "console").concat();
    assert!(shown.starts_with("$ "), "{shown}");
    for step in shown.split("$ ").skip(1) {
        let (command, expected) = step.split_once('\n').expect("a command is one line");
        let command = command
            .replace("127.0.0.1:7788", &server.address.to_string())
            .replace("curl ", "curl --silent --show-error ");
        let output = Command::new("sh").args(["-c", &command]).output().expect("a shell");
        let printed =
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(printed, expected, "{command}");
    }
}

#[test]
fn every_flag_of_the_readme_is_known() {
    let (_, help) = run(&root(), &["--help"]);
    let commands = blocks("README.md", "sh").concat();
    let words = commands.split_whitespace();
    for flag in words.filter(|word| word.starts_with("--") && *word != "--path") {
        assert!(help.contains(flag), "{flag}");
    }
}

#[test]
fn the_handler_of_the_readme_is_the_one_of_the_docs() {
    let shown = blocks("README.md", "rust");
    let docs = blocks("docs/handlers.md", "rust");
    assert!(docs[0].contains(&shown[0]), "docs/handlers.md is built by a test, README.md is not");
}

#[test]
fn links_lead_to_files() {
    for page in [
        "README.md",
        "docs/architecture.md",
        "docs/configuration.md",
        "docs/deploy/README.md",
        "docs/handlers.md",
        "docs/host-costs.md",
        "docs/keyvalue.md",
        "docs/logging.md",
        "docs/values.md",
        "docs/specification.md",
    ] {
        let text = fs::read_to_string(root().join(page)).expect("a page");
        let folder = root().join(page).parent().expect("a folder").to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let there = link.starts_with("http")
                || folder.join(link.split('#').next().unwrap_or(link)).exists();
            assert!(there, "{page} links to {link}");
        }
    }
}
