//! JavaScript: bundled by esbuild, made a component by the tool of its engine. A
//! script of node does it; what is here finds the tools and the packages.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::digest::Digest;
use super::engine::WIT;
use super::lock::Lock;
use super::place::Build;
use super::stage::{self, Source};
use super::tool::Tool;
use super::tools::{self, MEND, NETWORK, last_words, on_path};
use super::{Engine, Recipe, wrong};

/// Where packages are named, and their versions pinned.
const NAMED: [&str; 2] = ["package.json", "package-lock.json"];
/// Scripts of packages are not run: they are code of others.
const INSTALL: [&str; 5] =
    ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];

/// What node runs, of the adapter.
const SCRIPT: &str = "build.mjs";

/// Builds in an empty folder; the component's file, and what it was made of beside
/// the app's files, by paths from its folder.
pub(super) fn build(
    recipe: &Recipe,
    engine: Engine,
    files: &[Source],
    build: &Build<'_>,
) -> Result<(PathBuf, Vec<String>), String> {
    let node = program("node")?;
    let folder = fs::canonicalize(&recipe.folder).map_err(|error| wrong(&recipe.folder, &error))?;
    let app = folder.join(&recipe.module);
    if !app.is_file() {
        return Err(recipe.wrong("no such file; check the path"));
    }
    let tools = installed(engine, build)?;
    let packages = packages(recipe, &folder, files, build)?;
    tracing::info!("building {recipe}");
    let work = &build.work;
    let inside = |name: &str| work.join(name);
    let adapter = tools.join("adapter");
    stage::write(&WIT, &inside("wit"))?;
    let (built, report) = (inside("app.wasm"), inside("report.json"));
    let inputs = inside("inputs.json");
    let job = json!({
        "engine": engine.to_string(), "adapter": adapter, "entry": engine.entry(),
        "wit": inside("wit"), "world": engine.to_string(), "work": work,
        "folder": folder, "app": app, "packages": packages, "output": built, "report": report,
        "inputs": inputs,
    });
    stage::write(&[("job.json", &job.to_string())], work)?;
    let mut tool = Tool::new(node).executes(&tools).writes(work).reads(&folder);
    tool.read.extend(packages_beside(&folder));
    tool.read.extend(packages);
    let ended = build.run(&tool.arg(adapter.join(SCRIPT)).arg(inside("job.json")), None);
    let ended = ended.map_err(|why| recipe.wrong(&why))?;
    if ended.ok && built.is_file() {
        let inputs = fs::read(&inputs).map_err(|error| wrong(&inputs, &error))?;
        return Ok((built, serde_json::from_slice(&inputs).unwrap_or_default()));
    }
    let report = fs::read(report).unwrap_or_default();
    let report: Value = serde_json::from_slice(&report).unwrap_or_default();
    let why = report["sentence"].as_str().map(str::to_owned);
    Err(recipe.wrong(&why.unwrap_or_else(|| last_words(&ended.said))))
}

fn program(name: &str) -> Result<PathBuf, String> {
    let mend = "install Node.js 20 or newer (apt-get install nodejs npm)";
    on_path(name).ok_or_else(|| format!("{name} is not on PATH: {mend}"))
}

/// The folders above the app's in which packages are found, too.
fn packages_beside(folder: &Path) -> Vec<PathBuf> {
    let above = folder.ancestors().skip(1).map(|above| above.join("node_modules"));
    above.filter(|packages| packages.is_dir()).collect()
}

/// The folder with the tools of an engine, and beside them the adapter, which imports them.
fn installed(engine: Engine, build: &Build<'_>) -> Result<PathBuf, String> {
    let adapter = engine.adapter().iter().flat_map(|(name, text)| [*name, *text]);
    let contents: Vec<&str> = engine.tools().iter().copied().chain(adapter).collect();
    let folder = build.place.root.join("tools").join(tools::name(&engine.to_string(), &contents));
    tools::managed(folder, engine.tools(), |into, lock| {
        install(engine, into, build, lock)?;
        stage::write(engine.adapter(), &into.join("adapter"))
    })
}

fn install(engine: Engine, folder: &Path, build: &Build<'_>, lock: &Lock) -> Result<(), String> {
    tracing::info!("installing {} in {}", engine.tools().join(", "), folder.display());
    stage::write(&[("package.json", "{ \"private\": true }\n")], folder)?;
    let ended = build.run(&npm(folder)?.args(INSTALL).args(engine.tools()), Some(lock))?;
    if ended.ok {
        return Ok(());
    }
    let said = last_words(&ended.said);
    Err(format!("npm cannot install the tools: {said}; {NETWORK}"))
}

/// npm, for packages that it installs in a folder.
fn npm(folder: &Path) -> Result<Tool, String> {
    Ok(Tool::new(program("npm")?).fetches().in_folder(folder).writes(folder))
}

/// The folder with the packages that the app names, if it has none of its own.
fn packages(
    recipe: &Recipe,
    folder: &Path,
    files: &[Source],
    build: &Build<'_>,
) -> Result<Option<PathBuf>, String> {
    let named: Vec<&Source> =
        files.iter().filter(|file| NAMED.iter().any(|name| file.name == Path::new(name))).collect();
    if named.is_empty() || folder.join("node_modules").is_dir() {
        return Ok(None);
    }
    let mut digest = Digest::default();
    let mut texts = Vec::new();
    for file in &named {
        let text = fs::read(&file.path).map_err(|error| wrong(&file.path, &error))?;
        digest.add(&text);
        texts.push((file.name.clone(), text));
    }
    let installed = build.place.root.join("packages").join(digest.name());
    let installed = tools::managed(installed, &[], |into, lock| {
        tracing::info!("installing the packages of {}", folder.join(NAMED[0]).display());
        for (name, text) in &texts {
            let to = into.join(name);
            fs::write(&to, text).map_err(|error| wrong(&to, &error))?;
        }
        let ended = build.run(&npm(into)?.args(INSTALL), Some(lock))?;
        if ended.ok {
            return Ok(());
        }
        let said = last_words(&ended.said);
        Err(recipe
            .wrong(&format!("package.json: its packages cannot be installed: {said}; {MEND}")))
    })?;
    Ok(Some(installed.join("node_modules")))
}
