//! The load that a profile is made of: files, an app and standard components, each
//! as most requests are.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::load::Load;
use super::peers::{Peer, Site};
use super::process::Server;
use super::{statics, tls};
use crate::command::output;

/// How long each request is repeated.
const TIME: Duration = Duration::from_secs(4);

/// Puts a server under load that counts what it runs.
pub(crate) fn run(counting: &Path) -> Result<()> {
    let site = Site::of(counting)?;
    for (path, headers) in statics::requests(&site)? {
        repeat(&site.ours("files", path, &["--static", "html"]), &headers)?;
    }
    let reused = ["--reuse", "1000000"];
    for more in [&[][..], &reused] {
        repeat(&site.ours("an app", "/sayhello", more), &[])?;
        for guest in ["wasi_http_02", "wasi_http_03"] {
            let guest = site.test_guest(guest);
            repeat(&site.component("a component", "/hello", &guest, more), &[])?;
        }
    }
    over_tls(&site)
}

fn repeat(peer: &Peer, headers: &[String]) -> Result<()> {
    eprintln!("under load: {} {}", peer.name, peer.path);
    let server = Server::start(peer)?;
    Load::new(&server.url, headers).run(TIME)?;
    server.stop()
}

/// Requests over HTTP/2, and handshakes.
fn over_tls(site: &Site) -> Result<()> {
    tls::make_certificate(site)?;
    let peer = site.ours("TLS", "/sayhello", &["--tls", "cert.pem,key.pem"]);
    eprintln!("under load: {}", peer.name);
    let server = Server::start(&peer)?;
    let address = server.address()?.to_string();
    let url = format!("https://{address}/sayhello");
    output("h2load", &["-c", "64", "-D", "4", &url]).context("h2load")?;
    let shake = ["s_time", "-connect", &address, "-new", "-tls1_3", "-time", "4"];
    output("openssl", &shake).context("openssl s_time")?;
    server.stop()
}
