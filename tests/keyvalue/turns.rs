//! Row F10: look-ups and changes take turns by their work, fair between tenants, and
//! are charged to their requests.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use serde_json::Value;

use super::{ask, two_tenants};
use crate::hostile::{self, work::Ends};
use crate::support::{Server, wait_for};

/// Clients of a tenant that ask for much.
const CLIENTS: usize = 64;

/// So many answers of tenant `b`, one after the other, while clients of tenant `a` ask
/// again and again: how many answers of `a` came for each of `b`.
fn beside(server: &Server, greedy: &str, modest: (&str, &str), count: usize) -> usize {
    let (answers, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let greed = || {
        let mut client = server.connect();
        while !over.load(Relaxed) {
            let answer = hostile::ask(&mut client, "a.example", greedy);
            assert!(!answer.text().starts_with("error"), "{}", answer.text());
            answers.fetch_add(1, Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let _ends = Ends(&over);
        (0..CLIENTS).for_each(|_| drop(scope.spawn(greed)));
        wait_for(|| answers.load(Relaxed) > CLIENTS);
        let before = answers.load(Relaxed);
        let mut client = server.connect();
        for _ in 0..count {
            let answer = hostile::ask(&mut client, "b.example", modest.0);
            assert_eq!(answer.text(), modest.1);
        }
        (answers.load(Relaxed) - before) / count
    })
}

#[test]
fn f10_a_look_up_waits_for_a_slice_of_others_and_not_for_all_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = two_tenants(folder.path(), "limits = { cpu = \"60s\", wall = \"60s\" }");
    assert_eq!(ask(&server, "a", "/fill?count=10000&bytes=10"), "filled");
    assert_eq!(ask(&server, "b", "/set?key=a&value=1"), "set");
    let each = beside(&server, "/get-many?from=0&to=1000", ("/get?key=a", "1"), 200);
    assert!(each < 10, "{each} look-ups of a thousand keys were done for each of one key");
    let each = beside(&server, "/page", ("/exists?key=a", "true"), 200);
    assert!(each < 10, "{each} listings were made for each look-up of one key");
}

#[test]
fn f10_a_change_shares_its_commit_with_a_few_milliseconds_of_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = two_tenants(folder.path(), "limits = { cpu = \"60s\", wall = \"60s\" }");
    let greedy = "/fill?count=1000&bytes=10";
    let each = beside(&server, greedy, ("/set?key=a&value=1", "set"), 40);
    // One batch is under way, the next one has the change; a batch has three of these.
    assert!(each <= 12, "{each} changes of a thousand pairs were made for each of one");
}

/// The CPU time of twenty requests, in microseconds, on a server with more lines.
fn charged(more: &str) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let more = format!("access-log = {{ path = \"access.log\" }}\n{more}");
    let server = two_tenants(folder.path(), &more);
    (0..20).for_each(|_| drop(ask(&server, "a", "/fill?count=1000&bytes=10")));
    let used = || -> Vec<u64> {
        let log = fs::read_to_string(folder.path().join("access.log")).unwrap_or_default();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| line["cpu_us"].as_u64()).collect()
    };
    wait_for(|| used().len() == 20);
    used().iter().sum()
}

#[test]
fn f10_changes_are_charged_to_their_requests() {
    let changes = charged("");
    // The calls are refused before the store is asked: the guest's own work remains.
    let guest = charged("limits = { value = \"5B\" }");
    assert!(changes > 2 * guest, "{changes} us for changes, {guest} us for a guest alone");
}
