//! Key-value data: what it promises in the server's own database.

mod hostile;
mod killed;
mod operations;
mod place;
mod redis;
mod turns;
mod values;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{BINARY, Client, Server, run, test_guest, wait_for};

/// A server whose app may open the bucket `visits`, with its state in the folder.
fn start(folder: &Path, more: &[&str]) -> Server {
    let app = test_guest("store");
    Server::start_in(folder, &[&["--app", &app, "--keyvalue", "visits"], more].concat())
}

/// Two tenants, each with an app that may open `visits` and one that may not. `more`
/// stands at the beginning of the file.
fn two_tenants(folder: &Path, more: &str) -> Server {
    let tenant = |name: &str| {
        format!(
            "[[tenant]]\nname = \"{name}\"\nhosts = [\"{name}.example\"]\n\
             [[tenant.route]]\npath = \"/*\"\napp = \"store.wasm\"\ngrants = {{ keyvalue = [\"visits\", \"default\"] }}\n\
             [[tenant.route]]\npath = \"/other/*\"\napp = \"store.wasm\"\ngrants = {{ keyvalue = [\"own\"] }}\n"
        )
    };
    fs::write(folder.join("myweb.toml"), format!("{more}\n{}{}", tenant("a"), tenant("b")))
        .expect("a file");
    fs::copy(test_guest("store"), folder.join("store.wasm")).expect("a copy");
    Server::start_in(folder, &[])
}

/// Asks a tenant.
fn ask(server: &Server, tenant: &str, target: &str) -> String {
    let mut client: Client = server.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {tenant}.example\r\n\r\n").as_bytes());
    client.read_answer().expect("an answer").text().to_owned()
}

/// What tells tenants and apps apart, in either store.
fn buckets_are_their_tenants(server: &Server) {
    assert_eq!(ask(server, "a", "/set?key=n&value=of-a"), "set");
    assert_eq!(ask(server, "b", "/get?key=n"), "none");
    assert_eq!(ask(server, "b", "/set?key=n&value=of-b"), "set");
    assert_eq!(ask(server, "a", "/get?key=n"), "of-a");
    assert_eq!(ask(server, "a", "/get?key=n&bucket=default"), "none");
    assert_eq!(ask(server, "a", "/set?key=d&value=1&bucket="), "set");
    assert_eq!(ask(server, "a", "/get?key=d&bucket=default"), "1", "no name is the default");
    for denied in ["/get?key=n&bucket=own", "/other/get?key=n", "/get?bucket=b%2fvisits"] {
        let said = ask(server, "a", denied);
        assert!(said.contains("was not granted the bucket"), "{denied}: {said}");
    }
}

#[test]
fn buckets_are_their_tenants_and_of_no_app_that_was_not_granted_them() {
    let folder = tempfile::tempdir().expect("a folder");
    buckets_are_their_tenants(&two_tenants(folder.path(), "state = \"here\""));
    assert!(folder.path().join("here/keyvalue.redb").exists());
}

#[test]
fn components_of_wasi_http_count_visits() {
    let folder = tempfile::tempdir().expect("a folder");
    for (version, first) in [("02", 1), ("03", 3)] {
        let app = test_guest(&format!("wasi_http_{version}"));
        let server = Server::start_in(folder.path(), &["--app", &app, "--keyvalue", "visits"]);
        for visit in first..first + 2 {
            let said = format!("visit {visit}, 2 keys\n");
            assert_eq!(server.get("/visits").text(), said, "{version}");
        }
        let server = Server::start_in(folder.path(), &["--app", &app]);
        assert_eq!(server.get("/visits").text(), "Error::NoSuchStore\n", "nothing is granted");
    }
}

#[test]
fn data_outlives_the_server_and_is_for_its_user_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("kept/here");
    let here = ["--state", "kept/here"];
    let server = start(folder.path(), &here);
    assert_eq!(server.get("/set?key=a&value=1").text(), "set");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&state.join("keyvalue.redb"))), (0o700, 0o600));
    drop(server);
    assert_eq!(start(folder.path(), &here).get("/get?key=a").text(), "1");
}

#[test]
fn nothing_is_made_where_nothing_is_granted_or_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = test_guest("store");
    let server = Server::start_in(folder.path(), &["--app", &app]);
    assert!(server.get("/get?key=a").text().contains("was not granted the bucket visits"));
    let toml = format!(
        "[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n[[tenant.route]]\npath = \"/*\"\n\
         app = \"{app}\"\ngrants = {{ keyvalue = [\"visits\"] }}\n"
    );
    fs::write(folder.path().join("myweb.toml"), toml).expect("a file");
    assert_eq!(run(folder.path(), &["check"]).0, Some(0));
    assert!(!folder.path().join("state").exists());
}

#[test]
fn two_processes_share_the_data_while_one_takes_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let servers = [start(folder.path(), &[]), start(folder.path(), &[])];
    for round in 0..5 {
        for (at, server) in servers.iter().enumerate() {
            assert_eq!(server.get("/visits").text(), (2 * round + at + 1).to_string());
        }
    }
    operations::all_count(&servers, 10, 20);
}

#[test]
fn a_damaged_database_is_told_at_the_start_and_to_guests_and_the_server_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let database = state.join("keyvalue.redb");
    fs::create_dir(&state).expect("a folder");
    fs::write(&database, "this was a database once".repeat(1_000)).expect("a file");
    let server = start(folder.path(), &["--state", "state"]);
    server.wait_for_log("keyvalue.redb: no database");
    for path in ["/visits", "/get?key=a", "/page", "/set?key=a&value=1"] {
        let said = server.get(path).text().to_owned();
        assert!(said.contains("error: the bucket visits: the store is damaged"), "{path}: {said}");
    }
    let log = server.log_so_far().join("\n");
    assert!(!log.contains("keyvalue.redb") && !log.contains("panicked"), "said once: {log}");
    assert_eq!(server.get("/config?key=a").text(), "none");
    // A mend needs no restart.
    fs::remove_file(&database).expect("a file that is removed");
    assert_eq!(server.get("/visits").text(), "1");
    server.wait_for_log("the key-value data is there again");
}

#[test]
fn a_database_that_is_cut_or_changed_is_an_error_and_no_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &["--state", "state"]);
    assert_eq!(server.get("/fill?count=2000&bytes=100").text(), "filled");
    drop(server);
    let database = folder.path().join("state/keyvalue.redb");
    let sound = fs::read(&database).expect("a database");
    let mut changed = sound.clone();
    changed.iter_mut().skip(4_096).step_by(61).for_each(|byte| *byte ^= 0x55);
    for broken in [&sound[..sound.len() / 2], &sound[..100], &changed[..]] {
        fs::write(&database, broken).expect("a file");
        let server = start(folder.path(), &["--state", "state"]);
        for path in ["/visits", "/get?key=key-7", "/page"] {
            assert_eq!(server.get(path).status, 200, "{path}");
        }
        assert_eq!(server.get("/config?key=a").text(), "none");
    }
}

#[test]
fn d4_a_full_disk_is_an_error_and_over_when_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = test_guest("store");
    // A file that may not grow is as good as a full disk.
    let limited = format!("trap '' XFSZ; ulimit -S -f 2048; exec {BINARY} \"$@\"");
    let server = Server::start_by(
        Command::new("sh").args(["-c", &limited, "sh"]).current_dir(folder.path()),
        &["--app", &app, "--keyvalue", "visits"],
    );
    assert_eq!(server.get("/set?key=a&value=kept").text(), "set");
    let fill = |from: usize| server.get(&format!("/fill?from={from}&count=1000&bytes=500"));
    wait_for(|| (0..10).any(|n| fill(n * 1_000).text() != "filled"));
    server.wait_for_log("the disk is full; make room");
    assert_eq!(server.get("/get?key=a").text(), "kept");
    let pid = server.pid().to_string();
    let more = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
    assert!(more.expect("prlimit runs").success());
    assert_eq!(server.get("/set?key=b&value=later").text(), "set");
    assert_eq!(
        (server.get("/get?key=a").text(), server.get("/get?key=b").text()),
        ("kept", "later")
    );
}
