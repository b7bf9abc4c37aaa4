//! Handlers of others: made from the text of the docs, outside this workspace.

use std::fs;
use std::process::Command;

use crate::support::origin::Origin;
use crate::support::{Server, blocks, root};

#[test]
fn the_handler_of_the_docs_builds_outside_the_workspace_and_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let [manifest] = &blocks("docs/handlers.md", "toml")[..] else { panic!("one manifest") };
    let rust = blocks("docs/handlers.md", "rust");
    let sdk = root().join("guests/sdk").display().to_string();
    fs::create_dir(folder.path().join("src")).expect("a folder");
    let manifest = manifest.replace("guests/sdk", &sdk);
    fs::write(folder.path().join("Cargo.toml"), manifest).expect("a file");
    // The versions that the workspace has are there already.
    fs::copy(root().join("Cargo.lock"), folder.path().join("Cargo.lock")).expect("a copy");
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nrelay\n");
    let [relay] = &blocks("docs/http.md", "rust")[..] else { panic!("one example") };
    let url = format!("/?url={}/items", origin.grant());
    let relay = (relay, url.as_str(), "relay\n");
    for (code, path, said) in
        [(&rust[0], "/?name=Ada", "Hello, Ada!\n"), (&rust[1], "/item/7", "item 7\n"), relay]
    {
        fs::write(folder.path().join("src/lib.rs"), code).expect("a file");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--target", "wasm32-wasip2"])
            .current_dir(folder.path())
            .env("CARGO_TARGET_DIR", root().join("target/outside"))
            .output()
            .expect("cargo runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let component = root().join("target/outside/wasm32-wasip2/release/greet.wasm");
        let app = component.display().to_string();
        let server =
            Server::start_in(folder.path(), &["--app", &app, "--outbound", &origin.grant()]);
        assert_eq!(server.get(path).text(), said);
    }
}
