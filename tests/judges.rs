//! What tools say of the server that nobody here wrote. They are looked for in
//! the path, and Python's in `target/venv`; `.ci/run` installs all of them.

mod clients;
mod lint;
mod slow;
mod testssl;

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::root;

/// A tool needs no longer, in seconds; one that does is ended.
const LONGEST: &str = "240";

/// Python, with the packages of `tests/tools/requirements.txt`.
fn python() -> String {
    root().join("target/venv/bin/python").display().to_string()
}

/// A script of `tests/tools`.
fn script(name: &str) -> String {
    root().join("tests/tools").join(name).display().to_string()
}

/// Whether a tool is there. A test without its tool is skipped, and says so; in
/// CI it fails.
pub fn is_there(tool: &str) -> bool {
    let asked = Command::new(tool)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if asked.is_err() {
        let message = format!("{tool} is not there; .ci/run installs it");
        assert!(std::env::var_os("CI").is_none(), "{message}");
        // What a test that passes prints is not shown; this is.
        let _ = writeln!(std::io::stderr(), "skipped: {message}");
    }
    asked.is_ok()
}

/// A tool that is ended if it does not end.
fn tool(name: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args([LONGEST, name]).stdin(Stdio::null());
    command
}

/// All that a tool prints until it has ended.
fn output(command: &mut Command) -> String {
    let output = command.output().expect("the tool runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
