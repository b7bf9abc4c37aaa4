//! Row B12: what hostile guests do with key-value data.

use super::{ask, start, two_tenants};
use crate::support::{Server, test_guest};

/// Another app of the server is asked all the while.
fn beside(server: &Server, fault: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let fault = scope.spawn(fault);
        while !fault.is_finished() {
            assert_eq!(server.get("/good/get?key=a").status, 200);
        }
    });
}

fn with_another(folder: &std::path::Path, more: &[&str]) -> Server {
    let good = format!("/good={}", test_guest("store"));
    start(folder, &[&["--app", &good], more].concat())
}

/// What is over a limit is an error, and none of it is there.
pub fn limits_hold(server: &Server) {
    let get = |target: &str| server.get(target).text().to_owned();
    assert_eq!(get("/set-large?key=a&bytes=1048576"), "set");
    let said = get("/set-large?key=b&bytes=1048577");
    assert!(said.contains("larger than 1048576 bytes"), "{said}");
    assert_eq!(get("/exists?key=b"), "false");
    // Four MiB and more in one call, in and out.
    assert!(get("/fill?count=9&bytes=500000").contains("more than"));
    assert_eq!(get("/get-many?from=0&to=9"), "0", "all or none");
    for from in [0, 3, 6] {
        assert_eq!(get(&format!("/fill?from={from}&count=3&bytes=500000")), "filled");
    }
    assert!(get("/get-many?from=0&to=9").contains("more than"));
    assert_eq!(get("/get-many?from=0&to=8"), "8");
    assert!(get("/get-many?from=0&to=1001").contains("more than 1000 keys"));
    assert!(get("/delete-many?from=0&to=1001").contains("more than 1000 keys"));
    let key = |bytes| "k".repeat(bytes);
    assert_eq!(get(&format!("/set?key={}&value=1", key(1_024))), "set");
    assert!(get(&format!("/set?key={}&value=1", key(1_025))).contains("longer than 1024 bytes"));
    assert!(get(&format!("/get?key={}", key(1_025))).contains("longer than 1024 bytes"));
    assert_eq!(get("/delete-many?from=0&to=9"), "deleted");
    assert_eq!(get("/delete?key=a"), "deleted");
}

/// Fills a quota of 4 MiB, which others do not share.
pub fn quotas_hold(server: &Server) {
    let filled = (0..100).take_while(|n| {
        ask(server, "a", &format!("/fill?from={}&count=500&bytes=100", n * 500)) == "filled"
    });
    // Each pair costs its key, its value and 64 bytes: about 171.
    let filled = filled.count();
    assert!((40..=50).contains(&filled), "{filled} times 500 pairs");
    let said = ask(server, "a", "/set-large?key=b&bytes=1000000");
    assert!(said.contains("over 4194304 bytes (the limit `key-value`)"), "{said}");
    assert_eq!(ask(server, "a", "/exists?key=b"), "false");
    assert_eq!(ask(server, "b", "/set-large?key=b&bytes=1000000"), "set", "a quota of its own");
    assert_eq!(ask(server, "a", "/delete-many?from=0&to=1000"), "deleted");
    assert_eq!(ask(server, "a", "/set-large?key=b&bytes=100000"), "set", "what is deleted is free");
}

/// Keys that look like something else are keys.
pub fn keys_are_only_ever_data(server: &Server) {
    let keys = [
        "%00",
        "a%00b",
        "..%2f..%2fb%2fvisits%2fn",
        "..",
        "%2f",
        "b%2fvisits",
        "pairs%2fb%2fvisits",
        "myweb:%7bb%7d:visits:pairs",
        "%7bb%7d",
        "%2a",
        "%0d%0aSET%20x",
        "",
    ];
    assert_eq!(ask(server, "b", "/set?key=n&value=of-b"), "set");
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(ask(server, "a", &format!("/get?key={key}")), "none", "{key}");
        assert_eq!(ask(server, "a", &format!("/set?key={key}&value={at}")), "set", "{key}");
    }
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(ask(server, "a", &format!("/get?key={key}")), at.to_string(), "{key}");
        assert_eq!(ask(server, "b", &format!("/get?key={key}")), "none", "{key}");
    }
    assert_eq!(ask(server, "b", "/get?key=n"), "of-b");
    assert_eq!(ask(server, "b", "/page").trim(), "n");
}

#[test]
fn b12_values_keys_and_batches_are_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    limits_hold(&start(folder.path(), &[]));
}

#[test]
fn b12_a_quota_is_its_tenants() {
    let folder = tempfile::tempdir().expect("a folder");
    quotas_hold(&two_tenants(folder.path(), "limits = { key-value = \"4MiB\" }"));
}

#[test]
fn b12_keys_are_only_ever_data_and_no_way_to_another_tenant() {
    let folder = tempfile::tempdir().expect("a folder");
    keys_are_only_ever_data(&two_tenants(folder.path(), ""));
}

#[test]
fn b12_a_value_of_a_gigabyte_never_leaves_the_guest() {
    let folder = tempfile::tempdir().expect("a folder");
    let server =
        with_another(folder.path(), &["--max-memory", "2GiB", "--max-tenant-memory", "2GiB"]);
    beside(&server, || {
        let answer = server.get("/set-large?key=a&bytes=1000000000");
        assert_ne!(answer.text(), "set");
    });
    assert_eq!(server.get("/exists?key=a").text(), "false");
}

#[test]
fn b12_writes_without_end_stop_with_the_request_and_others_write_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = with_another(folder.path(), &["--max-wall", "1s"]);
    std::thread::scope(|scope| {
        let loops: Vec<_> =
            (0..8).map(|_| scope.spawn(|| server.get("/loop?key=l&value=x").status)).collect();
        while !loops.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            assert_eq!(server.get("/good/set?key=g&value=1").text(), "set");
        }
        for status in loops {
            assert_eq!(status.join().expect("a client"), 504);
        }
    });
}

fn many_keys(count: usize, quota: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = ["--max-key-value", quota, "--max-cpu", "60s", "--max-wall", "60s"];
    let server = with_another(folder.path(), &limits);
    beside(&server, || {
        for from in (0..count).step_by(10_000) {
            assert_eq!(server.get(&format!("/fill?from={from}&count=10000")).text(), "filled");
        }
    });
    let page = server.get("/page");
    assert_eq!(page.text().lines().count(), 1_001, "one page, not all");
    assert!(server.get(&format!("/fill?from={count}&count=20000")).text().contains("over"));
}

#[test]
fn b12_a_hundred_thousand_keys_are_pages_within_the_quota() {
    many_keys(100_000, "8MiB");
}

#[test]
#[ignore = "a minute: with `cargo xtask test --long`"]
fn b12_a_million_keys_are_pages_within_the_quota() {
    many_keys(1_000_000, "71MiB");
}
