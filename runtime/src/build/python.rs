//! Python: its packages, the adapter and the app, by componentize-py.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::command::Ended;
use super::digest::Digest;
use super::stage::{self, Source};
use super::tools::{self, MEND, NETWORK, last_words, of_version, on_path};
use super::{CONTRACT, Kind, Place, Recipe, wrong};

const COMPONENTIZE: &str = "0.25.1";
const UV: &str = "0.13.9";
/// What is installed where it is not on PATH.
pub(super) const TOOLS: &[&str] = &["componentize-py==0.25.1", "uv==0.13.9"];
/// The Python inside componentize-py, which packages are chosen for.
const PYTHON: &str = "3.14";
/// The packages that an app names, the first file that is there.
const REQUIREMENTS: [&str; 2] = ["requirements.txt", "pyproject.toml"];
/// What a pyproject.toml has that names packages, not settings of tools alone.
const PROJECT: &[u8] = b"[project]";
/// What the standard library expects of the system elsewhere: the time zones.
const ALWAYS: &str = "tzdata";

/// The adapter's files, by their names in its folder.
pub(super) fn adapter() -> &'static [(&'static str, &'static str)] {
    &ADAPTER
}

macro_rules! adapter {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../guests/python/adapter/", $name)))),*]
    };
}

static ADAPTER: [(&str, &str); 19] = adapter![
    "myweb_entry.py",
    "_ssl.py",
    "myweb_adapter/__init__.py",
    "myweb_adapter/answer.py",
    "myweb_adapter/asgi.py",
    "myweb_adapter/boot.py",
    "myweb_adapter/environ.py",
    "myweb_adapter/files.py",
    "myweb_adapter/fresh.py",
    "myweb_adapter/hashes.py",
    "myweb_adapter/importer.py",
    "myweb_adapter/late.py",
    "myweb_adapter/loop.py",
    "myweb_adapter/outbound.py",
    "myweb_adapter/report.py",
    "myweb_adapter/sockets.py",
    "myweb_adapter/store.py",
    "myweb_adapter/system.py",
    "myweb_adapter/wsgi.py"
];

/// The world of an app in Python: the contract, and what its libraries need.
pub(super) const WIT: [(&str, &str); 5] = [
    ("python.wit", include_str!("../../../guests/python/wit/python.wit")),
    ("deps/handler.wit", CONTRACT.1),
    ("deps/clocks.wit", include_str!("../../../guests/python/wit/deps/clocks.wit")),
    ("deps/http.wit", include_str!("../../../guests/python/wit/deps/http.wit")),
    ("deps/io.wit", include_str!("../../../guests/python/wit/deps/io.wit")),
];

/// Builds in an empty folder; the component's file, and which variables the app read at
/// its import.
pub(super) fn build(
    recipe: &Recipe,
    files: &[Source],
    place: &Place,
    work: &Path,
) -> Result<(PathBuf, Value), String> {
    let tools = Tools::find(place)?;
    let packages = packages(recipe, files, place, &tools)?;
    tracing::info!("building {recipe}");
    let folder = |name: &str| work.join(name);
    stage::copy(files, &folder("app"))?;
    stage::write(&ADAPTER, &folder("adapter"))?;
    stage::write(&[("myweb_target.py", &target(recipe))], &folder("adapter"))?;
    stage::write(&WIT, &folder("wit"))?;
    for name in ["app", "nothing/lib/site-packages"] {
        fs::create_dir_all(folder(name)).map_err(|error| wrong(&folder(name), &error))?;
    }
    let built = folder("app.wasm");
    let world = if recipe.kind == Kind::Asgi { "asgi-app" } else { "wsgi-app" };
    let mut command = Command::new(&tools.componentize);
    command
        // An empty one: else the packages of this machine's Python are taken in.
        .env("VIRTUAL_ENV", folder("nothing"))
        .env_remove("PYTHONPATH")
        .env_remove("PYTHONHOME")
        .args(["-q", "-w", world, "-d"])
        .arg(folder("wit"))
        .arg("componentize");
    // The adapter knows the places that they get, by this order.
    for path in [folder("app"), packages, folder("adapter")] {
        command.arg("-p").arg(path);
    }
    let ended = place.run(command.arg("-o").arg(&built).arg("myweb_entry"));
    let ended = ended.map_err(|why| recipe.wrong(&why))?;
    let report = fs::read(folder("adapter").join("report.json")).unwrap_or_default();
    let report: Value = serde_json::from_slice(&report).unwrap_or_default();
    if !ended.ok || !built.is_file() {
        return Err(recipe.wrong(&failure(&report, &ended)));
    }
    for warning in report["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        tracing::warn!("{recipe}: {warning}");
    }
    Ok((built, report["reads"].clone()))
}

/// What the adapter is told: a module of Python. The recipe's words are checked,
/// texts of JSON are texts of Python.
fn target(recipe: &Recipe) -> String {
    let kind = if recipe.kind == Kind::Asgi { "asgi" } else { "wsgi" };
    let text = |text: &str| Value::from(text).to_string();
    let warm: Vec<String> = recipe.warm.iter().map(|path| text(path)).collect();
    let (module, name, warm) = (text(&recipe.module), text(&recipe.name), warm.join(", "));
    format!("MODULE = {module}\nNAME = {name}\nKIND = \"{kind}\"\nWARM = [{warm}]\n")
}

/// Why the app was not built: by the adapter's report, else by what the tool
/// said before its own traces.
fn failure(report: &Value, ended: &Ended) -> String {
    if let Some(sentence) = report["sentence"].as_str() {
        return sentence.to_owned();
    }
    let shown = |trace: &str| trace.replace("\"/app/", "\"").trim_end().to_owned();
    if let Some(trace) = report["traceback"].as_str() {
        let hint = report["hint"].as_str().map(|hint| format!("\n{hint}")).unwrap_or_default();
        return format!("the app failed while it was imported\n{}{hint}", shown(trace));
    }
    let said = ended.said.split("Caused by:").next().unwrap_or_default();
    let said = said.split("AssertionError: ").last().unwrap_or_default();
    format!("componentize-py failed: {}", last_words(said))
}

/// The programs that are used.
struct Tools {
    componentize: PathBuf,
    uv: PathBuf,
}

impl Tools {
    fn find(place: &Place) -> Result<Tools, String> {
        let found = (of_version("componentize-py", COMPONENTIZE), of_version("uv", UV));
        if let (Some(componentize), Some(uv)) = found {
            return Ok(Tools { componentize, uv });
        }
        let folder = place.root.join("tools/python");
        let folder = tools::managed(folder, TOOLS, |into| install(into, place))?;
        let program = |name: &str| folder.join("bin").join(name);
        Ok(Tools { componentize: program("componentize-py"), uv: program("uv") })
    }
}

/// An environment of Python with the tools.
fn install(folder: &Path, place: &Place) -> Result<(), String> {
    let mend = format!("or install {} yourself, so that they are on PATH", TOOLS.join(" and "));
    let python = on_path("python3").ok_or_else(|| {
        format!("python3 is not on PATH: install it (apt-get install python3-venv), {mend}")
    })?;
    tracing::info!("installing {} in {}", TOOLS.join(" and "), folder.display());
    let made = place.run(Command::new(python).args(["-m", "venv"]).arg(folder))?;
    if !made.ok {
        let said = last_words(&made.said);
        return Err(format!(
            "python3 -m venv failed: {said}; apt-get install python3-venv, {mend}"
        ));
    }
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-input"]).args(TOOLS);
    let installed = place.run(&mut pip)?;
    if !installed.ok {
        let said = last_words(&installed.said);
        return Err(format!("pip cannot install the tools: {said}; {NETWORK} {mend}"));
    }
    Ok(())
}

/// The folder with the packages that an app names, installed once for each
/// content of the file that names them.
fn packages(
    recipe: &Recipe,
    files: &[Source],
    place: &Place,
    tools: &Tools,
) -> Result<PathBuf, String> {
    let none = || tools::managed(place.root.join("packages/none"), &[], |_| Ok(()));
    let named = REQUIREMENTS.iter().find_map(|name| {
        files.iter().find(|file| file.name == Path::new(name)).map(|file| (*name, &file.path))
    });
    let Some((name, path)) = named else {
        return none();
    };
    let text = fs::read(path).map_err(|error| wrong(path, &error))?;
    if name == "pyproject.toml" && !text.windows(PROJECT.len()).any(|part| part == PROJECT) {
        return none();
    }
    let lines = String::from_utf8_lossy(&text);
    if let Some(line) = lines.lines().find(|line| is_outside(line)) {
        return Err(recipe.wrong(&format!(
            "{name}: {:?} is outside of the app's folder; move it there",
            line.trim()
        )));
    }
    let mut digest = Digest::default();
    for part in [name.as_bytes(), UV.as_bytes(), PYTHON.as_bytes(), ALWAYS.as_bytes(), &text] {
        digest.add(part);
    }
    // What they name may be any of the app's files.
    for file in files.iter().filter(|_| names_files(&lines)) {
        digest.add(file.name.as_os_str().as_encoded_bytes());
        digest.add(&fs::read(&file.path).map_err(|error| wrong(&file.path, &error))?);
    }
    let folder = place.root.join("packages").join(digest.name());
    tools::managed(folder, &[ALWAYS], |folder| {
        tracing::info!("installing the packages of {}", path.display());
        let mut uv = Command::new(&tools.uv);
        uv.args(["pip", "install", "--quiet", "--no-progress", "--color", "never"])
            .args(["--python-version", PYTHON, "--only-binary", ":all:", "--link-mode", "copy"])
            .arg("--target")
            .arg(folder)
            .args(["-r", &path.display().to_string(), ALWAYS]);
        let installed = place.run(&mut uv)?;
        if installed.ok {
            return Ok(());
        }
        let said = last_words(&installed.said);
        Err(recipe.wrong(&format!("{name}: its packages cannot be installed: {said}; {MEND}")))
    })
}

/// Whether packages are named by further files, or are themselves among the app's;
/// true also of some texts of which it is not.
fn names_files(text: &str) -> bool {
    let by_line = |line: &str| line.trim_start().starts_with(['-', '.', '/']);
    text.lines().any(by_line) || ["file:", "path", "dynamic"].iter().any(|word| text.contains(word))
}

/// Whether a line names a file that is none of the app's, whose changes nobody would
/// see.
fn is_outside(line: &str) -> bool {
    let line = line.split(" #").next().unwrap_or_default().trim();
    if line.starts_with('#') {
        return false;
    }
    let file = ["-r", "--requirement", "-c", "--constraint", "-e", "--editable"].iter();
    let named = file.filter_map(|option| line.strip_prefix(option)).next();
    let named = named.map_or(line, |rest| rest.trim_start_matches([' ', '=']));
    // Of pyproject.toml, only what names a package: its README may be elsewhere.
    let is_path_above = line.contains("path") && line.contains("\"../");
    let is_above = is_path_above || named.split('/').any(|part| part == "..");
    is_above || named.starts_with('/') || line.contains("file:/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_may_name_files_of_the_app() {
        for (line, names, outside) in [
            ("flask==3.1.3", false, false),
            ("# -r base.txt", false, false),
            ("# file:/srv/a, ../b/../c", true, false),
            ("readme = \"../README.md\"", false, false),
            ("-r base.txt", true, false),
            ("--requirement=../base.txt", true, true),
            ("-c /etc/constraints.txt", true, true),
            ("-e .", true, false),
            ("./vendor/shop", true, false),
            ("../vendor/shop", true, true),
            ("shop @ file:vendor/shop.whl", true, false),
            ("shop @ file:///srv/shop.whl", true, true),
            ("shop = { path = \"../shop\" }", true, true),
            ("--index-url https://packages.example/simple", true, false),
        ] {
            assert_eq!((names_files(line), is_outside(line)), (names, outside), "{line}");
        }
    }
}
