//! The standard library where a system is missing below it.

use super::{json, plain};

#[test]
fn files_are_read_by_relative_paths_and_written_in_memory() {
    let Some(server) = plain() else { return };
    let said = json(&server.get("/files"));
    let expected = serde_json::json!({
        "relative": "one two\n",
        "listed": ["words.txt"],
        "named": "kept in memory",
        "gone": false,
        "size": 11,
        "found": ["a/b.bin"],
        "removed": false,
        "sought": "bc",
        "read_only": "Read-only file system: a sandboxed app may write below /tmp only, in memory",
        "resource": true,
    });
    assert_eq!(said, expected);
}

#[test]
fn asyncio_runs_on_a_loop_without_a_system() {
    let Some(server) = plain() else { return };
    assert_eq!(json(&server.get("/loop")), serde_json::json!(["a", "B", "timeout"]));
}

#[test]
fn databases_in_memory_and_time_zones_are_there() {
    let Some(server) = plain() else { return };
    assert_eq!(json(&server.get("/sqlite")), serde_json::json!([["a"], ["b"]]));
    assert_eq!(json(&server.get("/zones")), "2026-07-01T14:00:00+02:00");
}

#[test]
fn keys_are_derived_as_the_rfcs_say() {
    let Some(server) = plain() else { return };
    let said = json(&server.get("/hashes"));
    // RFC 7914 section 11 has others; these are of many published lists.
    let sha256 = "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a";
    assert_eq!(said["pbkdf2"], sha256);
    assert_eq!(said["md5"], "0cc175b9c0f1b6a831c399e269772661");
}

#[test]
fn scrypt_is_that_of_its_rfc_and_within_the_limits() {
    let Some(server) = plain() else { return };
    let said = json(&server.get("/scrypt"));
    let expected = serde_json::json!([
        "77d6576238657b203b19ca42c18a0497",
        "fdbabe1c9d3472007856e7190d01e9fe",
        "7023bdcb3afd7348461c06cd81fd38eb",
        "ValueError: scrypt: n is a power of 2, a",
        "ValueError: Invalid parameter combinatio",
        "MemoryError: scrypt takes 1073744896 byt",
    ]);
    assert_eq!(said, expected);
}

#[test]
fn the_module_ssl_is_imported_and_tells_what_it_cannot() {
    let Some(server) = plain() else { return };
    let said = json(&server.get("/secure_sockets"));
    assert!(said[1].as_str().is_some_and(|said| said.contains("no TLS of its own")), "{said}");
}

#[test]
fn packages_and_sources_are_found_at_run_time() {
    let Some(server) = plain() else { return };
    let said = json(&server.get("/packages"));
    assert_eq!(said["version"], true);
    assert_eq!(said["modules"], serde_json::json!(["app", "ways"]));
    assert_eq!(said["stdlib"], true);
    assert!(
        said["source"].as_str().is_some_and(|line| line.starts_with("def packages(")),
        "{said}"
    );
}

#[test]
fn the_process_shows_nothing_of_the_build() {
    let Some(server) = plain() else { return };
    let said = json(&server.get("/process"));
    assert_eq!(said["folder"], "/app");
    assert_eq!(said["environ"], serde_json::json!({}));
}
