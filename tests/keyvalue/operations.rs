//! What every store does, whichever it is.

use std::collections::BTreeSet;

use super::start;
use crate::support::Server;

/// So many clients of each server increment one number so often: each counts.
pub fn all_count(servers: &[Server], clients: usize, times: usize) {
    let before: i64 =
        servers[0].get("/increment?key=all&delta=0").text().parse().expect("a number");
    let sums: Vec<i64> = std::thread::scope(|scope| {
        let clients: Vec<_> = servers
            .iter()
            .flat_map(|server| (0..clients).map(move |_| server))
            .map(|server| {
                scope.spawn(move || {
                    let mut client = server.connect();
                    let one = |_| client.get("/increment?key=all").text().parse().expect("a sum");
                    (0..times).map(one).collect::<Vec<i64>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    let count = sums.len() as i64;
    let seen: BTreeSet<i64> = sums.into_iter().collect();
    assert_eq!(seen, (before + 1..=before + count).collect(), "each sum is given once");
}

/// All operations, one after the other.
pub fn all_operations(server: &Server) {
    let get = |target: &str| server.get(target).text().to_owned();
    for (target, said) in [
        ("/get?key=a", "none"),
        ("/exists?key=a", "false"),
        ("/delete?key=a", "deleted"),
        ("/set?key=a&value=1", "set"),
        ("/exists?key=a", "true"),
        ("/set?key=a&value=2", "set"),
        ("/get?key=a", "2"),
        ("/increment?key=a&delta=40", "42"),
        ("/increment?key=a&delta=-50", "-8"),
        ("/increment?key=new&delta=7", "7"),
        ("/set?key=empty", "set"),
        ("/get?key=empty", ""),
        ("/exists?key=empty", "true"),
        ("/append?key=list", "appended"),
        ("/append?key=list", "appended"),
        ("/get?key=list", "++"),
        ("/delete?key=a", "deleted"),
        ("/get?key=a", "none"),
        ("/fill?count=3&bytes=2", "filled"),
        ("/get-many?from=1&to=9", "2"),
        ("/delete-many?from=0&to=9", "deleted"),
        ("/get-many?from=0&to=9", "0"),
    ] {
        assert_eq!(get(target), said, "{target}");
    }
    for (value, delta) in [("many", "1"), ("", "1"), ("9223372036854775807", "1"), ("1.5", "1")] {
        get(&format!("/set?key=n&value={value}"));
        let said = get(&format!("/increment?key=n&delta={delta}"));
        assert!(said.contains("no whole number"), "{value}: {said}");
        assert_eq!(get("/get?key=n"), value, "it is left as it was");
    }
    assert_eq!(get("/set?key=n&value=9007199254740993"), "set");
    assert_eq!(get("/increment?key=n"), "9007199254740994", "beyond 53 bits");
}

/// Lists all keys, page by page, while others come and go: those that are there all
/// the while are listed.
pub fn listings_are_pages(server: &Server) {
    assert_eq!(server.get("/fill?count=3000&bytes=1").text(), "filled");
    let (mut seen, mut next, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let target = if pages == 0 { "/page".to_owned() } else { format!("/page?next={next}") };
        let answer = server.get(&target).text().to_owned();
        let (cursor, keys) = answer.split_once('\n').expect("a cursor, then keys");
        let keys: Vec<&str> = keys.lines().collect();
        assert!(keys.len() <= 1_200, "a page has {} keys", keys.len());
        seen.extend(keys.iter().map(|key| (*key).to_owned()));
        (next, pages) = (cursor.to_owned(), pages + 1);
        if next.is_empty() {
            break;
        }
        // What has been seen goes, and others come.
        server.get(&format!("/delete-many?from={}&to={}", pages * 10, pages * 10 + 5));
        server.get(&format!("/set?key=new-{pages}"));
    }
    assert!(pages >= 3, "{pages} pages");
    let stays = (0..3_000).filter(|n| *n < 10 || n % 10 >= 5 || *n > pages * 10 + 5);
    for key in stays.map(|n| format!("key-{n}")) {
        assert!(seen.contains(&key), "{key} was not listed");
    }
    for wrong in ["x", "-1", "99999999999999999999"] {
        let said = server.get(&format!("/page?next={wrong}")).text().to_owned();
        assert!(said.contains("the cursor is none"), "{said}");
    }
}

#[test]
fn every_operation_does_what_it_says() {
    let folder = tempfile::tempdir().expect("a folder");
    all_operations(&start(folder.path(), &[]));
}

#[test]
fn increments_and_swaps_of_all_instances_count() {
    let folder = tempfile::tempdir().expect("a folder");
    for reuse in ["1", "100"] {
        let server = [start(folder.path(), &["--reuse", reuse])];
        std::thread::scope(|scope| {
            scope.spawn(|| all_count(&server, 20, 25));
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..10).for_each(|_| {
                        assert_eq!(server[0].get("/append?key=list").text(), "appended");
                    });
                });
            }
        });
    }
    let server = start(folder.path(), &[]);
    assert_eq!(server.get("/size?key=list").text(), "80", "no swap was lost");
}

#[test]
fn keys_are_listed_in_pages_that_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    listings_are_pages(&start(folder.path(), &[]));
}
