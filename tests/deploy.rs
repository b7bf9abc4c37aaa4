//! The units and the files of `docs/deploy` are ones that systemd and the server
//! take.

use std::fs;
use std::process::Command;

use crate::support::{BINARY, blocks, root, run};

/// The values of a key of a unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

fn unit(name: &str) -> String {
    fs::read_to_string(root().join("docs/deploy").join(name)).expect("a unit")
}

#[test]
fn the_units_are_ones_that_systemd_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let service = unit("myweb.service").replace("/usr/local/bin/myweb-run", BINARY);
    // They are there where the server is deployed.
    let service =
        service.replace("User=myweb", "User=daemon").replace("Group=myweb", "Group=daemon");
    fs::write(folder.path().join("myweb.service"), service).expect("a file");
    fs::write(folder.path().join("myweb.socket"), unit("myweb.socket")).expect("a file");
    let units = ["myweb.service", "myweb.socket"].map(|name| folder.path().join(name));
    let checked = Command::new("systemd-analyze").arg("verify").args(units).output();
    let Ok(checked) = checked else { return };
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    // It tells of units of the system, too.
    let of_ours: Vec<&str> = said.lines().filter(|line| line.contains("myweb")).collect();
    assert!(of_ours.is_empty() && checked.status.success(), "{said}");
}

#[test]
fn the_unit_lets_the_server_do_what_it_must_and_nothing_more() {
    let service = unit("myweb.service");
    for (key, value) in [
        ("Type", "notify"),
        // Who takes over is not the main process yet when it says so.
        ("NotifyAccess", "all"),
        ("ExecReload", "/bin/kill -HUP $MAINPID"),
        ("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        // Components become machine code.
        ("MemoryDenyWriteExecute", "no"),
    ] {
        assert_eq!(values(&service, key), [value], "{key}");
    }
    // Tools of builds run in a sandbox. No group of systemd 252 has the calls that make one.
    let calls = values(&service, "SystemCallFilter");
    for call in
        ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp"]
    {
        assert!(calls.iter().any(|line| line.split(' ').any(|word| word == call)), "{call}");
    }
    let start = values(&service, "ExecStart")[0];
    let (_, help) = run(&root(), &["--help"]);
    for flag in start.split_whitespace().filter(|word| word.starts_with("--")) {
        assert!(help.contains(flag), "{flag}");
    }
    // Each socket is one that the file of the docs listens on.
    let files = blocks("docs/deploy/README.md", "toml");
    for socket in values(&unit("myweb.socket"), "ListenStream") {
        assert!(files[0].contains(socket), "{socket}");
    }
}

#[test]
fn the_files_of_the_docs_are_valid() {
    for file in blocks("docs/deploy/README.md", "toml") {
        let folder = tempfile::tempdir().expect("a folder");
        let here = folder.path().display();
        let authority = crate::support::tls::Authority::new();
        authority.certify(folder.path(), "fullchain", &["acme.example"]);
        fs::copy(folder.path().join("fullchain.pem"), folder.path().join("privkey.pem"))
            .expect("a copy");
        let live = "/etc/letsencrypt/live/acme.example/";
        let file = file
            .replace(live, &format!("{here}/"))
            .replace("/var/log/myweb/", &format!("{here}/"))
            .replace("/srv/acme", &here.to_string());
        fs::write(folder.path().join("myweb.toml"), file).expect("a file");
        let (code, output) = run(folder.path(), &["check"]);
        assert_eq!((code, output.as_str()), (Some(0), "valid: 1 tenants, 1 routes\n"));
    }
}
