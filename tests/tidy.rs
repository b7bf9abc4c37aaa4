//! The invariants of `docs/architecture.md`, and the bounds on the code's size.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::root;

/// Every Rust file below a folder, with its path from the root.
fn sources(folder: &str) -> Vec<(String, String)> {
    let entries = walkdir::WalkDir::new(root().join(folder)).into_iter();
    let files = entries.filter_entry(|entry| entry.file_name() != "target");
    files
        .map(|entry| entry.expect("a readable folder").into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| (relative(&path), fs::read_to_string(&path).expect("a source file")))
        .collect()
}

fn relative(path: &Path) -> String {
    let path: PathBuf = path.strip_prefix(root()).expect("below the root").into();
    path.display().to_string()
}

/// The code of a file without its tests and comments.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or(text);
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a text has a word that is not part of a longer one.
fn names(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// Asserts that only some places of the runtime name some words.
fn only(places: &[&str], words: &[&str]) {
    for (path, text) in sources("runtime/src") {
        let inside = path.strip_prefix("runtime/src/").expect("below the sources");
        if places.iter().any(|place| inside.starts_with(place)) {
            continue;
        }
        for word in words {
            assert!(!names(&code(&text), word), "{path} names {word}; only {places:?} may");
        }
    }
}

#[test]
fn only_wasm_and_capability_name_wasmtime() {
    only(&["wasm.rs", "wasm/", "capability"], &["wasmtime", "wasmtime_wasi"]);
}

#[test]
fn only_the_server_touches_sockets_and_hyper() {
    let fetch = "capability/fetch/";
    only(&["server", fetch], &["TcpStream", "TcpSocket", "UdpSocket", "hyper_util"]);
    only(&["server"], &["hyper::server"]);
    only(&[fetch], &["hyper::client"]);
    only(&["server", "app"], &["TcpListener"]);
    only(&["server", "app", "request", fetch], &["Incoming"]);
}

#[test]
fn the_pure_parts_are_pure() {
    let pure = [
        "router.rs",
        "limits.rs",
        "units.rs",
        "declared.rs",
        "limits/keys.rs",
        "limits/rate.rs",
        "hosts.rs",
        "config/file.rs",
        "config/file/conflicts.rs",
        "config/file/grants.rs",
        "config/file/route.rs",
        "config/problem.rs",
        "config/flags.rs",
        "config/origins.rs",
        "config/pattern.rs",
        "config/plan.rs",
        "config/reader.rs",
        "files/policy.rs",
        "server/framing.rs",
    ];
    for (path, text) in sources("runtime/src") {
        if pure.iter().any(|name| path.ends_with(name)) {
            for word in
                ["tokio", "Instant", "SystemTime", "std::fs", "TcpStream", "TcpListener", "async"]
            {
                assert!(!names(&code(&text), word), "{path} names {word}");
            }
        }
    }
}

#[test]
fn only_respond_picks_a_status_for_an_error() {
    // A guest's own status is checked in convert; a file's is 200, 206, 304, 412 or 416.
    only(
        &["respond.rs", "wasm/convert.rs", "files.rs", "redirect.rs", "config/", "observe.rs"],
        &["StatusCode"],
    );
}

#[test]
fn only_main_exits_or_prints() {
    only(&["main.rs"], &["print!", "println!", "eprint!", "eprintln!", "process::exit"]);
    // What the threads of the logs write to.
    only(&["main.rs", "observe/outlet.rs"], &["stdout()", "stderr()"]);
}

/// Lines that others can bring about have a rate: only `observe/report.rs` writes them.
/// The other files log what the server does once, or at a start, reload or build.
#[test]
fn only_the_report_logs_what_others_bring_about() {
    let places = [
        "observe/report.rs",
        // Once for the process, at its start, its upgrade or its end.
        "app.rs",
        "main.rs",
        "server.rs",
        "server/inherited.rs",
        "upgrade.rs",
        "wasm/background.rs",
        "capability/fetch/trust.rs",
        // Once for each load of the site, and each build.
        "build.rs",
        "build/",
        "watch.rs",
        // Once for an entry of the cache that is removed, or until one is kept again.
        "wasm/cache.rs",
        "wasm/library.rs",
        // Once until a log can be written again.
        "observe/lines.rs",
    ];
    let words = ["trace", "debug", "info", "warn", "error", "event"];
    let macros: Vec<String> = words.iter().map(|word| format!("{word}!(")).collect();
    let macros: Vec<&str> = macros.iter().map(String::as_str).collect();
    only(&places, &macros);
    // A line about a tenant is written nowhere else, but for its totals.
    for (path, text) in sources("runtime/src") {
        let own = ["observe/report.rs", "src/app.rs"].iter().any(|place| path.ends_with(place));
        for line in code(&text).lines().filter(|line| line.contains("tracing::")) {
            assert!(own || !line.contains("tenant"), "{path}: {line}");
        }
    }
}

#[test]
fn there_is_no_global_mutable_state() {
    only(&[], &["static mut", "thread_local!", "LazyLock", "lazy_static"]);
    let interior = ["OnceLock", "Atomic", "Mutex", "RwLock", "Semaphore", "Cell"];
    for (path, text) in sources("runtime/src") {
        for line in code(&text).lines().filter(|line| names(line, "static ")) {
            let changes = interior.iter().any(|word| line.contains(word));
            assert!(!changes || line.contains("'static"), "{path}: {line}");
        }
    }
}

#[test]
fn only_the_loader_of_compiled_code_is_unsafe() {
    only(&["wasm/cache.rs"], &["unsafe", "unsafe_code"]);
    let cache = fs::read_to_string(root().join("runtime/src/wasm/cache.rs")).expect("the file");
    let blocks = code(&cache).matches("unsafe {").count();
    assert_eq!((blocks, cache.matches("// SAFETY: ").count()), (2, 2), "each with its reason");
}

#[test]
fn files_are_small_and_start_with_what_they_hold() {
    for folder in ["runtime", "guests", "tests", "xtask"] {
        for (path, text) in sources(folder) {
            if path.contains("compile_fail") {
                continue;
            }
            let lines = text.lines().count();
            assert!(lines <= 400, "{path} has {lines} lines");
            assert!(text.starts_with("//!"), "{path} does not say what it holds");
        }
    }
}

#[test]
fn the_sdk_carries_the_contract_unchanged() {
    let files = |folder: &str| -> Vec<(PathBuf, String)> {
        let entries = walkdir::WalkDir::new(root().join(folder)).sort_by_file_name();
        let paths = entries.into_iter().map(|entry| entry.expect("a readable folder").into_path());
        let read = |path: PathBuf| {
            let inside = path.strip_prefix(root().join(folder)).expect("below it").to_owned();
            (inside, fs::read_to_string(&path).expect("a WIT file"))
        };
        paths.filter(|path| path.is_file()).map(read).collect()
    };
    assert_eq!(files("wit"), files("guests/sdk/wit"));
}

#[test]
fn every_flag_is_in_the_table_of_the_configuration() {
    let (_, help) = crate::support::run(&root(), &["--help"]);
    let table = fs::read_to_string(root().join("docs/configuration.md")).expect("the page");
    let flags = help.split_whitespace().filter(|word| word.starts_with("--"));
    for flag in flags.filter(|flag| !["--help", "--version"].contains(flag)) {
        assert!(table.contains(&format!("| `{flag}")), "{flag} is not in docs/configuration.md");
    }
}

#[test]
fn every_test_of_the_specification_exists() {
    let page = fs::read_to_string(root().join("docs/specification.md")).expect("the page");
    let mut file = String::new();
    let named = page.lines().filter(|line| line.starts_with("| ") && line.contains(".rs` `"));
    for word in named.flat_map(|line| line.split('`').skip(1).step_by(2)) {
        if word.ends_with(".rs") {
            file = fs::read_to_string(root().join("tests").join(word)).expect(word);
        } else if word.contains('_') {
            assert!(file.contains(&format!("fn {word}()")), "{word} is no test");
        }
    }
}

#[test]
fn every_test_and_file_of_the_page_of_host_costs_exists() {
    let page = fs::read_to_string(root().join("docs/host-costs.md")).expect("the page");
    let all = |folder| sources(folder).into_iter().map(|(path, text)| path + "\n" + &text);
    let code = all("tests").chain(all("runtime/src")).collect::<Vec<_>>().concat();
    let rows = page.lines().filter(|line| line.starts_with("| "));
    for word in rows.flat_map(|line| line.split('`').skip(1).step_by(2)) {
        if word.ends_with(".rs") {
            assert!(code.contains(&format!("{word}\n")), "{word} is no file");
        } else if word.matches('_').count() > 2 {
            assert!(code.contains(&format!("fn {word}()")), "{word} is no test");
        }
    }
}

#[test]
fn the_schema_of_the_docs_is_the_one_of_the_server() {
    let (_, schema) = crate::support::run(&root(), &["schema"]);
    let path = root().join("docs/myweb.schema.json");
    let written = fs::read_to_string(path).expect("the schema");
    assert_eq!(schema, written, "myweb-run schema > docs/myweb.schema.json");
}
