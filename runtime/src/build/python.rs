//! Python: its packages, the adapter and the app, by componentize-py.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::command::Ended;
use super::digest::Digest;
use super::lock::Lock;
use super::place::Build;
use super::python_packages::Packages;
use super::stage::{self, Taken};
use super::tool::Tool;
use super::tools::{self, MEND, NETWORK, last_words, of_version, on_path};
use super::{CONTRACT, Kind, Recipe, wrong};

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
    taken: &Taken,
    build: &Build<'_>,
) -> Result<(PathBuf, Value), String> {
    // A mistake is told before any tool is installed.
    let packages = Packages::of(taken, ALWAYS).map_err(|why| recipe.wrong(&why))?;
    let tools = Tools::find(build)?;
    let packages = installed(recipe, packages, build, &tools)?;
    tracing::info!("building {recipe}");
    let folder = |name: &str| build.work.join(name);
    stage::copy(&taken.files, &folder("app"))?;
    stage::write(&ADAPTER, &folder("adapter"))?;
    stage::write(&[("myweb_target.py", &target(recipe))], &folder("adapter"))?;
    stage::write(&WIT, &folder("wit"))?;
    for name in ["app", "nothing/lib/site-packages"] {
        fs::create_dir_all(folder(name)).map_err(|error| wrong(&folder(name), &error))?;
    }
    let built = folder("app.wasm");
    let world = if recipe.kind == Kind::Asgi { "asgi-app" } else { "wsgi-app" };
    let mut tool = tools
        .componentize()
        // An empty one: else the packages of this machine's Python are taken in.
        .env("VIRTUAL_ENV", folder("nothing"))
        .reads(&packages)
        .writes(&build.work)
        .args(["-q", "-w", world, "-d"])
        .arg(folder("wit"))
        .arg("componentize");
    // The adapter knows the places that they get, by this order.
    for path in [folder("app"), packages, folder("adapter")] {
        tool = tool.arg("-p").arg(path);
    }
    let ended = build.run(&tool.arg("-o").arg(&built).arg("myweb_entry"), None);
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
    /// The Python that runs the others.
    python: PathBuf,
    /// What Python runs, or a program.
    componentize: Componentize,
    uv: PathBuf,
}

enum Componentize {
    Program(PathBuf),
    /// A script of the installation that is managed here.
    Managed(PathBuf),
}

impl Tools {
    fn find(build: &Build<'_>) -> Result<Tools, String> {
        let componentize = of_version("componentize-py", COMPONENTIZE, build);
        let found = (componentize, of_version("uv", UV, build));
        if let (Some(componentize), Some(uv)) = found {
            let componentize = Componentize::Program(componentize);
            return Ok(Tools { python: python(build)?, componentize, uv });
        }
        let folder = build.place.root.join("tools").join(tools::name("python", TOOLS));
        let folder = tools::managed(folder, TOOLS, |into, lock| install(into, build, lock))?;
        let program = |name: &str| folder.join("bin").join(name);
        let componentize = Componentize::Managed(program("componentize-py"));
        Ok(Tools { python: program("python3"), componentize, uv: program("uv") })
    }

    fn componentize(&self) -> Tool {
        match &self.componentize {
            Componentize::Program(program) => Tool::new(program),
            // Not by its first line, which has no room for a long path.
            Componentize::Managed(script) => {
                Tool::new(&self.python).runs(script).arg("-I").arg(script)
            }
        }
    }
}

/// The Python of this machine. A script on `PATH` may only choose one.
fn python(build: &Build<'_>) -> Result<PathBuf, String> {
    let found = on_path("python3").ok_or_else(|| {
        format!("python3 is not on PATH: install it (apt-get install python3-venv), {}", mend())
    })?;
    let ask = Tool::new(&found).args(["-I", "-c", "import sys; print(sys.executable)"]);
    let said = build.run(&ask.in_folder(Path::new("/")), None)?;
    let real = PathBuf::from(said.said.lines().last().unwrap_or_default().trim());
    Ok(if said.ok && real.is_file() { real } else { found })
}

fn mend() -> String {
    format!("or install {} yourself, so that they are on PATH", TOOLS.join(" and "))
}

/// An environment of Python with the tools.
fn install(folder: &Path, build: &Build<'_>, lock: &Lock) -> Result<(), String> {
    let (python, mend) = (python(build)?, mend());
    tracing::info!("installing {} in {}", TOOLS.join(" and "), folder.display());
    let inside = |program: &Path| Tool::new(program).executes(folder).writes(folder);
    let venv = inside(&python).installs().args(["-I", "-m", "venv"]).arg(folder);
    let made = build.run(&venv, Some(lock))?;
    if !made.ok {
        let said = last_words(&made.said);
        return Err(format!(
            "python3 -m venv failed: {said}; apt-get install python3-venv, {mend}"
        ));
    }
    let pip = inside(&folder.join("bin/python3"))
        .fetches()
        .args(["-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        // SECURITY: what is not a wheel would run code of its own.
        .args(["--no-input", "--only-binary", ":all:"])
        .args(TOOLS);
    let installed = build.run(&pip, Some(lock))?;
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
    build: &Build<'_>,
    tools: &Tools,
) -> Result<PathBuf, String> {
    let root = build.place.root.join("packages");
    let Some(packages) = packages else {
        return tools::managed(root.join("none"), &[], |_, _| Ok(()));
    };
    let name = packages.named_in;
    let mut digest = Digest::default();
    [UV, PYTHON].iter().for_each(|part| digest.add(part.as_bytes()));
    packages.add_to(&mut digest);
    tools::managed(root.join(digest.name()), &[ALWAYS], |folder, lock| {
        tracing::info!("{recipe}: installing the packages of {name}");
        // SECURITY: uv runs where nothing of the app is: in an app's folder it would read settings,
        // and run the Python of a `.venv`.
        let wanted = build.work.join("wanted");
        stage::write(&packages.files, &wanted)?;
        let uv = Tool::new(&tools.uv)
            .runs(&tools.python)
            .fetches()
            .in_folder(&wanted)
            .reads(&wanted)
            .writes(folder)
            .args(["pip", "install", "--quiet", "--no-progress", "--color", "never"])
            .args(["--python-version", PYTHON, "--only-binary", ":all:", "--link-mode", "copy"])
            .args(["--no-python-downloads", "--python"])
            .arg(&tools.python)
            .arg("--target")
            .arg(folder)
            .args(&packages.arguments);
        let installed = build.run(&uv, Some(lock))?;
        if installed.ok {
            return Ok(());
        }
        let said = last_words(&installed.said);
        Err(recipe.wrong(&format!("{name}: its packages cannot be installed: {said}; {MEND}")))
    })
}
