//! Handlers of others: made from the text of the docs, outside this workspace.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::origin::Origin;
use crate::support::{BINARY, Server, blocks, root};

/// A folder with the manifest of the docs.
fn crate_of_the_docs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let [manifest] = &blocks("docs/handlers.md", "toml")[..] else { panic!("one manifest") };
    let sdk = root().join("guests/sdk").display().to_string();
    fs::create_dir(folder.path().join("src")).expect("a folder");
    let manifest = manifest.replace("guests/sdk", &sdk);
    fs::write(folder.path().join("Cargo.toml"), manifest).expect("a file");
    // The versions that the workspace has are there already.
    fs::copy(root().join("Cargo.lock"), folder.path().join("Cargo.lock")).expect("a copy");
    folder
}

/// Builds a handler there: where the component is.
fn build(folder: &Path, code: &str) -> String {
    fs::write(folder.join("src/lib.rs"), code).expect("a file");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--target", "wasm32-wasip2"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", root().join("target/outside"))
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    // Its own, so that another test may build.
    let component = folder.join("greet.wasm");
    let built = root().join("target/outside/wasm32-wasip2/release/greet.wasm");
    fs::copy(built, &component).expect("a copy");
    component.display().to_string()
}

#[test]
fn the_handler_of_the_docs_builds_outside_the_workspace_and_runs() {
    let folder = crate_of_the_docs();
    let rust = blocks("docs/handlers.md", "rust");
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nrelay\n");
    let grant = origin.grant();
    let [relay] = &blocks("docs/http.md", "rust")[..] else { panic!("one example") };
    let url = format!("/?url={grant}/items");
    let relay = (relay, url.as_str(), "relay\n");
    for (code, path, said) in
        [(&rust[0], "/?name=Ada", "Hello, Ada!\n"), (&rust[1], "/item/7", "item 7\n"), relay]
    {
        let app = build(folder.path(), code);
        let server = Server::start_in(folder.path(), &["--app", &app, "--outbound", &grant]);
        assert_eq!(server.get(path).text(), said);
    }
    // In the same test: both would write the same component.
    the_handlers_of_capabilities_build_and_run(folder.path());
}

/// The pages of key-value data, of values and of the log.
fn the_handlers_of_capabilities_build_and_run(folder: &Path) {
    let code = |page| blocks(page, "rust").remove(0);
    let app = build(folder, &code("docs/keyvalue.md"));
    let server = Server::start_in(folder, &["--app", &app, "--keyvalue", "visits"]);
    assert_eq!(server.get("/").text(), "visit 1\n");
    assert_eq!(server.get("/").text(), "visit 2\n");
    let app = build(folder, &code("docs/logging.md"));
    let server = Server::start_in(folder, &["--app", &app]);
    assert_eq!(server.get("/").text(), "Hello, world!\n");
    server.wait_for_log("guest: [warn] nobody is named");
    server.wait_for_log("guest: [debug greeting] begins");
    build(folder, &code("docs/values.md"));
    let route = blocks("docs/values.md", "toml")[0].replace("shop.wasm", "greet.wasm");
    let toml = format!("[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n{route}");
    fs::write(folder.join("myweb.toml"), toml).expect("a file");
    fs::create_dir(folder.join("secrets")).expect("a folder");
    fs::write(folder.join("secrets/token"), "a token\n").expect("a file");
    let mut command = Command::new(BINARY);
    command.current_dir(folder).env("SHOP_API_KEY", "a key");
    let server = Server::start_by(&mut command, &[]);
    assert_eq!(server.get("/shop/").text(), "prices are in EUR\n");
}
