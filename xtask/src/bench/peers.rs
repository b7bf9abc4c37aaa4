//! Whom we measure ourselves against, and how each is started.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::command::{output, root};
use crate::release::{SHIPPED, is_newer};

/// A server to be measured.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) directory: PathBuf,
    pub(crate) path: String,
    pub(crate) address: Address,
}

/// What connections are made over.
#[derive(Clone, Copy)]
pub(crate) enum Over {
    Clear,
    Tls,
}

/// Where a server listens.
pub(crate) enum Address {
    OnStdout,
    OnStderr,
    Fixed(u16),
}

/// The static files, and their sizes in bytes. Their type is one that nobody
/// compresses.
pub(crate) const FILES: [(&str, usize); 3] =
    [("1k.jpg", 1 << 10), ("100k.jpg", 100 << 10), ("10m.jpg", 10 << 20)];

const LONG_AGO: Duration = Duration::from_secs(1_700_000_000);

/// A folder with the same static files for every server.
pub(crate) struct Site {
    root: PathBuf,
    pub(crate) folder: PathBuf,
    /// The program of our server.
    server: String,
}

/// Our server, as cargo builds it.
const BUILT: &str = "target/release/myweb-run";

/// Our server as it is shipped, if it was built since the other one was.
pub(crate) fn shipped() -> Result<PathBuf> {
    let (built, shipped) = (root()?.join(BUILT), root()?.join(SHIPPED));
    if is_newer(&shipped, &built) {
        eprintln!("{SHIPPED} is measured");
        return Ok(shipped);
    }
    eprintln!("{BUILT} is measured; `cargo xtask release` builds a faster one");
    Ok(built)
}

impl Site {
    /// With our server as cargo builds it, beside what is built likewise.
    pub(crate) fn new() -> Result<Site> {
        Site::of(&root()?.join(BUILT))
    }

    /// With our server as it is shipped, beside others that are.
    pub(crate) fn shipped() -> Result<Site> {
        Site::of(&shipped()?)
    }

    /// With this server.
    pub(crate) fn of(server: &Path) -> Result<Site> {
        let (root, server) = (root()?, server.display().to_string());
        let folder = root.join("target/bench/site");
        fs::create_dir_all(folder.join("html")).context("target/bench/site")?;
        for (name, size) in FILES {
            let path = folder.join("html").join(name);
            fs::write(&path, vec![b'x'; size]).context(name)?;
            // As if it lay there for long: files that just changed may not be kept.
            fs::File::options().write(true).open(path)?.set_modified(UNIX_EPOCH + LONG_AGO)?;
        }
        Ok(Site { root, folder, server })
    }

    fn peer(&self, name: &str, command: &[&str], path: &str, address: Address) -> Peer {
        let command = command.iter().map(|&word| word.to_owned()).collect();
        let (name, path) = (name.to_owned(), path.to_owned());
        Peer { name, command, directory: self.folder.clone(), path, address }
    }

    /// The component of a guest that is shown.
    pub(crate) fn guest(&self, name: &str) -> String {
        self.root.join(format!("guests/{name}.wasm")).display().to_string()
    }

    /// The component of a guest that only tests use.
    pub(crate) fn test_guest(&self, name: &str) -> String {
        self.root.join(format!("target/wasm32-wasip2/guest/{name}.wasm")).display().to_string()
    }

    /// nginx with the same files, one process, as its documentation tunes it.
    ///
    /// # Errors
    /// It is not installed.
    pub(crate) fn nginx(&self, name: &str, path: &str, over: Over) -> Result<Peer> {
        output("nginx", &["-h"]).context("it is not installed")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = self.folder.display();
        let (tls, more) = match over {
            Over::Clear => ("", String::new()),
            Over::Tls => (
                " ssl http2",
                // By itself, nginx before 1.23.4 has no TLS 1.3.
                format!(
                    "ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {folder}/cert.pem; \
                     ssl_certificate_key {folder}/key.pem;"
                ),
            ),
        };
        let config = format!(
            "daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n  \
             open_file_cache max=1000; root {folder}/html;\n  \
             client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp;\n  \
             fastcgi_temp_path {folder}/tmp; uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;\n  \
             types {{ image/jpeg jpg; }}\n  server {{ listen 127.0.0.1:{port}{tls}; {more} }}\n}}\n"
        );
        let file = self.folder.join("nginx.conf");
        fs::write(&file, config)?;
        let command = ["nginx", "-c", &file.display().to_string()];
        Ok(self.peer(name, &command, path, Address::Fixed(port)))
    }

    fn built(&self, path: &str) -> String {
        self.root.join("target/release").join(path).display().to_string()
    }

    /// Our server with one component of `wasi:http`.
    pub(crate) fn component(&self, name: &str, path: &str, guest: &str, more: &[&str]) -> Peer {
        let start = [&self.server, "--addr", "127.0.0.1:0", "--app", guest];
        self.peer(name, &[&start[..], more].concat(), path, Address::OnStderr)
    }

    /// Our server, with an app at / and `html` in front of it, as it is used.
    pub(crate) fn ours(&self, name: &str, path: &str, more: &[&str]) -> Peer {
        let app = self.guest("hello");
        let command =
            [&[self.server.as_str(), "--addr", "127.0.0.1:0", "--app", &app], more].concat();
        self.peer(name, &command, path, Address::OnStderr)
    }
}

/// A fresh instance for every request, with all limits on.
pub(crate) fn fresh(site: &Site) -> Peer {
    site.ours("myweb fresh", "/sayhello", &[])
}

/// The peers of `bench hello`; those that are not installed are left out.
pub(crate) fn hello(site: &Site) -> Vec<Peer> {
    let hyper = site.built("examples/bare_hyper");
    let mut peers = vec![
        site.peer("bare hyper", &[&hyper], "/", Address::OnStdout),
        fresh(site),
        site.ours("myweb reused", "/sayhello", &["--reuse", "1000000"]),
        site.ours("myweb 1 KiB file", "/1k.jpg", &[]),
    ];
    peers.extend(wasmtime_serve(site));
    match site.nginx("nginx 1 KiB file", "/1k.jpg", Over::Clear) {
        Ok(peer) => peers.push(peer),
        Err(error) => eprintln!("without nginx: {error:#}"),
    }
    peers
}

/// An older server and ours: an app in fresh instances, in reused ones, and a file.
pub(crate) fn pairs(older: &Site, ours: &Site) -> [[Peer; 2]; 3] {
    let settings: [(&str, &str, &[&str]); 3] = [
        ("fresh", "/sayhello", &[]),
        ("reused", "/sayhello", &["--reuse", REUSE]),
        ("1 KiB file", "/1k.jpg", &[]),
    ];
    settings.map(|(name, path, more)| {
        let peer = |who: &str, site: &Site| site.ours(&format!("{who} {name}"), path, more);
        [peer("older", older), peer("myweb", ours)]
    })
}

/// The peers of `bench components`: the same components in ours and in `wasmtime
/// serve`, fresh, and reused as often: by one request at a time, and of 0.3 by
/// several at the same time.
pub(crate) fn components(site: &Site) -> Vec<Peer> {
    let (old, new) = (site.test_guest("wasi_http_hello"), site.test_guest("wasi_http_03"));
    let mut peers = vec![
        site.component("myweb 0.2 fresh", "/hello", &old, &[]),
        site.component("myweb 0.2 reused", "/hello", &old, &["--reuse", REUSE]),
        site.component("myweb 0.3 fresh", "/hello", &new, &[]),
        site.component("myweb 0.3 reused", "/hello", &new, &["--reuse", REUSE]),
        site.component(
            "myweb 0.3 at once",
            "/hello",
            &new,
            &["--reuse", REUSE, "--reuse-concurrency", AT_ONCE],
        ),
    ];
    if has_wasmtime() {
        let serve = |name, guest: &str, reuse, at_once| {
            let settings = ["--max-instance-reuse-count", reuse];
            let at_once = ["--max-instance-concurrent-reuse-count", at_once];
            wasmtime(site, name, "/hello", &[&settings[..], &at_once].concat(), guest)
        };
        peers.extend([
            serve("wasmtime 0.2 fresh", &old, "1", "1"),
            serve("wasmtime 0.2 reused", &old, REUSE, "1"),
            serve("wasmtime 0.3 fresh", &new, "1", "1"),
            serve("wasmtime 0.3 reused", &new, REUSE, "1"),
            serve("wasmtime 0.3 at once", &new, REUSE, AT_ONCE),
        ]);
    }
    peers
}

const REUSE: &str = "1000000";
/// Requests in an instance at the same time.
const AT_ONCE: &str = "16";

/// The peers that stream, by the version of `wasi:http`: ours, and `wasmtime serve`.
pub(crate) fn streams(site: &Site) -> Vec<Peer> {
    let limits = ["--max-body", "2GiB", "--max-cpu", "100s", "--max-wall", "100s"];
    let (old, new) = (site.test_guest("wasi_http_02"), site.test_guest("wasi_http_03"));
    let mut peers = vec![
        site.component("myweb 0.2", "/", &old, &limits),
        site.component("myweb 0.3", "/", &new, &limits),
    ];
    if has_wasmtime() {
        peers.push(wasmtime(site, "wasmtime 0.2", "/", &[], &old));
        peers.push(wasmtime(site, "wasmtime 0.3", "/", &[], &new));
    }
    peers
}

fn has_wasmtime() -> bool {
    let version = output("wasmtime", &["--version"]).unwrap_or_default();
    let there = version.starts_with("wasmtime 48");
    if !there {
        eprintln!("without wasmtime: {:?} is not wasmtime 48", version.trim());
    }
    there
}

fn wasmtime(
    site: &Site,
    name: &'static str,
    path: &'static str,
    settings: &[&str],
    guest: &str,
) -> Peer {
    let serve = ["wasmtime", "serve", "-S", "cli,p3,keyvalue", "-W", "component-model-async"];
    let command = [&serve[..], settings, &["--addr", "127.0.0.1:0", guest]].concat();
    site.peer(name, &command, path, Address::OnStderr)
}

/// `wasmtime serve` 48 with an equal component of wasi:http 0.2.
fn wasmtime_serve(site: &Site) -> Option<Peer> {
    if !has_wasmtime() {
        return None;
    }
    let guest = site.test_guest("wasi_http_hello");
    let command = ["wasmtime", "serve", "-S", "cli", "--addr", "127.0.0.1:0", &guest];
    Some(site.peer("wasmtime serve", &command, "/", Address::OnStderr))
}

/// Our server with a file of tenants.
pub(crate) fn tenants(site: &Site, toml: &str) -> Result<Peer> {
    fs::write(site.folder.join("myweb.toml"), toml).context("myweb.toml")?;
    Ok(site.peer("myweb", &[&site.server, "--config", "myweb.toml"], "/", Address::OnStderr))
}

/// `wasmtime serve` with a limit of time a request, as a host would run it.
pub(crate) fn wasmtime_serve_with_timeout(site: &Site) -> Option<Peer> {
    let mut peer = wasmtime_serve(site)?;
    let at = peer.command.iter().position(|word| word == "-S")?;
    peer.command.splice(at..at, ["-W".to_owned(), "timeout=1s".to_owned()]);
    Some(peer)
}
