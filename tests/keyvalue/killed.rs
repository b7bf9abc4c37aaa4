//! A server that is killed loses nothing that it has answered.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use super::start;
use crate::support::{Client, Server};

/// Increments until the server is gone, or so many were asked for.
fn increment(client: &mut Client, asked: &AtomicI64, answered: &AtomicI64, most: i64) {
    while asked.fetch_add(1, SeqCst) < most {
        client.send(b"GET /increment?key=n HTTP/1.1\r\nHost: a\r\n\r\n");
        let Some(answer) = read(client) else { return };
        assert_eq!(answer.0, 200, "{}", answer.1);
        answer.1.parse::<i64>().expect("a sum");
        answered.fetch_add(1, SeqCst);
    }
}

/// An answer, unless the server broke off within it.
fn read(client: &mut Client) -> Option<(u16, String)> {
    let all = std::panic::AssertUnwindSafe(|| {
        let answer = client.read_answer()?;
        Some((answer.status, answer.text().to_owned()))
    });
    std::panic::catch_unwind(all).ok().flatten()
}

fn count(server: &Server) -> i64 {
    let text = server.get("/get?key=n").text().to_owned();
    if text == "none" { 0 } else { text.parse().expect("a number") }
}

/// Kills the server so often, each time after a part of so many increments: how
/// many were answered, and how many more were there.
fn kill(times: i64, increments: i64) -> (i64, i64) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut total, mut unanswered) = (0, 0);
    for round in 0..times {
        let server = start(folder.path(), &[]);
        let before = count(&server);
        let (asked, answered) = (AtomicI64::new(0), AtomicI64::new(0));
        // Spread over all of them, the last included.
        let moment = (round * 7_919 + 1_234) % increments;
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    increment(&mut server.connect(), &asked, &answered, increments);
                });
            }
            while answered.load(SeqCst) < moment {
                std::thread::park_timeout(std::time::Duration::from_micros(100));
            }
            server.signal("KILL");
        });
        let (asked, answered) = (asked.load(SeqCst).min(increments), answered.load(SeqCst));
        drop(server);
        let there = count(&start(folder.path(), &[])) - before;
        assert!(there >= answered, "round {round}: {there} of {answered} answered are there");
        assert!(there <= asked, "round {round}: {there} of {asked} asked for are there");
        (total, unanswered) = (total + answered, unanswered + there - answered);
    }
    (total, unanswered)
}

#[test]
fn a_server_that_is_killed_loses_no_increment_that_it_answered() {
    kill(3, 1_000);
}

#[test]
#[ignore = "minutes: with `cargo xtask test --long`"]
fn a_server_that_is_killed_a_hundred_times_loses_no_increment_that_it_answered() {
    let (answered, more) = kill(100, 10_000);
    println!("100 kills: {answered} answered and none lost, {more} there that were not answered");
}
