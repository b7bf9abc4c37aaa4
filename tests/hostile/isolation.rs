//! Rows C: nothing of one tenant, app or request reaches another.

use super::component::Core;
use crate::support::Server;

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

/// Two apps alternate through the only slot of the pool.
fn alternate(times: usize) {
    let (canary, scanner) = (canary().build("c1-canary"), scanner().build("c1-scanner"));
    let apps = [format!("/canary={canary}"), format!("/scanner={scanner}")];
    let server = Server::start(&[
        "--app",
        &apps[0],
        "--app",
        &apps[1],
        "--instances",
        "1",
        "--max-memory",
        "1MiB",
    ]);
    let mut client = server.connect();
    for _ in 0..times {
        assert_eq!(client.get("/canary").text(), "ok\n");
        assert_eq!(client.get("/scanner").text(), "ok\n", "a canary was seen");
    }
}

#[test]
fn c1_a_slot_keeps_nothing_of_who_had_it() {
    alternate(300);
}

#[test]
#[ignore = "a million reuses of a slot: with `cargo xtask test --long`"]
fn c1_a_slot_keeps_nothing_of_who_had_it_a_million_times() {
    alternate(500_000);
}
