//! A9 and D1: components that take long to compile, and broken ones.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::component::{Core, handlers, numbered, small, write};
use crate::support::{Server, guest, root, run, wait_for};

/// More components than are loaded at the start: each is when it is asked for.
const MANY: u64 = 101;

/// A directory with many sound components, and some others.
fn among_many(others: Vec<(String, Vec<u8>)>) -> tempfile::TempDir {
    let many = (0..MANY).map(|n| (format!("many{n}"), numbered(&small(), n)));
    handlers(many.chain(others))
}

/// A function of so many statements, each of which needs all that was before.
fn long_function(statements: usize) -> String {
    let mut text = String::from("(func (param i32) (result i32) (local i32 i32 i32 i32) ");
    for at in 0..statements {
        let (one, two, three) = (at % 5, (at * 7 + 1) % 5, (at * 3 + 2) % 5);
        let _ = write!(
            text,
            "(if (i32.load (local.get {one})) (then (local.set {two} (i32.add (local.get {three}) \
             (i32.load offset={at} (local.get {two}))))))"
        );
    }
    text + "(local.get 1))"
}

fn with(more: String) -> Vec<u8> {
    Core { more, ..Core::default() }.bytes()
}

#[test]
fn a9_what_takes_too_long_to_compile_is_told_with_its_limit() {
    let long = write("a9_long", &with(long_function(150_000)));
    for (limits, said) in [
        (["--max-compile-time", "1s"], "compiling it takes longer than 1s; raise the compile-time"),
        (
            ["--max-compile-memory", "192MiB"],
            "takes more than 192MiB of memory; raise the compile-",
        ),
        (["--max-component", "1MiB"], "1MiB are allowed; raise the component limit"),
    ] {
        let (code, output) = run(&root(), &[&["--app", &long], &limits[..]].concat());
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains("a9_long.wasm: ") && output.contains(said), "{output}");
    }
}

#[test]
fn a9_shapes_that_explode_are_refused() {
    let table = "0 ".repeat(1_000_000);
    let table = format!("(func (param i32) (block (br_table {table} (local.get 0))))");
    let nested = format!("(func {}{})", "(block ".repeat(20_000), ")".repeat(20_000));
    // A component of a component of a component.
    let mut matryoshka = Vec::new();
    for _ in 0..2_000 {
        let mut outer = vec![0, b'a', b's', b'm', 0x0d, 0, 1, 0, 4];
        let mut length = matryoshka.len();
        if length == 0 {
            outer.pop();
        } else {
            loop {
                let low = (length & 0x7f) as u8;
                length >>= 7;
                outer.push(if length == 0 { low } else { low | 0x80 });
                if length == 0 {
                    break;
                }
            }
        }
        outer.append(&mut matryoshka);
        matryoshka = outer;
    }
    let folder = handlers([
        ("table".to_owned(), with(table)),
        ("matryoshka".to_owned(), matryoshka),
        ("nested".to_owned(), with(nested)),
    ]);
    let apps = folder.path().display().to_string();
    let limits = ["--max-compile-time", "20s"];
    let (code, output) = run(&root(), &[&["--handlers", &apps], &limits[..]].concat());
    assert_eq!(code, Some(1), "{output}");
    assert!(!output.contains("panicked"), "{output}");
    for name in ["table.wasm: not a valid component", "matryoshka.wasm: "] {
        assert!(output.contains(name), "{output}");
    }
}

#[test]
fn a9_compiling_holds_nobody_up_and_is_not_repeated() {
    let folder = among_many(vec![("long".to_owned(), with(long_function(150_000)))]);
    let (apps, good) = (folder.path().display().to_string(), format!("/good={}", guest("hello")));
    let server = Server::start(&[
        "--handlers",
        &apps,
        "--app",
        &good,
        "--max-compile-time",
        "2s",
        "--max-body",
        "1KiB",
    ]);
    let well = || assert_eq!(server.get("/good/sayhello").text(), "Hello, world!\n");
    std::thread::scope(|scope| {
        let asked = || assert_eq!(server.get("/long").status, 500);
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(asked)).collect();
        while !asked.iter().all(|asked| asked.is_finished()) {
            well();
        }
    });
    server.wait_for_log("long.wasm: compiling it takes longer than 2s");
    for _ in 0..8 {
        assert_eq!(server.get("/long").status, 500);
    }
    // It was compiled once: of the CPU time of children there is no more.
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("Linux");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(13).take(2).map(|n| n.parse().unwrap_or(0)).sum();
    assert!(
        ticks < 100 * 8,
        "{ticks} hundredths of a second for one component of 2 s, others beside"
    );
    assert_eq!(server.get("/many1").text(), "ok\n");
}

#[test]
fn a9_a_compiling_process_has_nothing_of_the_server() {
    let folder = among_many(vec![("long".to_owned(), with(long_function(150_000)))]);
    let apps = folder.path().display().to_string();
    let server = Server::start(&["--handlers", &apps, "--max-compile-time", "5s"]);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| server.get("/long").status);
        let children = format!("/proc/{}/task", server.pid());
        let child = || {
            let threads = fs::read_dir(&children).expect("Linux");
            let threads = threads.filter_map(|thread| Some(thread.ok()?.path().join("children")));
            let mut found = threads.filter_map(|path| fs::read_to_string(path).ok());
            found.find_map(|text| text.split_whitespace().next()?.parse::<u32>().ok())
        };
        let nice = |child: u32| {
            let stat = fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
            let mut fields = stat.rsplit(')').next()?.split_whitespace();
            fields.nth(16)?.parse::<i32>().ok()
        };
        wait_for(|| child().is_some_and(|child| nice(child) == Some(10)));
        let child = child().expect("it compiles for 5 s");
        let there = |what: &str| fs::read_dir(format!("/proc/{child}/{what}")).expect("Linux");
        // What whoever started the tests passes on to everyone does not count.
        let same = |path: &Path, number: &OsString| {
            let of_tests = Path::new("/proc/self/fd").join(number);
            fs::read_link(path).ok() == fs::read_link(of_tests).ok()
        };
        let own = || {
            let opened = there("fd").filter_map(Result::ok);
            let mut opened = opened.map(|entry| (entry.path(), entry.file_name()));
            let known = ["0", "1", "2"].map(OsString::from);
            opened.find(|(path, number)| !known.contains(number) && !same(path, number))
        };
        // What it opens itself, such as the number of processors, it closes again.
        wait_for(|| own().is_none());
        let environment = fs::read(format!("/proc/{child}/environ")).expect("Linux");
        assert_eq!(environment, b"");
        assert_eq!(asked.join().expect("an answer"), 500);
    });
}

#[test]
fn broken_components_are_told_at_once_or_when_they_are_asked_for() {
    let (few, many) = (
        handlers([("a".to_owned(), small()), ("broken".to_owned(), b"\0asm".to_vec())]),
        among_many(vec![("broken".to_owned(), b"\0asm".to_vec())]),
    );
    let (code, output) = run(&root(), &["--handlers", &few.path().display().to_string()]);
    assert_eq!(code, Some(1));
    assert!(output.contains("broken.wasm: not a WebAssembly component"), "{output}");
    let server = Server::start(&["--handlers", &many.path().display().to_string()]);
    assert_eq!(server.get("/many7").text(), "ok\n");
    assert_eq!(server.get("/broken").status, 500);
    let line = server.wait_for_log("the app could not be loaded");
    assert!(line.contains("broken.wasm: not a WebAssembly component"), "{line}");
    let toml = "[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n".to_owned();
    let toml = (0..MANY).fold(toml, |toml, n| {
        toml + &format!("[[tenant.route]]\npath = \"/{n}\"\napp = \"many{n}.wasm\"\n")
    });
    let toml = toml + "[[tenant.route]]\npath = \"/broken\"\napp = \"broken.wasm\"\n";
    fs::write(many.path().join("myweb.toml"), toml).expect("a file");
    let (code, output) = run(many.path(), &["check"]);
    assert_eq!(code, Some(1));
    assert!(output.contains("broken.wasm: not a WebAssembly component"), "{output}");
}

/// What flips of bits and truncations make of a component.
fn mutations(sound: &[u8], count: usize) -> Vec<(String, Vec<u8>)> {
    let flips = (0..count).map(|n| {
        let bit = n * (sound.len() * 8 - 1) / count.max(2);
        let mut bytes = sound.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        (format!("flip{n}"), bytes)
    });
    let cuts = (0..count / 8)
        .map(|n| (format!("cut{n}"), sound[..n * (sound.len() - 1) / (count / 8).max(2)].to_vec()));
    flips.chain(cuts).collect()
}

/// Asks for each: sound or not, the server answers and goes on.
fn are_harmless(mutations: Vec<(String, Vec<u8>)>) {
    let names: Vec<String> = mutations.iter().map(|(name, _)| name.clone()).collect();
    let folder = among_many(mutations);
    let apps = folder.path().display().to_string();
    let good = format!("/good={}", guest("hello"));
    let limits = ["--max-cpu", "100ms", "--max-wall", "20s", "--max-memory", "16MiB"];
    let server = Server::start(&[&["--handlers", &apps, "--app", &good], &limits[..]].concat());
    let asked = |names: &[String]| {
        let mut client = server.connect();
        for name in names {
            let answer = client.get(&format!("/{name}"));
            let status = answer.status;
            assert!([200, 500, 502, 504, 507].contains(&status), "{name}: {status}");
        }
    };
    std::thread::scope(|scope| {
        for names in names.chunks(names.len() / 4 + 1) {
            scope.spawn(move || asked(names));
        }
    });
    assert_eq!(server.get("/good/sayhello").text(), "Hello, world!\n");
    let log = server.log_so_far().join("\n");
    assert!(!log.contains("panicked") && !log.contains("the compiler failed"), "{log}");
}

#[test]
fn d1_components_with_flipped_bits_or_without_their_end_are_harmless() {
    are_harmless(mutations(&small(), 240));
}

#[test]
#[ignore = "it compiles some 12,000 components; cargo xtask test --long"]
fn d1_every_flipped_bit_and_truncation_of_a_component_is_harmless() {
    let small = small();
    are_harmless(mutations(&small, small.len() * 8));
}

#[test]
#[ignore = "it compiles some 2,000 larger components; cargo xtask test --long"]
fn d1_flipped_bits_of_a_large_component_are_harmless() {
    are_harmless(mutations(&fs::read(guest("hello")).expect("a guest"), 2_000));
}
