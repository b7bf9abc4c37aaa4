//! The server as it is best built: twice, the second time by a profile of the first
//! one under load.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::{output, root, run};
use crate::{bench, build};

/// Where the server is that is shipped.
pub(crate) const SHIPPED: &str = "target/dist/myweb-run";

/// Builds it. What did not change is neither built nor put under load again.
pub(crate) fn all() -> Result<()> {
    // First what cargo builds, which the benches would build after it.
    build::all()?;
    let tool = profdata()?;
    let folder = root()?.join("target/pgo");
    let (counts, profile) = (folder.join("counts"), folder.join("profile"));
    let counting = compiled("counting", &format!("-Cprofile-generate={}", counts.display()))?;
    if !is_newer(&profile, &counting) {
        let _ = fs::remove_dir_all(&counts);
        bench::train(&counting)?;
        let [to, from] = [&profile, &counts].map(|path| path.display().to_string());
        run(&tool, &["merge", "-o", &to, &from])?;
    }
    // What no request of the load has called is not in it.
    let quiet = "-Cllvm-args=-pgo-warn-missing-function=false";
    let built = compiled("guided", &format!("-Cprofile-use={} {quiet}", profile.display()))?;
    fs::create_dir_all(folder.with_file_name("dist"))?;
    // The one that is there may run.
    let part = format!("{SHIPPED}.part");
    fs::copy(built, &part).and_then(|_| fs::rename(&part, SHIPPED)).context(SHIPPED)?;
    println!("{SHIPPED}");
    Ok(())
}

/// The server, built with these flags in a folder of this name.
fn compiled(name: &str, flags: &str) -> Result<PathBuf> {
    let version = output("rustc", &["-vV"]).context("rustc -vV")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV")?;
    let folder = format!("target/pgo/{name}");
    let flags = format!("RUSTFLAGS={flags}");
    // For a target that is named, the flags are not those of build scripts.
    let package = ["--package", "myweb-run", "--bin", "myweb-run", "--target", host];
    let cargo = [&flags, "cargo", "build", "--release", "--target-dir", &folder];
    run("env", &[&cargo[..], &package].concat())?;
    Ok(root()?.join(folder).join(host).join("release/myweb-run"))
}

/// LLVM's tool that reads what was counted, of the same toolchain.
fn profdata() -> Result<String> {
    let lib = output("rustc", &["--print", "target-libdir"]).context("rustc")?;
    let tool = Path::new(lib.trim()).with_file_name("bin").join("llvm-profdata");
    if !tool.is_file() {
        run("rustup", &["component", "add", "llvm-tools"])?;
    }
    Ok(tool.display().to_string())
}

/// Whether a file is there, and newer than another one.
pub(crate) fn is_newer(file: &Path, other: &Path) -> bool {
    let changed = |path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    changed(file) > changed(other)
}
