//! Row F1: names of functions that a component chooses. Each bomb is made here; a guest
//! that traps below functions of such names costs no more than any other.

use super::component::{Core, length, write};
use super::{Bad, Victim, server};
use crate::support::{Server, test_guest, wait_for};

/// The longest line of the log, in bytes: 12 names of 200 bytes, each of which
/// an escape makes six times as long.
const LONGEST_LINE: usize = 16 << 10;

/// A number as names of Rust write it: in base 62, less one.
fn base62(number: usize) -> String {
    const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    digits(number, DIGITS)
}

/// The same in base 36, as names of C++ write it.
fn base36(number: usize) -> String {
    digits(number, b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
}

fn digits(number: usize, of: &[u8]) -> String {
    let Some(mut rest) = number.checked_sub(1) else { return "_".to_owned() };
    let mut text = vec![b'_'];
    loop {
        text.insert(0, of[rest % of.len()]);
        rest /= of.len();
        if rest == 0 {
            return String::from_utf8(text).expect("digits");
        }
    }
}

/// A name of Rust's newer kind: `levels` tuples of `width` references to the one before,
/// the first to a path of `depth` parts.
fn rust(depth: usize, width: usize, levels: usize) -> String {
    let mut name = "IC1a".to_owned();
    let mut at = name.len();
    name += &format!("{}C0{}", "Nv".repeat(depth), "0".repeat(depth));
    for _ in 0..levels {
        let here = name.len();
        name += &format!("T{}E", format!("B{}", base62(at)).repeat(width));
        at = here;
    }
    format!("_R{name}E")
}

/// A name of C++: templates, each of which has the one before twice.
fn cpp(levels: usize, width: usize) -> String {
    let mut name = format!("_Z1fI1AI{}E", "a".repeat(width));
    for level in 0..levels {
        let (one, other) = (base36(1), base36(level + 2));
        name += &format!("S{one}I{}E", format!("S{other}").repeat(width));
    }
    name + "Evv"
}

/// A component whose function traps below thirty functions of this name.
fn traps(name: &str) -> Core {
    let name: String = name.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let calls = |at: usize| match at {
        0 => "unreachable".to_owned(),
        at => format!("(call $f{})", at - 1),
    };
    let more: Vec<String> =
        (0..30).map(|at| format!("(func $f{at} (@name \"{name}\") {})", calls(at))).collect();
    Core { more: more.concat(), application: "(call $f29)", ..Core::default() }
}

/// Gives each function of a component's modules another name, in their sections of
/// names.
fn renamed(component: &[u8], name: &[u8]) -> Vec<u8> {
    const MODULE: u8 = 1;
    const COMPONENT: u8 = 4;
    sections(component, |kind, content| match kind {
        MODULE => sections(content, |kind, content| match content.strip_prefix(b"\x04name") {
            Some(names) if kind == 0 => [b"\x04name".to_vec(), renamed_all(names, name)].concat(),
            _ => content.to_vec(),
        }),
        COMPONENT => renamed(content, name),
        _ => content.to_vec(),
    })
}

/// A module or a component with its sections changed.
fn sections(bytes: &[u8], change: impl Fn(u8, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let (head, mut rest) = bytes.split_at(8);
    let mut all = head.to_vec();
    while let Some((kind, after)) = rest.split_first() {
        let (size, after) = number(after);
        let (content, after) = after.split_at(size);
        let content = change(*kind, content);
        all.extend([&[*kind][..], &length(content.len()), &content].concat());
        rest = after;
    }
    all
}

/// A section of names with another name for each function.
fn renamed_all(mut names: &[u8], name: &[u8]) -> Vec<u8> {
    const FUNCTIONS: u8 = 1;
    let mut all = Vec::new();
    while let Some((kind, after)) = names.split_first() {
        let (size, after) = number(after);
        let (content, after) = after.split_at(size);
        names = after;
        if *kind != FUNCTIONS {
            continue;
        }
        let (count, mut rest) = number(content);
        let mut content = length(count);
        for _ in 0..count {
            let (index, after) = number(rest);
            let (size, after) = number(after);
            content.extend([&length(index), &length(name.len()), name].concat());
            rest = &after[size..];
        }
        all.extend([&[FUNCTIONS][..], &length(content.len()), &content].concat());
    }
    all
}

/// A number as WebAssembly writes it (LEB128), and the rest.
fn number(bytes: &[u8]) -> (usize, &[u8]) {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0).expect("an end") + 1;
    let (number, rest) = bytes.split_at(end);
    (number.iter().rev().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f)), rest)
}

/// Each trap of a component is 500, costs little, and has one line of the log, which
/// begins so behind the word `in`.
fn costs_little(server: &Server, targets: &[&str], shown: &str) {
    let victim = Victim::of(server);
    victim.beside(2, || {
        let mut client = server.connect();
        for target in targets.iter().cycle().take(20) {
            assert_eq!(super::ask(&mut client, "bad.example", target).status, 500, "{target}");
        }
    });
    let is_trap = |line: &&String| line.contains("tenant bad");
    let mut logged = Vec::new();
    wait_for(|| {
        logged.extend(server.log_so_far());
        logged.iter().filter(is_trap).count() >= 40
    });
    let traps: Vec<&String> = logged.iter().filter(is_trap).collect();
    for line in &logged {
        assert!(line.len() < LONGEST_LINE, "{} bytes: {line:.300}", line.len());
        assert!(!line.contains("forged") || line.contains("tenant bad"), "{line:.300}");
    }
    assert!(traps.iter().any(|line| line.contains(shown)), "{:.300}", traps[0]);
}

#[test]
fn f1_names_that_stand_for_gigabytes_cost_what_others_do() {
    for (number, name) in [
        rust(100, 100, 3),
        rust(2, 40, 12),
        rust(1_000, 10, 2),
        cpp(16, 2),
        cpp(35, 2),
        cpp(8, 12),
        format!("_ZN{}E", "1a".repeat(40_000)),
        format!("_ZN{}17h05af221e174051e9E", "4$u7b".repeat(30)),
        "_RNvC".to_owned() + &"u8_".repeat(30_000),
        format!("_ZN99999999999999999999{}E", "a".repeat(100)),
    ]
    .iter()
    .enumerate()
    {
        let app = traps(name).build(&format!("f1_bomb{number}"));
        let beginning = name.get(..60).unwrap_or(name);
        let beginning = match name.get(..4) {
            Some("_ZN1" | "_ZN4") => "",
            _ if name.len() > 16 << 10 => "function ",
            _ => beginning,
        };
        let shown = format!(
            "the guest trapped: wasm trap: wasm `unreachable` instruction executed, in {beginning}"
        );
        costs_little(&server(&app, ""), &["/bad"], &shown);
    }
}

#[test]
fn f1_names_are_as_long_as_a_line_allows_and_forge_none() {
    let forged = "a\r\n2026-01-01T00:00:00Z ERROR tenant good: forged\x1b[2J\0";
    for (number, (name, shown)) in [
        // The longest that is kept, and longer ones.
        ("x".repeat(16 << 10), format!("in {}... < ", "x".repeat(200))),
        ("x".repeat((16 << 10) + 1), "in function ".to_owned()),
        ("x".repeat(1 << 20), "in function ".to_owned()),
        ("\u{202e}".repeat(5_000), "in \\u{202e}".to_owned()),
        ("\x01".repeat(16_000), "in \\u{1}\\u{1}".to_owned()),
        (forged.to_owned(), "in a\\r\\n2026-01-01T00:00:00Z ERROR".to_owned()),
        (String::new(), "in ".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let app = traps(&name).build(&format!("f1_long{number}"));
        costs_little(&server(&app, ""), &["/bad"], &shown);
    }
}

#[test]
fn f1_one_function_with_a_name_of_many_megabytes_costs_what_others_do() {
    let name = "x".repeat(40 << 20);
    let core = Core {
        more: format!(
            "(func $f (@name \"{name}\") (param i32)
               (if (i32.eqz (local.get 0)) (then unreachable))
               (call $f (i32.sub (local.get 0) (i32.const 1))))"
        ),
        application: "(call $f (i32.const 100))",
        ..Core::default()
    };
    let app = core.build("f1_one");
    costs_little(&server(&app, ""), &["/bad"], "in function ");
}

#[test]
fn f1_a_trap_of_such_names_anywhere_costs_little() {
    let bomb = cpp(35, 2);
    let call = "(call $f29)";
    let realloc = "(call $f29) unreachable";
    let of = |core: Core| Core { application: "", ..core };
    for (name, core) in [
        ("realloc", Core { realloc, ..of(traps(&bomb)) }),
        ("post", Core { post_return: call, ..of(traps(&bomb)) }),
    ] {
        let app = core.build(&format!("f1_{name}"));
        costs_little(&server(&app, ""), &["/bad"], &bomb[..60]);
    }
    // The instance does not start.
    let app = write("f1_start", &traps(&bomb).beside(&super::component::small()));
    costs_little(&server(&app, ""), &["/bad"], &bomb[..60]);
}

#[test]
fn f1_components_of_all_worlds_have_bounded_names() {
    let bomb = rust(100, 100, 3);
    for (guest, targets) in [
        ("misbehave", &["/panic", "/recurse"][..]),
        ("wasi_http_02", &["/trap-at-once"]),
        ("wasi_http_03", &["/no-answer"]),
    ] {
        let component = std::fs::read(test_guest(guest)).expect("a guest");
        let app = write(&format!("f1_{guest}"), &renamed(&component, bomb.as_bytes()));
        let server = Bad { app: &app, at: "", limits: "", route: "" }.start();
        costs_little(&server, targets, &bomb[..60]);
    }
}
