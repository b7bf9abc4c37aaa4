//! Apps that cannot be built: one message each, with file, line and mend, exit
//! code 1, and nothing half-built.

use std::path::Path;

use crate::support::scripts::{build, component};

/// What is said of an app whose only file has this text.
fn refused(folder: &Path, text: &str, target: &str) -> String {
    std::fs::write(folder.join("app.py"), text).expect("a file");
    let (code, said) = build(folder, &["--wsgi", target, "-o", "out.wasm"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(!folder.join("out.wasm").exists());
    assert!(!said.contains("AssertionError") && !said.contains("Stack backtrace"), "{said}");
    said
}

#[test]
fn what_is_wrong_with_an_app_is_told_with_its_file_and_line() {
    if component(&["--wsgi", "plain/app:app"], "plain").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |text, target| refused(folder.path(), text, target);
    let said = refused("import re\n\ndef app(:\n", "app:app");
    assert!(said.contains("\"app.py\", line 3") && said.contains("SyntaxError"), "{said}");
    let said = refused("def load():\n    import nosuch\n\nload()\n", "app:app");
    for part in ["\"app.py\", line 4", "    import nosuch\n", "No module named 'nosuch'"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = refused("app = 3\n", "app:app");
    assert!(said.contains("'app' is not callable, it is of type int; name the"), "{said}");
    let said = refused("async def app(scope, receive, send): pass\n", "app:app");
    assert!(said.contains("'app' is an application of ASGI; build it with --asgi"), "{said}");
    let said = refused("def app(): pass\n", "app:app");
    assert!(said.contains("'app' makes an application; call it in the module"), "{said}");
    let said = refused("def other(): pass\n", "app:app");
    assert!(said.contains("has no 'app'; it has other"), "{said}");
    let said = refused("", "nothing:app");
    assert!(said.contains("there is no module 'nothing'; name one of this folder"), "{said}");
    let (_, told) = said.split_once("myweb-run: ").expect("a message");
    assert_eq!(told.matches("nothing:app:").count(), 1, "{said}");
    let said = refused("import ctypes\n", "app:app");
    assert!(said.contains("a sandboxed app has no _ctypes"), "{said}");
    let said = refused("raise SystemExit(3)\n", "app:app");
    assert!(said.contains("SystemExit: 3"), "{said}");
}

#[test]
fn a_value_that_is_random_at_import_is_warned_of() {
    if component(&["--wsgi", "plain/app:app"], "plain").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let text = "import secrets\n\nKEY = secrets.token_hex()\n\ndef app(environ, start): pass\n";
    // What another run of the tests built is kept.
    let text = format!("{text}# {}\n", folder.path().display());
    std::fs::write(folder.path().join("app.py"), text).expect("a file");
    let arguments = ["--wsgi", "app:app"];
    let (code, said) = build(folder.path(), &arguments);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("app.py:3: a random value that is computed at import"), "{said}");
    // A second time, nothing is built.
    let (code, said) = build(folder.path(), &arguments);
    assert_eq!((code, said.contains("building")), (Some(0), false), "{said}");
}

#[test]
fn without_the_tools_the_mend_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("app.py"), "app = print\n").expect("a file");
    let output = std::process::Command::new(crate::support::BINARY)
        .args(["build", "--wsgi", "app:app"])
        .current_dir(folder.path())
        .env("PATH", folder.path())
        .env("MYWEB_STATE", folder.path().join("state"))
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("python3 is not on PATH: install it"), "{said}");
    let tools = std::fs::read_dir(folder.path().join("state/build/tools")).expect("a folder");
    assert!(tools.flatten().all(|entry| entry.path().is_file()), "nothing is half-installed");
}
