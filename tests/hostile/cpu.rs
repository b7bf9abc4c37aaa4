//! Rows A: CPU, memory, stack.

use super::component::{Core, drops, length, reads, write};
use super::{BESIDE, Bad, MEMORY, Victim, forget_peak, memory_of, server};
use crate::support::{Server, root, run, test_guest};

const FOR_EVER: &str = "(loop (br 0))";

fn bad(name: &str, core: &Core) -> Server {
    server(&core.build(name), "")
}

/// Starts with a component that must be refused, and returns what is said.
fn refused(name: &str, bytes: &str, more: &[&str]) -> String {
    let (code, output) = run(&root(), &[&["--addr", "127.0.0.1:0", "--app", bytes], more].concat());
    assert_eq!(code, Some(1), "{name}: {output}");
    assert_eq!(output.lines().count(), 1, "{name}: {output}");
    assert!(output.contains(".wasm: ") && !output.contains("panicked"), "{name}: {output}");
    output
}

#[test]
fn a1_infinite_loops_are_stopped() {
    let server = server(&test_guest("misbehave"), "");
    let cores = std::thread::available_parallelism().expect("a number").get();
    Victim::of(&server).beside(8 * cores, || assert_eq!(server.get("/bad/loop").status, 504));
}

#[test]
fn a2_loops_where_no_request_is_served_yet_or_any_more_are_stopped() {
    let start =
        Core { more: format!("(func $start {FOR_EVER}) (start $start)"), ..Core::default() };
    let realloc = Core { realloc: "(loop (br 0)) unreachable", ..Core::default() };
    let post_return = Core { post_return: FOR_EVER, ..Core::default() };
    for (name, core) in
        [("a2-start", start), ("a2-realloc", realloc), ("a2-post-return", post_return)]
    {
        let server = bad(name, &core);
        Victim::of(&server).beside(4, || assert_eq!(server.get("/bad").status, 504, "{name}"));
    }
}

#[test]
fn a3_bulk_operations_are_stopped_too() {
    let fill = "(loop (memory.fill (i32.const 65536) (i32.const 1) (i32.const 16646144)) (br 0))";
    let server = bad("a3", &Core { memory: "256", application: fill, ..Core::default() });
    Victim::of(&server).beside(4, || assert_eq!(server.get("/bad").status, 504));
    // As large as a memory is by default: one operation is as long as it gets.
    let fill = "(loop (memory.fill (i32.const 65536) (i32.const 1) (i32.const 134152192)) (br 0))";
    let large = Core { memory: "2048", application: fill, ..Core::default() }.build("a3-large");
    let limits = "limits = { memory = \"128MiB\" }";
    let server = Bad { app: &large, at: "/bad", limits: "tenant-memory = \"1GiB\"", route: limits };
    let server = server.start();
    let attack = || assert_eq!(server.get("/bad").status, 504);
    Victim::of_large(&server, 128).beside(4, attack);
}

#[test]
fn a4_memory_ends_at_its_limit() {
    let server = server(&test_guest("misbehave"), "");
    let victim = Victim::of(&server);
    victim.beside(4, || assert_eq!(server.get("/bad/allocate").status, 507));
    victim.beside(1, || {
        let pages: usize = server.get("/bad/grow").text().parse().expect("pages");
        assert!(pages <= 256, "{pages}");
    });
    let at_once = "(if (i32.ne (memory.grow (i32.const 65534)) (i32.const -1)) (then unreachable))";
    let server = bad("a4", &Core { application: at_once, ..Core::default() });
    Victim::of(&server).beside(4, || assert_eq!(server.get("/bad").text(), "ok\n"));
    let large = Core { memory: "65536", ..Core::default() }.build("a4-minimum");
    assert!(refused("a4", &large, &[]).contains("raise the memory limit"));
}

#[test]
fn a4_memory_of_who_is_gone_is_given_back_before_another_has_as_much() {
    let server = server(&test_guest("misbehave"), "");
    assert_eq!(server.get("/bad/status?code=200").status, 200);
    let before = memory_of(&server, "VmRSS");
    forget_peak(&server);
    for _ in 0..40 {
        assert_eq!(server.get("/bad/allocate").status, 507);
    }
    let grown = memory_of(&server, "VmHWM").saturating_sub(before);
    assert!(grown <= (MEMORY + BESIDE) << 10, "{grown} KiB");
}

#[test]
fn a6_tables_and_parts_are_bounded() {
    let grow =
        "(loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))";
    let table = |size: &str| format!("(table $t {size} funcref)");
    let server = bad("a6", &Core { more: table("1"), application: grow, ..Core::default() });
    Victim::of(&server).beside(4, || assert_eq!(server.get("/bad").text(), "ok\n"));
    for (name, more) in [
        ("a6-minimum", table("2147483648")),
        ("a6-tables", "(table 1 funcref)".repeat(100)),
        ("a6-memories", "(memory 1)".repeat(10)),
    ] {
        refused(name, &Core { more, ..Core::default() }.build(name), &[]);
    }
    let instances = |count: usize| Core {
        component: "(core instance (instantiate $m))".repeat(count),
        memory: "0",
        ..Core::default()
    };
    let said = refused("a6-instances", &instances(100).build("a6-instances"), &[]);
    assert!(said.contains("instances"), "{said}");
}

/// The lists of an answer may lie over each other: then they are many times as
/// large for who reads them.
#[test]
fn a4_an_answer_is_read_within_its_tenants_memory() {
    let headers = "
        (local.set $at (i32.const 131072))
        (loop $headers
          (i32.store (local.get $at) (i32.const 2048))
          (i32.store offset=4 (local.get $at) (i32.const 1))
          (i32.store offset=12 (local.get $at) (i32.const 65536))
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (br_if $headers (i32.lt_u (local.get $at) (i32.const 147072))))";
    let answer = r"\c8\00\00\00\00\00\02\00\e8\03\00\00\00\00\00\00\00\08\00\00\03\00\00\00";
    let over = Core { memory: "4", application: headers, answer, ..Core::default() };
    let overlaid = bad("a4-over", &Core { post_return: FOR_EVER, ..over });
    Victim::of_large(&overlaid, 1).beside(16, || assert_eq!(overlaid.get("/bad").status, 502));
    // A body of 7 MiB is nearly twice as much while its guest is not gone.
    let answer = r"\c8\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\02\00\00\00\70\00";
    let held = Core { memory: "128", answer, post_return: FOR_EVER, ..Core::default() };
    let held = held.build("a4-held");
    for (most, status) in [("12MiB", 507), ("40MiB", 504)] {
        let server = server(&held, &format!("tenant-memory = \"{most}\""));
        Victim::of(&server).beside(1, || assert_eq!(server.get("/bad").status, status));
    }
}

#[test]
fn a7_recursion_ends_in_a_trap() {
    let server = server(&test_guest("misbehave"), "");
    Victim::of(&server).beside(4, || assert_eq!(server.get("/bad/recurse").status, 500));
    let realloc = "(call $deep) unreachable";
    let more = "(func $deep (call $deep) (call $deep))".to_owned();
    let server = bad("a7", &Core { more, realloc, ..Core::default() });
    Victim::of(&server).beside(4, || assert_eq!(server.get("/bad").status, 500));
}

#[test]
fn a7_what_the_server_calls_cannot_call_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("big"), "small").expect("a file");
    let route = format!("grants = {{ files = {:?} }}", folder.path());
    let again = "(call_indirect (type $read)
        (i32.const 16) (i32.const 3) (i32.const 64) (i32.const 0))";
    for (name, calls, status) in [("a7-calls", again, 500), ("a7-calls-nothing", "", 200)] {
        let app = reads(&format!("{calls} (i32.const 4096)")).build(name);
        let server = Bad { app: &app, at: "/bad", limits: "", route: &route }.start();
        Victim::of(&server).beside(4, || assert_eq!(server.get("/bad").status, status, "{name}"));
    }
}

#[test]
fn a7_a_component_in_a_component_without_end_is_refused() {
    const HEAD: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
    // A section of kind 4 is a component, with its length.
    let section = |inner: &[u8]| [&[4], &length(inner.len())[..], inner].concat();
    let nested = |depth: usize| {
        let inner =
            (0..depth).fold(HEAD.to_vec(), |inner, _| [&HEAD[..], &section(&inner)].concat());
        [&Core::default().bytes()[..], &section(&inner)].concat()
    };
    let server = server(&write("a7-shallow", &nested(2)), "");
    assert_eq!(server.get("/bad").text(), "ok\n", "a few are nobody's harm");
    let little = ["--max-compile-memory", "512MiB"];
    let said = refused("a7", &write("a7-nested", &nested(20_000)), &little);
    assert!(said.contains("compiling it takes more than 512MiB of memory"), "{said}");
}

#[test]
fn a7_a_type_in_a_type_without_end_is_refused() {
    let with = |depth: usize| {
        let types: String =
            (1..depth).map(|n| format!("(type $t{n} (list $t{}))", n - 1)).collect();
        let more = format!("(component (type $t0 (list u8)) {types})");
        let more = wat::parse_str(more).expect("a component");
        [&Core::default().bytes()[..], &[4], &length(more.len()), &more].concat()
    };
    let server = server(&write("a7-few-types", &with(10)), "");
    assert_eq!(server.get("/bad").text(), "ok\n", "a few are nobody's harm");
    let said = refused("a7", &write("a7-types", &with(10_000)), &[]);
    assert!(said.contains("type"), "{said}");
}

#[test]
fn a8_a_trap_anywhere_is_the_requests_own() {
    for (name, core) in [
        ("a8-application", Core { application: "unreachable", ..Core::default() }),
        ("a8-realloc", Core { realloc: "unreachable", ..Core::default() }),
        ("a8-post-return", Core { post_return: "unreachable", ..Core::default() }),
        (
            "a8-start",
            Core { more: "(func $s unreachable) (start $s)".to_owned(), ..Core::default() },
        ),
        ("a8-destructor", drops("unreachable")),
    ] {
        let server = bad(name, &core);
        Victim::of(&server).beside(4, || assert_eq!(server.get("/bad").status, 500, "{name}"));
    }
    assert_eq!(bad("a8-dropped", &drops("")).get("/bad").text(), "ok\n");
    let app = test_guest("misbehave");
    let server = Bad { app: &app, at: "/bad", limits: "", route: "reuse = 1000" }.start();
    Victim::of(&server).beside(1, || {
        let mut client = server.connect();
        for calls in 0..20 {
            assert_eq!(client.get(&format!("/bad/trap?calls={calls}")).status, 500, "{calls}");
            assert_eq!(client.get("/bad/ok").text(), "ok\n", "after {calls}");
        }
    });
}

#[test]
fn a10_features_that_are_off_are_refused_by_name() {
    let relaxed = "(func (param v128 v128 v128) (result v128) \
        (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2)))";
    for (name, feature, more) in [
        ("a10-memory64", "memory64", "(memory i64 1)"),
        ("a10-threads", "threads", "(memory 1 1 shared)"),
        ("a10-gc", "gc", "(type (struct (field i32)))"),
        ("a10-exceptions", "exceptions", "(tag (param i32))"),
        ("a10-relaxed-simd", "relaxed SIMD", relaxed),
    ] {
        let core = Core { memory: "2", more: more.to_owned(), ..Core::default() };
        let message = refused(name, &core.build(name), &[]);
        // What is said after the file's name, which has the feature's in it.
        let why = message.split(".wasm: ").nth(1).expect("a reason");
        assert!(why.contains(feature), "{name}: {message}");
        assert!(why.contains("build it without that feature"), "{name}: {message}");
    }
}
