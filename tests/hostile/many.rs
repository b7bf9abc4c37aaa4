//! C7: more components than are loaded at the same time.

use std::fs;

use super::component::{handlers, numbered, small};
use crate::support::{Server, guest};

/// Components that a server has loaded now: each is a file of memory.
fn loaded(server: &Server) -> usize {
    let opened = fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("Linux");
    let links = opened.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("/memfd:component")).count()
}

/// Numbers up to one, the small ones far more often than the large.
struct Zipf {
    state: u64,
    most: u64,
}

impl Iterator for Zipf {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        // xorshift64
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let part = (self.state >> 11) as f64 / (1_u64 << 53) as f64;
        Some(((self.most as f64).powf(part) as u64).min(self.most) - 1)
    }
}

/// Asks for components like a large host's visitors do, and looks at what the
/// server has loaded.
fn stay_within_bounds(count: u64, requests: usize) {
    let folder = handlers((0..count).map(|n| (format!("a{n}"), numbered(&small(), n))));
    let apps = folder.path().display().to_string();
    let good = format!("/good={}", guest("hello"));
    let server = Server::start(&["--handlers", &apps, "--app", &good, "--max-code", "4MiB"]);
    assert_eq!(loaded(&server), 0, "nothing is loaded that nobody has asked for");
    let bound = 4 << 20;
    std::thread::scope(|scope| {
        for seed in 1..=4 {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.connect();
                let some = Zipf { state: seed * 0x9e37_79b9, most: count };
                let all = (0..count).filter(|n| n % 4 == seed - 1);
                for n in all.chain(some.take(requests)) {
                    assert_eq!(client.get(&format!("/a{n}")).text(), "ok\n", "a{n}");
                }
            });
        }
        while loaded(&server) == 0 {
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        assert_eq!(server.get("/good/sayhello").text(), "Hello, world!\n");
    });
    // One that runs, or was loaded just now, is more than the bound for a moment.
    let most = bound / smallest(&server) + 8;
    let now = loaded(&server);
    assert!(now > 4 && now <= most, "{now} are loaded, of {count}; the bound is some {most}");
    assert_eq!(server.get("/good/sayhello").text(), "Hello, world!\n");
}

/// The size of the smallest loaded component.
fn smallest(server: &Server) -> usize {
    let opened = fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("Linux");
    let paths = opened.filter_map(|entry| Some(entry.ok()?.path()));
    let ours = paths.filter(|path| {
        let link = fs::read_link(path).unwrap_or_default();
        link.to_string_lossy().starts_with("/memfd:component")
    });
    let sizes = ours.filter_map(|path| Some(fs::metadata(path).ok()?.len()));
    sizes.min().and_then(|size| usize::try_from(size).ok()).expect("one is loaded")
}

#[test]
fn c7_components_are_loaded_when_asked_for_and_others_make_room() {
    stay_within_bounds(300, 200);
}

#[test]
#[ignore = "it compiles 10,000 components; cargo xtask test --long"]
fn c7_ten_thousand_components_stay_within_bounds() {
    stay_within_bounds(10_000, 20_000);
}

#[test]
fn equal_components_share_their_code() {
    let folder = handlers((0..150).map(|n| (format!("a{n}"), small())));
    let apps = folder.path().display().to_string();
    let server = Server::start(&["--handlers", &apps]);
    for n in 0..150 {
        assert_eq!(server.get(&format!("/a{n}")).text(), "ok\n");
    }
    assert_eq!(loaded(&server), 1);
}
