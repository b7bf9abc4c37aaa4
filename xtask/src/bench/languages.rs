//! Python and JavaScript, beside the servers that run the same programs outside
//! of a sandbox: one worker each.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::peers::{self, Address, Peer};
use super::{Group, ROUNDS, report, starts};
use crate::command::{self, output, root};

/// What is measured, by name and path; the programs are in `xtask/languages`.
const PATHS: [(&str, &str); 4] =
    [("hello", "/"), ("json", "/json"), ("page", "/page"), ("cpu", "/cpu")];
/// One more: Flask, which only servers of Python have.
const FLASK: &str = "flask";
/// And how soon there is a first answer.
const START: &str = "start";
const PYTHONS: [&str; 4] = ["gunicorn==27.0.1", "granian==2.8.7", "jinja2==3.1.6", "flask==3.1.3"];
const SOURCES: [&str; 7] = [
    "app.py",
    "requirements.txt",
    "app.js",
    "node.mjs",
    "package.json",
    "flask/app.py",
    "flask/requirements.txt",
];
const WORKERD: &str = "workerd@1.20261117.1";

/// Measures all peers at each path, or at one; those that cannot be installed are
/// left out.
pub(super) fn run(only: Option<&str>) -> Result<()> {
    let names: Vec<&str> = PATHS.iter().map(|(name, _)| *name).chain([FLASK, START]).collect();
    if let Some(only) = only.filter(|only| !names.contains(only)) {
        bail!("{only:?} is not measured: one of {}", names.join(", "));
    }
    let place = Place::new()?;
    if only.is_none_or(|only| only == START) {
        starts::show(&place.starting()?)?;
    }
    if only == Some(START) {
        return Ok(());
    }
    let pythons = place.pythons().unwrap_or_else(|error| left_out("gunicorn and granian", &error));
    let workerd = place.workerd().unwrap_or_else(|error| left_out("workerd", &error));
    let mut groups = Vec::new();
    let is_wanted = |name: &str| only.is_none_or(|only| only == name);
    for (_, path) in PATHS.into_iter().filter(|(name, _)| is_wanted(name)) {
        let mut python = place.ours("myweb python", "python.wasm", path)?;
        python.extend(place.each(&pythons, path)?);
        let mut javascript = place.ours("myweb javascript", "js.wasm", path)?;
        javascript.extend(place.ours("myweb quickjs", "quickjs.wasm", path)?);
        javascript.extend(place.each(&workerd, path)?);
        let node = [("node".to_owned(), vec!["node".into(), "node.mjs".into(), PORT.into()])];
        javascript.extend(place.each(&node, path)?);
        groups.push(Group::measure(&python, &[])?);
        groups.push(Group::measure(&javascript, &[])?);
    }
    if is_wanted(FLASK) {
        let mut flask = place.ours("myweb flask", "flask.wasm", "/")?;
        let inside = Place { folder: place.folder.join(FLASK), server: place.server.clone() };
        flask.extend(inside.each(&pythons, "/")?);
        groups.push(Group::measure(&flask, &[])?);
    }
    report::show(&groups, &format!("languages-{}", only.unwrap_or("all")), ROUNDS)
}

/// Stands for the port in a command.
const PORT: &str = "{port}";

/// A name, and a command that serves on [`PORT`].
type Command = (String, Vec<String>);

fn left_out(what: &str, error: &anyhow::Error) -> Vec<Command> {
    eprintln!("without {what}: {error:#}");
    Vec::new()
}

/// Where the programs are.
struct Place {
    folder: PathBuf,
    /// The program of our server.
    server: String,
}

impl Place {
    /// Copies the programs, and builds what of them are components.
    fn new() -> Result<Place> {
        let folder = root()?.join("target/bench/languages");
        fs::create_dir_all(folder.join(FLASK))?;
        let sources = root()?.join("xtask/languages");
        for name in SOURCES {
            fs::copy(sources.join(name), folder.join(name)).context(name)?;
        }
        let place = Place { folder, server: peers::shipped()?.display().to_string() };
        for (below, what, name) in [
            (".", &["--wsgi", "app:app"][..], "python.wasm"),
            (FLASK, &["--wsgi", "app:app"], "flask.wasm"),
            (".", &["app.js"], "js.wasm"),
            (".", &["--engine", "quickjs", "app.js"], "quickjs.wasm"),
        ] {
            let path = place.path(name);
            let state = root()?.join("target/scripts").display().to_string();
            std::env::set_current_dir(place.folder.join(below))?;
            let build = ["build", "--state", &state, "-o", &path];
            command::run(&place.server, &[&build, what].concat())?;
            std::env::set_current_dir(root()?)?;
        }
        Ok(place)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn peer(&self, name: String, command: Vec<String>, path: &str, address: Address) -> Peer {
        let name = format!("{name} {path}");
        Peer { name, command, directory: self.folder.clone(), path: path.to_owned(), address }
    }

    /// Ours, reused as it is by default, and fresh.
    fn ours(&self, name: &str, component: &str, path: &str) -> Result<Vec<Peer>> {
        let peer = |how: &str, more: &[&str]| {
            let component = self.path(component);
            let start = [&self.server, "--addr", "127.0.0.1:0", "--app", &component];
            let command = start.iter().chain(more).map(|&word| word.to_owned()).collect();
            self.peer(format!("{name} {how}"), command, path, Address::OnStderr)
        };
        Ok(vec![peer("reused", &[]), peer("fresh", &["--reuse", "1"])])
    }

    /// What is started to see how soon it answers: all is in the cache.
    fn starting(&self) -> Result<Vec<Peer>> {
        let named = [("python", "python.wasm"), ("flask", "flask.wasm"), ("javascript", "js.wasm")];
        let first = |(name, component)| {
            let ours = self.ours(&format!("myweb {name}"), component, "/")?;
            ours.into_iter().next().context("it is reused")
        };
        named.into_iter().map(first).collect()
    }

    /// Each command, on a port of its own.
    fn each(&self, commands: &[Command], path: &str) -> Result<Vec<Peer>> {
        let peer = |(name, command): &Command| {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let here = |word: &String| word.replace(PORT, &port.to_string());
            let command = command.iter().map(here).collect();
            Ok(self.peer(name.clone(), command, path, Address::Fixed(port)))
        };
        commands.iter().map(peer).collect()
    }

    /// gunicorn with both its usual workers, and granian.
    fn pythons(&self) -> Result<Vec<Command>> {
        let venv = self.path("venv");
        command::run("python3", &["-m", "venv", &venv])?;
        let install = ["install", "--quiet", "--disable-pip-version-check"];
        command::run(&format!("{venv}/bin/pip"), &[&install[..], &PYTHONS].concat())?;
        let bind = format!("127.0.0.1:{PORT}");
        let gunicorn = |class: &str, more: &[&str]| {
            let program = format!("{venv}/bin/gunicorn");
            let all = [&[&program, "-w", "1", "-k", class, "-b", &bind, "app:app"], more].concat();
            (format!("gunicorn {class}"), all.into_iter().map(str::to_owned).collect())
        };
        let program = format!("{venv}/bin/granian");
        let granian =
            [&program, "--interface", "wsgi", "--workers", "1", "--no-ws", "--port", PORT];
        let granian = granian.iter().chain(&["app:app"]).map(|&word| word.to_owned()).collect();
        let threads = ["--threads", "4"];
        Ok(vec![
            gunicorn("sync", &[]),
            gunicorn("gthread", &threads),
            ("granian".to_owned(), granian),
        ])
    }

    /// workerd, from npm.
    fn workerd(&self) -> Result<Vec<Command>> {
        let prefix = self.path(".");
        command::run("npm", &["install", "--no-audit", "--no-fund", "--prefix", &prefix, WORKERD])?;
        let program = self.path("node_modules/.bin/workerd");
        output(&program, &["--version"]).context("it does not run")?;
        let config = "using Workerd = import \"/workerd/workerd.capnp\";\n\
             const config :Workerd.Config = (\n  services = [(name = \"main\", worker = .main)],\n  \
             sockets = [(name = \"http\", http = (), service = \"main\")]\n);\n\
             const main :Workerd.Worker = (\n  modules = [(name = \"app\", esModule = embed \"app.js\")],\n  \
             compatibilityDate = \"2025-01-01\"\n);\n";
        fs::write(self.folder.join("config.capnp"), config)?;
        let listen = format!("-shttp=127.0.0.1:{PORT}");
        let command = vec![program, "serve".to_owned(), "config.capnp".to_owned(), listen];
        Ok(vec![("workerd".to_owned(), command)])
    }
}
