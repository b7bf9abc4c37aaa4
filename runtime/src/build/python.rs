//! Python: its packages, the adapter and the app, by componentize-py.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::command::Ended;
use super::digest::Digest;
use super::python_packages::Packages;
use super::stage::{self, Taken};
use super::tools::{self, MEND, NETWORK, last_words, of_version, on_path};
use super::{CONTRACT, Kind, Place, Recipe, wrong};

const COMPONENTIZE: &str = "0.25.1";
const UV: &str = "0.13.9";
/// What is installed where it is not on PATH.
pub(super) const TOOLS: &[&str] = &["componentize-py==0.25.1", "uv==0.13.9"];
/// The Python inside componentize-py, which packages are chosen for.
const PYTHON: &str = "3.14";
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

static ADAPTER: [(&str, &str); 18] = adapter![
    "myweb_entry.py",
    "_ssl.py",
    "myweb_adapter/__init__.py",
    "myweb_adapter/answer.py",
    "myweb_adapter/asgi.py",
    "myweb_adapter/boot.py",
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

/// Builds in an empty folder; the component's file.
pub(super) fn build(
    recipe: &Recipe,
    taken: &Taken,
    place: &Place,
    work: &Path,
) -> Result<PathBuf, String> {
    // A mistake is told before any tool is installed.
    let packages = Packages::of(taken, ALWAYS).map_err(|why| recipe.wrong(&why))?;
    let tools = Tools::find(place)?;
    let packages = installed(recipe, packages, place, work, &tools)?;
    tracing::info!("building {recipe}");
    let folder = |name: &str| work.join(name);
    stage::copy(&taken.files, &folder("app"))?;
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
    Ok(built)
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
/// content of the files that name them.
fn installed(
    recipe: &Recipe,
    packages: Option<Packages>,
    place: &Place,
    work: &Path,
    tools: &Tools,
) -> Result<PathBuf, String> {
    let Some(packages) = packages else {
        return tools::managed(place.root.join("packages/none"), &[], |_| Ok(()));
    };
    let name = packages.named_in;
    let mut digest = Digest::default();
    [UV, PYTHON].iter().for_each(|part| digest.add(part.as_bytes()));
    packages.add_to(&mut digest);
    let folder = place.root.join("packages").join(digest.name());
    tools::managed(folder, &[ALWAYS], |folder| {
        tracing::info!("{recipe}: installing the packages of {name}");
        // SECURITY: uv runs where nothing of the app is: in an app's folder it would read settings,
        // and run the Python of a `.venv`.
        let wanted = work.join("wanted");
        stage::write_all(&packages.files, &wanted)?;
        let mut uv = Command::new(&tools.uv);
        uv.args(["pip", "install", "--quiet", "--no-progress", "--color", "never", "--no-config"])
            .args(["--python-version", PYTHON, "--only-binary", ":all:", "--link-mode", "copy"])
            .arg("--target")
            .arg(folder)
            .args(&packages.arguments)
            .current_dir(&wanted);
        let installed = place.run(&mut uv)?;
        if installed.ok {
            return Ok(());
        }
        let said = last_words(&installed.said);
        Err(recipe.wrong(&format!("{name}: its packages cannot be installed: {said}; {MEND}")))
    })
}
