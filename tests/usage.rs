//! What is wrong with a start is said in a line that names the thing and the
//! mend, before anything listens.

use std::fs;

use crate::support::{Server, guest, root, run};

#[test]
fn every_mistake_has_its_message_and_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let whole = fs::read(guest("hello")).expect("a component");
    fs::write(path("half.wasm"), &whole[..whole.len() / 2]).expect("a file");
    fs::write(path("core.wasm"), b"\0asm\x01\0\0\0").expect("a file");
    fs::write(path("text.wasm"), "(component)").expect("a file");
    fs::write(path("empty.wasm"), "").expect("a file");
    let other = "(component (component $c) (instance $i (instantiate $c))
        (export \"wasi:cli/run@0.2.0\" (instance $i)))";
    fs::write(path("other.wasm"), wat::parse_str(other).expect("a component")).expect("a file");
    let taken = Server::start(&["--app", &guest("hello")]);
    let address = taken.address.to_string();
    for (arguments, code, said) in [
        (vec!["--app", "missing.wasm"], 1, vec!["--app missing.wasm: no such file"]),
        (
            vec!["--app", &path("half.wasm")],
            1,
            vec!["half.wasm: not a valid component", "build it again"],
        ),
        (
            vec!["--app", &path("core.wasm")],
            1,
            vec!["core.wasm: a core WebAssembly module", "wasm32-wasip2"],
        ),
        (vec!["--app", &path("text.wasm")], 1, vec!["text.wasm: not a WebAssembly component"]),
        (vec!["--app", &path("empty.wasm")], 1, vec!["empty.wasm: the file is empty"]),
        (
            vec!["--app", &path("other.wasm")],
            1,
            vec!["exports `wasi:cli/run@0.2.0`", "myweb:handler@0.1.0", "wasi:http/handler@0.3"],
        ),
        (vec!["--app", "."], 1, vec![".: is a directory"]),
        (vec!["--handlers", "missing"], 1, vec!["missing: no such file or directory"]),
        (vec!["--static", "missing"], 1, vec!["--static missing: no such file or directory"]),
        (vec!["--static", &path("text.wasm")], 1, vec!["text.wasm: not a directory"]),
        (
            vec!["--app", &guest("hello"), "--files", "missing"],
            1,
            vec!["--files missing: no such file"],
        ),
        (vec!["--app", &guest("hello"), "--addr", &address], 1, vec![&address, "in use", "--addr"]),
        (vec!["--app", &guest("hello"), "--addr", "nonsense"], 1, vec!["nonsense: not an address"]),
        (
            vec!["--app", "x.wasm", "--app", "/a=b", "--app", "/a=c"],
            1,
            vec!["/a/ is claimed twice", "by --app b and by --app c"],
        ),
        (vec!["--app", "/a/../b=c"], 1, vec!["\"/a/../b\" has an empty"]),
        (vec![], 1, vec!["nothing to serve", "--app FILE"]),
        (vec!["--ap", "x"], 2, vec!["--ap", "--app"]),
        (vec!["--app", "blog=x.wasm"], 2, vec!["write /blog=..."]),
        (vec!["--max-body", "10MB"], 2, vec!["10MB", "10MiB"]),
        (vec!["--max-cpu", "0s"], 2, vec!["0s", "1ms or more"]),
        (vec!["--reuse", "0"], 2, vec!["'0' for '--reuse <N>': write a number from 1"]),
        (vec!["hello.wasm"], 2, vec!["hello.wasm is no command", "write --app hello.wasm"]),
        (vec!["site.toml"], 2, vec!["write --config site.toml"]),
        (vec!["app.py"], 2, vec!["write --wsgi app:app"]),
        (vec!["127.0.0.1:80"], 2, vec!["unrecognized subcommand '127.0.0.1:80'"]),
        (vec!["build"], 2, vec!["a FILE of JavaScript, or --wsgi or --asgi MODULE:APP"]),
        (vec!["--help"], 0, vec!["--handlers", "Examples:", "sandbox"]),
    ] {
        let (exit, output) = run(folder.path(), &arguments);
        assert_eq!(exit, Some(code), "{arguments:?}: {output}");
        for text in said {
            assert!(output.contains(text), "{arguments:?} says {output:?}, not {text:?}");
        }
        assert!(!output.contains("listening") && !output.contains("backtrace"), "{output}");
        if code == 1 {
            assert_eq!(output.lines().count(), 1, "{output}");
        }
    }
}

#[test]
fn without_html_there_are_no_static_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_in(folder.path(), &["--app", &guest("hello")]);
    assert_eq!(server.get("/").status, 404);
    assert_eq!(server.get("/sayhello").status, 200);
}

#[test]
fn a_changed_component_is_swapped_in_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = folder.path().join("app.wasm");
    fs::copy(guest("say_hello"), &app).expect("a copy");
    let server = Server::start_in(folder.path(), &["--app", "app.wasm", "--watch"]);
    assert_eq!(server.get("/").text(), "Hello, world!\n");

    fs::write(&app, "broken").expect("a file");
    let line = server.wait_for_log("not reloaded");
    assert!(line.contains("app.wasm: not a WebAssembly component"), "{line}");
    assert_eq!(server.get("/").text(), "Hello, world!\n");

    let new = folder.path().join("new");
    fs::copy(guest("show_time"), &new).expect("a copy");
    fs::rename(&new, &app).expect("a move");
    server.wait_for_log("INFO reloaded");
    assert!(server.get("/").text().ends_with(" GMT\n"));
}

#[test]
fn a_new_handler_of_a_watched_directory_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_in(folder.path(), &["--handlers", ".", "--watch"]);
    assert_eq!(server.get("/say_hello").status, 404);
    fs::copy(guest("say_hello"), folder.path().join("say_hello.wasm")).expect("a copy");
    server.wait_for_log("INFO reloaded");
    assert_eq!(server.get("/say_hello").text(), "Hello, world!\n");
    assert!(root().exists());
}
