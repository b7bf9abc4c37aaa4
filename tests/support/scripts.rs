//! Apps in Python and JavaScript, built once in `target/scripts` and served by
//! servers that tests share.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

use super::{BUILD_PATIENCE, Server, root, run_for};

/// Where the tools and what they built are kept between runs of the tests.
pub fn state() -> String {
    root().join("target/scripts").display().to_string()
}

/// Runs `build`: exit code and what it said.
pub fn build(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let state = state();
    std::fs::create_dir_all(&state).expect("a folder");
    run_for(folder, &[&["build", "--state", &state], arguments].concat(), BUILD_PATIENCE)
}

/// The component of an app in `tests/scripts`, or `None` with a message where
/// the tools cannot be installed. `CI=true` asks for them.
pub fn component(arguments: &[&str], name: &str) -> Option<String> {
    let output = root().join("target/scripts").join(format!("{name}.wasm")).display().to_string();
    let all = [arguments, &["-o", &output]].concat();
    let (code, said) = build(&root().join("tests/scripts"), &all);
    if code == Some(0) {
        return Some(output);
    }
    let lacks_tools = said.contains("is not on PATH") || said.contains("cannot install");
    assert!(lacks_tools && std::env::var_os("CI").is_none(), "{said}");
    println!("skipped: {said}");
    None
}

/// Servers by the app that they serve. The last test that uses one ends it. Only
/// one of them may read a server's log: what it waited past is gone.
type Shared = Mutex<HashMap<String, Weak<Server>>>;

static SERVERS: std::sync::LazyLock<Shared> = std::sync::LazyLock::new(Shared::default);

/// A server of an app, shared with the tests that run now. `arguments` build it.
pub fn serving(arguments: &[&str], name: &str) -> Option<Arc<Server>> {
    let mut servers = SERVERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(server) = servers.get(name).and_then(Weak::upgrade) {
        return Some(server);
    }
    let component = component(arguments, name)?;
    let empty = root().join("target/scripts/empty");
    std::fs::create_dir_all(&empty).expect("a folder");
    // Not where `html` is, which would stand in front of the app.
    let server = Arc::new(Server::start_in(Path::new(&empty), &["--app", &component]));
    servers.insert(name.to_owned(), Arc::downgrade(&server));
    Some(server)
}
