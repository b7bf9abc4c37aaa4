//! The suites of Flask and Werkzeug, which nobody here wrote, against their apps
//! inside of a sandbox (`tests/upstream/run.py`).

use std::process::Command;

use crate::support::{BINARY, root};

#[test]
#[ignore = "a thousand tests over HTTP: with `cargo xtask test --long`"]
fn the_suites_of_flask_and_werkzeug_pass_over_http() {
    let ended = Command::new("python3")
        .arg(root().join("tests/upstream/run.py"))
        .arg(BINARY)
        .arg(root().join("target/scripts/upstream"))
        .status()
        .expect("python3 runs");
    assert!(ended.success());
}
