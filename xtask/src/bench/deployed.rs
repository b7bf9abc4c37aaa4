//! Thousands of components for one server, and their compiled code in its cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::peers::{self, Peer, Site};

/// Those that the server compiles itself, to see how long that takes.
const COMPILED: usize = 40;

pub(crate) fn host(number: usize) -> String {
    format!("t{number}.example")
}

/// Writes components, each with a section of its own, and the file of their
/// tenants.
pub(crate) fn deploy(site: &Site, folder: &Path, count: usize) -> Result<Peer> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder.join("some"))?;
    let component = fs::read(site.guest("hello")).context("guests/hello.wasm")?;
    let head = "listen = [\"127.0.0.1:0\"]\n";
    let (mut all, mut some) = (format!("{head}state = \"state\"\n"), head.to_owned());
    for number in 0..count {
        let section = [&[0, 10, 1, b'n'][..], &(number as u64).to_le_bytes()].concat();
        fs::write(component_of(folder, number), [&component[..], &section].concat())?;
        let tenant = |path: &str| {
            let host = host(number);
            format!(
                "[[tenant]]\nname = \"t{number}\"\nhosts = [\"{host}\"]\n\
                 [[tenant.route]]\npath = \"/*\"\napp = \"{path}{number}.wasm\"\n"
            )
        };
        all += &tenant("");
        if number < COMPILED {
            some += &tenant("../");
        }
    }
    fs::write(folder.join("myweb.toml"), all)?;
    fs::write(folder.join("some/myweb.toml"), some)?;
    let mut peer = peers::fresh(site);
    let server = peer.command.first().context("the server")?.clone();
    peer.name = format!("myweb, {count} components");
    peer.directory = folder.to_owned();
    let limited = "ulimit -S -n 1024 && exec \"$0\" --config myweb.toml";
    peer.command = ["sh", "-c", limited, &server].map(str::to_owned).to_vec();
    Ok(peer)
}

fn component_of(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.wasm"))
}

/// Lets the server compile some: how long one took. The others differ in what
/// is not compiled only: their entries are written as the server would write
/// them, signed with its key.
pub(crate) fn compile(peer: &Peer, folder: &Path) -> Result<Duration> {
    let server = peer.command.last().context("the server")?;
    let state = folder.join("state");
    let began = Instant::now();
    let mut check = std::process::Command::new(server);
    check.arg("check").env("MYWEB_STATE", &state).current_dir(folder.join("some"));
    if !check.status()?.success() {
        bail!("the components are not sound");
    }
    let took = began.elapsed() / COMPILED as u32;
    let entries = state.join("components");
    let any = fs::read_dir(&entries)?.next().context("an entry")??;
    let name = any.file_name().to_string_lossy().into_owned();
    let engine = name.split('-').nth(1).context("the engine's digest")?.to_owned();
    let mut code = fs::read(any.path())?;
    code.truncate(code.len().saturating_sub(32));
    let key = hmac(&fs::read(state.join("key"))?, &[b"components"]);
    let count = fs::read_dir(folder)?.count();
    for number in COMPILED..count {
        let Ok(component) = fs::read(component_of(folder, number)) else { break };
        let content = Sha256::digest(component);
        let format = b"myweb compiled component 1\0";
        let tag = hmac(&key, &[format, &content, &bytes_of(&engine)?, &code]);
        let entry = entries.join(format!("{}-{engine}", hex(&content)));
        fs::write(entry, [&code[..], &tag].concat())?;
    }
    Ok(took)
}

/// HMAC-SHA256 (RFC 2104) with a key of at most 64 bytes.
fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let padded = |pad: u8| -> Vec<u8> {
        (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ pad).collect()
    };
    let mut inner = Sha256::new_with_prefix(padded(0x36));
    parts.iter().for_each(|part| inner.update(part));
    Sha256::new_with_prefix(padded(0x5c)).chain_update(inner.finalize()).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(hex: &str) -> Result<Vec<u8>> {
    let digits = (0..hex.len()).step_by(2).map(|at| hex.get(at..at + 2).unwrap_or_default());
    digits.map(|digits| Ok(u8::from_str_radix(digits, 16)?)).collect()
}
