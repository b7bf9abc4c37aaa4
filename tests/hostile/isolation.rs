//! Rows C: nothing of one tenant, app or request reaches another.

use std::time::Instant;

use super::component::{Core, write};
use crate::support::{Server, test_guest};

/// Fills the memory, a table, a global and the stack with what must not be seen
/// again.
fn canary() -> Core {
    Core {
        more: "(table $t 1000 funcref) (elem declare func $f) (func $f)
            (global $g (mut i64) (i64.const 0))
            (func $deep (param i32) (result i64) (local $canary i64)
              (local.set $canary (i64.const 0xcacacacacacacaca))
              (if (result i64) (local.get 0)
                (then (i64.add (local.get $canary)
                  (call $deep (i32.sub (local.get 0) (i32.const 1)))))
                (else (local.get $canary))))"
            .to_owned(),
        memory: "16",
        application: "
            (table.fill $t (i32.const 0) (ref.func $f) (i32.const 1000))
            (global.set $g (call $deep (i32.const 1000)))
            (memory.fill (i32.const 4096) (i32.const 0xca) (i32.const 61440))
            (memory.fill (i32.const 131072) (i32.const 0xca) (i32.const 917504))",
        ..Core::default()
    }
}

/// Grows its memory to the limit and looks at every byte of it that the server
/// does not write, and at its table and its global; traps if there is anything.
fn scanner() -> Core {
    Core {
        more: "(table $t 1000 funcref) (global $g (mut i64) (i64.const 0))".to_owned(),
        memory: "2",
        application: "
            (if (i32.eq (memory.grow (i32.const 14)) (i32.const -1)) (then unreachable))
            (if (i64.ne (global.get $g) (i64.const 0)) (then unreachable))
            (local.set $at (i32.const 4096))
            (loop $first
              (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
              (local.set $at (i32.add (local.get $at) (i32.const 8)))
              (br_if $first (i32.lt_u (local.get $at) (i32.const 65536))))
            (local.set $at (i32.const 131072))
            (loop $bytes
              (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
              (local.set $at (i32.add (local.get $at) (i32.const 8)))
              (br_if $bytes (i32.lt_u (local.get $at) (i32.const 1048576))))
            (local.set $at (i32.const 0))
            (loop $entries
              (if (i32.eqz (ref.is_null (table.get $t (local.get $at)))) (then unreachable))
              (local.set $at (i32.add (local.get $at) (i32.const 1)))
              (br_if $entries (i32.lt_u (local.get $at) (i32.const 1000))))",
        ..Core::default()
    }
}

/// The engines: that of whole answers, that of the streams of 0.3, and that of
/// scripts.
#[derive(Clone, Copy, Debug)]
enum Engine {
    Plain,
    Concurrent,
    Deep,
}

const ENGINES: [Engine; 3] = [Engine::Plain, Engine::Concurrent, Engine::Deep];

/// What `myweb-run build` puts at the end of what it built of Python.
const MARK: &[u8] = b"\0\x13\x0cmyweb:sourcepython";

impl Engine {
    /// A component for this engine that does what a core does.
    fn build(self, name: &str, core: &Core) -> String {
        match self {
            // A component may have two memories: each has both of the only slot.
            Engine::Plain => write(&format!("c1-plain-{name}"), &core.beside(&core.bytes())),
            Engine::Deep => {
                let both = core.beside(&core.bytes());
                write(&format!("c1-deep-{name}"), &[&both, MARK].concat())
            }
            // What serves is a guest of 0.3; what is tested runs as it starts.
            Engine::Concurrent => {
                let guest = std::fs::read(test_guest("wasi_http_03")).expect("a guest");
                write(&format!("c1-concurrent-{name}"), &core.beside(&guest))
            }
        }
    }

    fn answer(self) -> &'static str {
        match self {
            Engine::Plain | Engine::Deep => "ok\n",
            Engine::Concurrent => "Hello, world!\n",
        }
    }
}

/// Two apps alternate through the only slot of the pool: of one tenant, since two
/// tenants would have a place each.
fn alternate(engine: Engine, times: usize) {
    let began = Instant::now();
    let apps = [("canary", canary()), ("scanner", scanner())];
    let apps = apps.map(|(name, core)| format!("/{name}={}", engine.build(name, &core)));
    // A guest of streams may go on after its answer: the next one waits for its place.
    let limits = ["--instances", "1", "--max-concurrency", "1", "--max-memory", "4MiB"];
    let apps = ["--app", &apps[0], "--app", &apps[1], "--reuse", "1"];
    let server = Server::start(&[&apps[..], &limits[..]].concat());
    let mut client = server.connect();
    for _ in 0..times {
        assert_eq!(client.get("/canary/hello").text(), engine.answer());
        assert_eq!(client.get("/scanner/hello").text(), engine.answer(), "a canary was seen");
    }
    println!("{engine:?}: {} reuses in {:?}, nothing was seen", 2 * times, began.elapsed());
}

#[test]
fn c1_a_slot_keeps_nothing_of_who_had_it() {
    ENGINES.into_iter().for_each(|engine| alternate(engine, 300));
}

#[test]
#[ignore = "a million reuses of a slot: with `cargo xtask test --long`"]
fn c1_a_slot_keeps_nothing_of_who_had_it_a_million_times() {
    alternate(Engine::Plain, 500_000);
}

#[test]
#[ignore = "a million reuses of a slot: with `cargo xtask test --long`"]
fn c1_a_slot_of_the_engine_of_scripts_keeps_nothing_a_million_times() {
    alternate(Engine::Deep, 500_000);
}

#[test]
#[ignore = "a million reuses of a slot: with `cargo xtask test --long`"]
fn c1_a_slot_of_the_engine_of_streams_keeps_nothing_a_million_times() {
    alternate(Engine::Concurrent, 500_000);
}

/// What finds canaries finds each of them, wherever it is: in one that fills its
/// own, and looks.
#[test]
fn c1_a_canary_would_be_seen() {
    for (place, fill) in [
        ("global", "(global.set $g (i64.const 1))"),
        ("first-page", "(i32.store8 (i32.const 65535) (i32.const 1))"),
        ("further-pages", "(i32.store8 (i32.const 1048575) (i32.const 1))"),
        ("table", "(table.set $t (i32.const 999) (ref.func $f))"),
    ] {
        let both = format!("{fill}{}", scanner().application);
        for engine in ENGINES {
            let core = Core { application: both.clone().leak(), ..canary() };
            let app = format!("/={}", engine.build(&format!("seen-{place}"), &core));
            let server = Server::start(&["--app", &app]);
            assert_eq!(server.get("/hello").status, 500, "{engine:?} {place}");
        }
    }
    // And nothing else: what fills nothing is answered.
    let core = Core { application: scanner().application, ..canary() };
    let app = format!("/={}", Engine::Plain.build("seen-nothing", &core));
    assert_eq!(Server::start(&["--app", &app]).get("/hello").status, 200);
}
