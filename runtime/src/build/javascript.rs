//! JavaScript: bundled by esbuild, made a component by the tool of its engine. A
//! script of node does it; what is here finds the tools and the packages.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::digest::Digest;
use super::engine::WIT;
use super::lock::Lock;
use super::npm_packages::{self, Packages};
use super::place::Build;
use super::stage::{self, Taken};
use super::tool::Tool;
use super::tools::{self, MEND, NETWORK, last_words, on_path};
use super::tsconfig;
use super::{Engine, Recipe, modules, wrong};

/// Scripts of packages are not run: they are code of others. Packages of the registry may name
/// others by addresses, which are not followed; npm before 11 has but the first of these settings.
const INSTALL: [&str; 10] = [
    "install",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    "--git=false",
    "--allow-git=none",
    "--allow-remote=none",
    "--allow-file=none",
    "--allow-directory=none",
];
/// Packages that a developer has installed beside the app.
const MODULES: &str = "node_modules";
/// Settings of TypeScript, the first that is there.
const TSCONFIG: [&str; 2] = ["tsconfig.json", "jsconfig.json"];

/// What node runs, of the adapter.
const SCRIPT: &str = "build.mjs";

/// Builds in an empty folder; the component's file, and what it was made of beside
/// the app's files, by paths from its folder.
pub(super) fn build(
    recipe: &Recipe,
    engine: Engine,
    (folder, taken): (&Path, &Taken),
    build: &Build<'_>,
) -> Result<(PathBuf, Vec<String>), String> {
    let node = program("node")?;
    if taken.content(Path::new(&recipe.module)).is_none() {
        return Err(recipe.wrong("no such file; check the path"));
    }
    let options = options(recipe, taken)?;
    let tools = installed(engine, build)?;
    let modules = own_modules(folder)?;
    let packages = match modules.is_some() {
        true => None,
        false => packages(recipe, folder, taken, build)?,
    };
    tracing::info!("building {recipe}");
    let work = &build.work;
    let inside = |name: &str| work.join(name);
    // A copy: what was left out cannot be imported.
    let app = inside("app");
    stage::copy(&taken.files, &app)?;
    if let Some(modules) = modules.as_ref().or(packages.as_ref()) {
        let link = app.join(MODULES);
        symlink(modules, &link).map_err(|error| wrong(&link, &error))?;
    }
    let adapter = tools.join("adapter");
    stage::write(&WIT, &inside("wit"))?;
    let (built, report) = (inside("app.wasm"), inside("report.json"));
    let inputs = inside("inputs.json");
    let job = json!({
        "engine": engine.to_string(), "adapter": adapter, "entry": engine.entry(),
        "wit": inside("wit"), "world": engine.to_string(), "work": work,
        "folder": app, "app": app.join(&recipe.module), "origin": folder, "tools": tools,
        "modules": modules, "packages": packages, "tsconfig": options.to_string(),
        "output": built, "report": report, "inputs": inputs,
    });
    stage::write(&[("job.json", &job.to_string())], work)?;
    let mut tool = Tool::new(node).executes(&tools).writes(work);
    tool.read.extend(modules.or(packages));
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

/// The packages that a developer has installed in the app's folder.
fn own_modules(folder: &Path) -> Result<Option<PathBuf>, String> {
    let own = folder.join(MODULES);
    if !fs::symlink_metadata(&own).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(None);
    }
    modules::check(&own, folder)?;
    Ok(Some(own))
}

/// The options of TypeScript that esbuild gets.
fn options(recipe: &Recipe, taken: &Taken) -> Result<Value, String> {
    let Some(name) = TSCONFIG.iter().find(|name| taken.content(Path::new(name)).is_some()) else {
        return Ok(json!({}));
    };
    let (options, unread) = tsconfig::options(Path::new(name), |path| taken.content(path))
        .map_err(|why| recipe.wrong(&why))?;
    for package in unread {
        tracing::warn!(
            "{recipe}: {name} extends {package:?}, which is not read; copy what you need of it"
        );
    }
    Ok(options)
}

/// The folder with the packages that the app names, if it has none of its own.
fn packages(
    recipe: &Recipe,
    folder: &Path,
    taken: &Taken,
    build: &Build<'_>,
) -> Result<Option<PathBuf>, String> {
    let told = |why: String| recipe.wrong(&why);
    let registry = npm_packages::registry();
    let registry = registry.as_deref();
    let (name, most) = (npm_packages::SETTINGS, npm_packages::LARGEST_SETTINGS);
    let settings = stage::setting(folder, name, most).map_err(told)?;
    let packages = Packages::of(taken, settings.as_deref(), registry).map_err(told)?;
    let Some(packages) = packages else { return Ok(None) };
    let mut digest = Digest::default();
    packages.add_to(&mut digest);
    let installed = build.place.root.join("packages").join(digest.name());
    let installed = tools::managed(installed, &[], |into, lock| {
        tracing::info!("{recipe}: installing the packages of package.json");
        stage::write(&packages.files, into)?;
        let ended = build.run(&npm(into)?.args(INSTALL), Some(lock))?;
        if !ended.ok {
            let said = last_words(&ended.said);
            let why = format!("package.json: its packages cannot be installed: {said}; {MEND}");
            return Err(recipe.wrong(&why));
        }
        let list = into.join(MODULES).join(".package-lock.json");
        let list = fs::read(&list).map_err(|error| wrong(&list, &error))?;
        npm_packages::check_installed(&list, registry).map_err(told)
    })?;
    Ok(Some(installed.join(MODULES)))
}
