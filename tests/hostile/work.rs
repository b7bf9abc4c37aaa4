//! Row F3: work of the server itself whose cost a client chooses is done in the turns of
//! its tenant, and is charged to its tenant.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use serde_json::Value;

use super::{ask, good_tenant};
use crate::support::{Client, Server, wait_for};

/// Clients that take an encoded text at the same time.
const CLIENTS: usize = 64;
/// Requests of the victim meanwhile.
const REQUESTS: usize = 200;
/// Encoded bytes that all clients may get for each answer of the victim: a few pieces.
/// Where connections were held up, each answer waited for a hundred pieces.
const BESIDE: usize = 100_000;

/// A large file, and what the server sends of one before others have their turn, in bytes.
const PARTS: usize = 256;
const PART: usize = 64 << 10;
const TURN: usize = 128 << 10;

const BROTLI: &str = "Accept-Encoding: br\r\n";

/// Ends what watches a flag, also when a test fails.
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A text of so many lines, which becomes smaller in a coding.
fn text(lines: u64) -> String {
    let number = |line: u64| line.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (0..lines).map(|line| format!("line {line} has the number {}\n", number(line))).collect()
}

/// A good tenant, and a bad one at `localhost` with the files of a folder.
fn start(folder: &Path) -> Server {
    let bad = "[[tenant]]\nname = \"bad\"\nhosts = [\"localhost\"]\n[[tenant.route]]\n\
               path = \"/*\"\nstatic = \"files\"\nlisting = true\n";
    let log = "access-log = { path = \"access.log\" }\n";
    fs::write(folder.join("myweb.toml"), format!("{log}{}{bad}", good_tenant())).expect("a file");
    Server::start_in(folder, &[])
}

/// The CPU time of each request to the bad tenant, in microseconds, once there are so many.
fn charged(folder: &Path, count: usize) -> Vec<u64> {
    let lines = || -> Vec<u64> {
        let log = fs::read_to_string(folder.join("access.log")).unwrap_or_default();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let bad = lines.filter(|line| line["tenant"] == "bad");
        bad.filter_map(|line| line["cpu_us"].as_u64()).collect()
    };
    wait_for(|| lines().len() >= count);
    lines()
}

/// Sends a request for a text, and reads the head of its response.
fn begin(client: &mut Client, target: &str) {
    let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{BROTLI}\r\n");
    client.send(head.as_bytes());
    let head = client.read_head();
    assert!(head.contains("content-encoding: br"), "{head}");
}

/// Lets clients take a body again and again, a part at a time: `take` does, and tells how
/// many bytes it took. How many came for each answer of the victim meanwhile.
fn taken_beside(
    server: &Server,
    take: impl Fn(&mut Client, &dyn Fn(usize) -> bool) + Sync,
) -> usize {
    let (taken, begun, over) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let clients = || {
        let mut client = server.connect();
        let has_begun = AtomicBool::new(false);
        while !over.load(Relaxed) {
            take(&mut client, &|count| {
                begun.fetch_add(usize::from(!has_begun.swap(true, Relaxed)), Relaxed);
                taken.fetch_add(count, Relaxed);
                !over.load(Relaxed)
            });
        }
    };
    std::thread::scope(|scope| {
        let _ends = Ends(&over);
        (0..CLIENTS).for_each(|_| drop(scope.spawn(clients)));
        wait_for(|| begun.load(Relaxed) >= CLIENTS);
        let before = taken.load(Relaxed);
        let mut victim = server.connect();
        for _ in 0..REQUESTS {
            let answer = ask(&mut victim, "good.example", "/good/sayhello");
            assert_eq!(answer.text(), "Hello, world!\n");
        }
        (taken.load(Relaxed) - before) / REQUESTS
    })
}

#[test]
fn f3_a_tenant_is_answered_while_64_clients_take_an_encoded_text() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("files")).expect("a folder");
    fs::write(folder.path().join("files/text.txt"), text(100_000)).expect("a file");
    let server = start(folder.path());
    let each = taken_beside(&server, |client, took| {
        begin(client, "/text.txt");
        loop {
            let count = client.read_chunk().len();
            if !took(count) || count == 0 {
                return;
            }
        }
    });
    assert!(each < BESIDE, "{each} encoded bytes were sent for each answer of the victim");
}

#[test]
fn f3_a_tenant_is_answered_while_64_clients_take_a_large_file() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("files")).expect("a folder");
    fs::write(folder.path().join("files/large.bin"), vec![0; PARTS * PART]).expect("a file");
    let server = start(folder.path());
    let each = taken_beside(&server, |client, took| {
        client.send(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.read_head();
        for _ in 0..PARTS {
            if !took(client.read(PART).len()) {
                return;
            }
        }
    });
    let most = 8 * CLIENTS * TURN;
    assert!(each < most, "{each} bytes were sent for each answer of the victim, {most} expected");
}

#[test]
fn f3_encoding_is_charged_to_its_request_and_ends_with_its_client() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("files")).expect("a folder");
    fs::write(folder.path().join("files/text.txt"), text(500_000)).expect("a file");
    let server = start(folder.path());
    let whole = server.request("GET", "/text.txt", BROTLI, b"");
    assert_eq!(whole.header("content-encoding"), Some("br"));
    let whole = charged(folder.path(), 1)[0];
    assert!(whole > 10_000, "{whole} us for 18 MB");
    for _ in 0..8 {
        let mut client = server.connect();
        begin(&mut client, "/text.txt");
        client.read_chunk();
    }
    let left = charged(folder.path(), 9);
    let most = left[1..].iter().max().expect("eight lines");
    assert!(*most < whole / 2, "{most} us for a client that left, {whole} us for the whole");
}

#[test]
fn f3_a_long_listing_is_whole_and_charged_to_its_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = folder.path().join("files");
    for (name, count) in [("few", 5), ("many", 1_500), ("more", 2_100)] {
        fs::create_dir_all(files.join(name)).expect("a folder");
        for number in 0..count {
            fs::write(files.join(name).join(format!("{number:04}")), b"").expect("a file");
        }
    }
    // What is not listed counts, too.
    fs::create_dir_all(files.join("hidden")).expect("a folder");
    for number in 0..2_100 {
        fs::write(files.join("hidden").join(format!(".{number}")), b"").expect("a file");
    }
    let server = start(folder.path());
    for (name, listed, cut) in
        [("few", 5, false), ("many", 1_500, false), ("more", 2_000, true), ("hidden", 0, true)]
    {
        let answer = server.get(&format!("/{name}/"));
        let page = answer.text();
        assert_eq!(page.matches("<a href=\"./").count(), listed, "{name}");
        assert_eq!(page.contains("More than 2000 entries"), cut, "{name}");
        let names: Vec<&str> = page.split("<a href=\"./").skip(1).map(|rest| &rest[..4]).collect();
        assert!(names.is_sorted(), "{name}");
    }
    let charged = charged(folder.path(), 4);
    assert!(charged[1..].iter().all(|used| *used > 200), "{charged:?} us");
}
