//! JavaScript: bundled by esbuild, made a component by the tool of its engine. A
//! script of node does it; what is here finds the tools and the packages.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::digest::Digest;
use super::engine::WIT;
use super::npm_packages::{self, Packages};
use super::stage::{self, Taken};
use super::tools::{self, MEND, NETWORK, last_words, on_path};
use super::tsconfig;
use super::{Engine, Place, Recipe, modules, wrong};

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
    place: &Place,
    work: &Path,
) -> Result<(PathBuf, Vec<String>), String> {
    let node = program("node")?;
    if taken.content(Path::new(&recipe.module)).is_none() {
        return Err(recipe.wrong("no such file; check the path"));
    }
    let options = options(recipe, taken)?;
    let tools = place.root.join("tools").join(engine.to_string());
    let tools = tools::managed(tools, engine.tools(), |into| install(engine, into, place))?;
    let modules = own_modules(folder)?;
    let packages = match modules.is_some() {
        true => None,
        false => packages(recipe, folder, taken, place)?,
    };
    tracing::info!("building {recipe}");
    let inside = |name: &str| work.join(name);
    // A copy: what was left out cannot be imported.
    let app = inside("app");
    stage::copy(&taken.files, &app)?;
    if let Some(modules) = modules.as_ref().or(packages.as_ref()) {
        let link = app.join(MODULES);
        symlink(modules, &link).map_err(|error| wrong(&link, &error))?;
    }
    // Beside the tools and packages that it imports.
    let adapter = tools.join("adapter");
    stage::write(engine.adapter(), &adapter)?;
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
    let ended = place.run(Command::new(node).arg(adapter.join(SCRIPT)).arg(inside("job.json")));
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

fn install(engine: Engine, folder: &Path, place: &Place) -> Result<(), String> {
    let npm = program("npm")?;
    tracing::info!("installing {} in {}", engine.tools().join(", "), folder.display());
    stage::write(&[("package.json", "{ \"private\": true }\n")], folder)?;
    let ended =
        place.run(Command::new(npm).args(INSTALL).args(engine.tools()).current_dir(folder))?;
    if ended.ok {
        return Ok(());
    }
    let said = last_words(&ended.said);
    Err(format!("npm cannot install the tools: {said}; {NETWORK}"))
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
    place: &Place,
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
    let installed = place.root.join("packages").join(digest.name());
    let npm = program("npm")?;
    let installed = tools::managed(installed, &[], |into| {
        tracing::info!("{recipe}: installing the packages of package.json");
        stage::write(&packages.texts(), into)?;
        let ended = place.run(Command::new(npm).args(INSTALL).current_dir(into))?;
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
