//! D2: what lies in the state directory and was not written by the server, and
//! what is called a component and is none.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::component::{handlers, numbered, small, write};
use crate::support::{BINARY, Server, guest, root, run};

/// A server with an empty state directory of its own.
fn serve(state: &Path, app: &str) -> Server {
    let state = state.display().to_string();
    Server::start(&["--state", &state, "--app", app])
}

/// The entries of a state directory.
fn entries(state: &Path) -> Vec<PathBuf> {
    let folder = fs::read_dir(state.join("components")).expect("the entries");
    folder.map(|entry| entry.expect("an entry").path()).collect()
}

fn the_entry(state: &Path) -> PathBuf {
    let mut entries = entries(state);
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.remove(0)
}

/// All ways in which an entry can be another than it was.
fn forgeries(sound: &[u8], other: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for at in
        (0..sound.len()).step_by(sound.len() / 12).chain([0, sound.len() - 33, sound.len() - 1])
    {
        let mut bytes = sound.to_vec();
        bytes[at] ^= 1 << (at % 8);
        all.push((format!("the bit flipped at {at}"), bytes));
    }
    for length in [0, 31, 32, 33, 4_096, sound.len() / 2, sound.len() - 32, sound.len() - 1] {
        all.push((format!("cut off at {length}"), sound[..length].to_vec()));
    }
    let code = &sound[..sound.len() - 32];
    all.push(("longer".to_owned(), [sound, b"x"].concat()));
    all.push(("without a signature".to_owned(), [code, &[0; 32]].concat()));
    all.push(("that of another component".to_owned(), other.to_vec()));
    let signed_by_another = [&other[..other.len() - 32], &sound[sound.len() - 32..]].concat();
    all.push(("signed for another".to_owned(), signed_by_another));
    all.push(("no code at all".to_owned(), fs::read(root().join("Cargo.toml")).expect("a file")));
    all
}

#[test]
fn d2_forged_entries_are_removed_and_compiled_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, other) = (folder.path().join("state"), folder.path().join("other"));
    let app = write("cached", &small());
    drop(serve(&state, &app));
    drop(serve(&other, &guest("hello")));
    let entry = the_entry(&state);
    let sound = fs::read(&entry).expect("the entry");
    // The same key: only what is signed tells them apart.
    fs::copy(state.join("key"), other.join("key")).expect("a copy");
    fs::remove_file(the_entry(&other)).expect("an entry");
    drop(serve(&other, &guest("hello")));
    let of_other = fs::read(the_entry(&other)).expect("the entry");
    for (what, bytes) in forgeries(&sound, &of_other) {
        fs::write(&entry, bytes).expect("a forgery");
        let server = serve(&state, &app);
        assert_eq!(server.get("/a").text(), "ok\n", "{what}");
        let log = server.warnings.join("\n");
        assert!(log.contains("(1 such files so far)"), "{what}: {log}");
        assert_eq!(fs::read(&entry).expect("a new entry").len(), sound.len(), "{what}");
    }
    let server = serve(&state, &app);
    assert_eq!(server.warnings, Vec::<String>::new(), "the last entry is sound");
}

#[test]
fn d2_what_is_no_file_is_no_entry() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let app = write("cached", &small());
    drop(serve(&state, &app));
    let entry = the_entry(&state);
    let moved = folder.path().join("moved");
    fs::rename(&entry, &moved).expect("it is moved");
    symlink(&moved, &entry).expect("a link");
    let server = serve(&state, &app);
    assert_eq!(server.get("/a").text(), "ok\n");
    assert!(server.warnings[0].contains("it is no file; it is removed"), "{:?}", server.warnings);
    drop(server);
    assert!(entry.symlink_metadata().expect("a new entry").is_file());
    fs::remove_file(&entry).expect("it is removed");
    let made = std::process::Command::new("mkfifo").arg(&entry).status();
    assert!(made.expect("mkfifo").success());
    assert_eq!(serve(&state, &app).get("/a").text(), "ok\n");
}

#[test]
fn d2_a_mapped_entry_does_not_change_when_its_file_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    drop(serve(&state, &guest("hello")));
    let server = serve(&state, &guest("hello"));
    let entry = the_entry(&state);
    assert_eq!(server.get("/sayhello").text(), "Hello, world!\n");
    let length = fs::metadata(&entry).expect("the entry").len();
    let file = fs::File::options().write(true).open(&entry).expect("the entry");
    file.set_len(0).expect("it is cut off");
    assert_eq!(server.get("/sayhello?name=Ada").text(), "Hello, Ada!\n");
    file.set_len(length).expect("it is nothing but zeros");
    for _ in 0..20 {
        assert_eq!(server.get("/sayhello?name=Bob").text(), "Hello, Bob!\n");
    }
}

#[test]
fn d2_compiled_code_and_other_files_are_no_components() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    drop(serve(&state, &guest("hello")));
    let compiled = fs::read(the_entry(&state)).expect("the entry");
    let program = fs::read(BINARY).expect("the server");
    for (name, bytes, said) in [
        ("cwasm", &compiled[..], "compiled code, not a component"),
        ("elf", &program[..1 << 20], "compiled code, not a component"),
        ("wat", b"(component)", "not a WebAssembly component"),
        ("module", b"\0asm\x01\0\0\0", "a core WebAssembly module"),
        ("empty", b"", "the file is empty"),
    ] {
        let file = write(&format!("d2_{name}"), bytes);
        let (code, output) = run(&root(), &["--app", &file]);
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains(&format!("d2_{name}.wasm: {said}")), "{output}");
    }
}

#[test]
fn d2_a_state_directory_that_others_reach_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    drop(serve(&state, &guest("hello")));
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    for (path, mode, back) in [("", 0o777, 0o700), ("key", 0o644, 0o600)] {
        let path = state.join(path);
        allow(&path, mode);
        let server = serve(&state, &guest("hello"));
        assert_eq!(server.get("/sayhello").text(), "Hello, world!\n");
        let log = &server.warnings;
        allow(&path, back);
        assert!(log.len() == 1 && log[0].contains("others may reach it"), "{log:?}");
    }
}

#[test]
fn without_a_state_directory_it_serves_and_says_so_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    fs::write(&state, "a file").expect("a file");
    let server = serve(&state, &guest("hello"));
    assert_eq!(server.get("/sayhello").text(), "Hello, world!\n");
    let log = &server.warnings;
    assert!(log.len() == 1 && log[0].contains("state: not a directory"), "{log:?}");
}

#[test]
fn the_cache_is_bounded_and_what_was_not_used_for_longest_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let components = (0..40).map(|n| (format!("a{n}"), numbered(&small(), n)));
    let components = handlers(components);
    let (state_text, apps) = (state.display().to_string(), components.path().display().to_string());
    let start = |most: &str| {
        Server::start(&["--state", &state_text, "--handlers", &apps, "--code-cache", most])
    };
    let server = start("1GiB");
    assert_eq!(server.get("/a0").text(), "ok\n");
    assert_eq!(entries(&state).len(), 40);
    let each = fs::metadata(&entries(&state)[0]).expect("an entry").len();
    drop(server);
    let most = 10 * each;
    drop(start(&most.to_string()));
    let left = entries(&state);
    let size: u64 = left.iter().map(|path| fs::metadata(path).expect("an entry").len()).sum();
    assert!((1..=10).contains(&left.len()) && size <= most, "{left:?}");
}
