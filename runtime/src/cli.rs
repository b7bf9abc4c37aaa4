//! The command line.

mod build;
mod mend;

use std::path::{Path, PathBuf};

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand};

use build::Build;
use mend::mended;

use crate::build::{Engine, Kind, Recipe, Sandbox};
use crate::config::{Config, DEFAULT_ADDRESS, Mount, Overrides, Source, TlsSource, bucket_name};
use crate::limits::Limits;
use crate::limits::keys::KEYS;
use crate::units::{Bytes, Span};
use crate::wasm::{Compilation, EngineKind};

/// Serves WebAssembly handlers and static files.
///
/// A handler is a component with one function, `application(env)`. Every request
/// runs in a sandbox of its own, within limits.
#[derive(Debug, Parser)]
#[command(
    name = "myweb-run",
    version,
    max_term_width = 100,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Action>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tell all that is wrong with a configuration file, without serving it; with
    /// the variables that would be set over it.
    Check(Written),
    /// Print the tenants, routes and what answers them.
    Routes(Written),
    /// Print the JSON schema of the configuration file.
    Schema,
    /// Build a component from an app in Python or JavaScript.
    Build(Build),
    /// Compile the component of standard input, for the server that starts it.
    #[command(hide = true)]
    Compile {
        #[arg(long, value_parser = EngineKind::named)]
        engine: EngineKind,
        #[arg(long)]
        patient: bool,
        #[arg(long)]
        time: Span,
        #[arg(long)]
        memory: Bytes,
    },
    /// Run a tool of a build with the rights that the arguments name, and no others.
    #[command(hide = true)]
    Sandbox(Box<Sandbox>),
}

/// A configuration file, and where its server keeps compiled components.
#[derive(Debug, Args)]
struct Written {
    /// The file.
    #[arg(default_value = FILE, env = "MYWEB_CONFIG")]
    file: PathBuf,
    /// Keep compiled components in DIR, as the server will.
    #[arg(long, value_name = "DIR", env = "MYWEB_STATE")]
    state: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Serve {
    /// Serve a component at PREFIX and below, by default at /. Repeatable.
    #[arg(long = "app", value_name = "[PREFIX=]FILE", value_parser = mount)]
    apps: Vec<Mount>,
    /// Run the apps in JavaScript with this engine: starlingmonkey, which is fast and
    /// complete, or quickjs, which is small
    #[arg(long, value_name = "NAME", default_value_t, value_parser = Engine::named)]
    engine: Engine,
    /// Build a Python app of WSGI as a component, and serve it at PREFIX. Repeatable.
    #[arg(long, value_name = "[PREFIX=][FOLDER/]MODULE:APP")]
    wsgi: Vec<String>,
    /// The same of ASGI.
    #[arg(long, value_name = "[PREFIX=][FOLDER/]MODULE:APP")]
    asgi: Vec<String>,
    /// Ask Python apps for PATH while building, so that what they make at first
    /// use is in the component. Repeatable.
    #[arg(long, value_name = "PATH")]
    warm: Vec<String>,
    /// Serve every NAME.wasm in DIR at /NAME and below.
    #[arg(long, value_name = "DIR", env = "MYWEB_HANDLERS")]
    handlers: Option<PathBuf>,
    /// Serve the files in DIR, by default at /. Repeatable. Without it, ./html is
    /// served if it is there: at / in front of the apps, and at /static/.
    #[arg(long = "static", value_name = "[PREFIX=]DIR", value_parser = mount)]
    statics: Vec<Mount>,
    /// For development: why an app in Python failed is on its page, too.
    #[arg(long, env = "MYWEB_DEBUG", conflicts_with = "config",
          value_parser = BoolishValueParser::new())]
    debug: bool,
    /// Let the apps read and send the files in DIR.
    #[arg(long, value_name = "DIR", env = "MYWEB_FILES")]
    files: Option<PathBuf>,
    /// Let the apps send requests to this origin: https://api.example.com,
    /// https://*.example.com, http://10.0.0.5:8080. Repeatable.
    #[arg(long = "outbound", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// Trust these authorities, beside the system's, when apps send requests.
    #[arg(long, value_name = "FILE", env = "MYWEB_OUTBOUND_CA")]
    outbound_ca: Option<PathBuf>,
    /// Let the apps open a bucket of key-value data. Repeatable.
    #[arg(long, value_name = "BUCKET", env = "MYWEB_KEYVALUE", value_delimiter = ',',
          value_parser = bucket_name)]
    keyvalue: Vec<String>,
    /// Serve the tenants of a configuration file. ./myweb.toml is found by itself
    /// when nothing else is said.
    #[arg(long, value_name = "FILE", env = "MYWEB_CONFIG",
          conflicts_with_all = ["apps", "wsgi", "asgi", "handlers", "statics", "files", "origins", "keyvalue",
                                "reuse", "reuse_concurrency"])]
    config: Option<PathBuf>,
    /// Listen here, or at unix:PATH, or where systemd says; port 0 picks a free one
    /// [default: 127.0.0.1:7788]
    #[arg(long, value_name = "HOST:PORT", env = "MYWEB_ADDR")]
    addr: Option<String>,
    /// Serve over TLS, with the certificate and key of two PEM files, or with a
    /// certificate that the server makes for itself, for development.
    #[arg(long, value_name = "CERT,KEY|self-signed", env = "MYWEB_TLS", value_parser = tls)]
    tls: Option<TlsSource>,
    /// Let an instance serve up to N requests, one after the other. 1 is a fresh
    /// instance for every request, the default, but for apps in Python and
    /// JavaScript (10000); more is faster, and isolates requests of the same app
    /// less.
    #[arg(long, value_name = "N", env = "MYWEB_REUSE", value_parser = count)]
    reuse: Option<u32>,
    /// Let an instance serve so many of them at the same time, if the apps are
    /// components of wasi:http 0.3. What it uses is divided among them, and a fault
    /// of one ends all.
    #[arg(long, value_name = "N", env = "MYWEB_REUSE_CONCURRENCY", default_value_t = 1,
          hide_default_value = true, value_parser = count)]
    reuse_concurrency: u32,
    /// Load changed components and configuration while serving; a broken one
    /// leaves the old one.
    #[arg(long, env = "MYWEB_WATCH", value_parser = BoolishValueParser::new())]
    watch: bool,
    /// Build apps also where this system lacks a part of the sandbox for their tools:
    /// Landlock or seccomp. The tools may then read and change the server's files.
    #[arg(long, env = "MYWEB_ALLOW_UNSANDBOXED_BUILDS", value_parser = BoolishValueParser::new())]
    allow_unsandboxed_builds: bool,
    /// Keep what the server makes in DIR [default: for key-value data a directory of each
    /// configuration in $XDG_STATE_HOME/myweb, or ~/.local/state/myweb; for what is built
    /// and compiled $XDG_CACHE_HOME/myweb, or ~/.cache/myweb]
    #[arg(long, value_name = "DIR", env = "MYWEB_STATE")]
    state: Option<PathBuf>,
}

/// The configuration file that is found by itself.
const FILE: &str = "myweb.toml";

const EXAMPLES: &str = "\
Examples:
  myweb-run --app guests/hello.wasm                 one app at /, ./html in front of it
  myweb-run --app /blog=blog.wasm --app /=site.wasm --static /assets=public
  myweb-run --handlers guests                       every NAME.wasm at /NAME
  myweb-run --app hello.wasm --watch                reload when it is built again
  myweb-run --wsgi app:app                          build a Python WSGI app and serve it
  myweb-run build app.js -o app.wasm                a component from JavaScript
  myweb-run --config myweb.toml                     tenants, hosts, routes and limits

Sizes are written 512, 64KiB, 10MiB; durations 250ms, 10s, 2m; rates 200/s, 10/m.

A flag beats its variable, which beats [limits] of the file: these are the limits of the
server, and the defaults of its tenants. What a tenant or a route of the file has of its own
stays.";

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Serve this.
    Serve(Source),
    /// Check a file.
    Check(Source),
    /// Print the routes of a file.
    Routes(Source),
    /// Print the schema of the file.
    Schema,
    /// Build a component.
    Build {
        /// From this.
        recipe: Recipe,
        /// What is built is kept here; if left out, in the user's directory of
        /// caches.
        state: Option<PathBuf>,
        /// The component's file.
        output: PathBuf,
    },
    /// Compile a component.
    Compile(Compilation),
    /// Run a tool of a build in a sandbox.
    Sandbox(Box<Sandbox>),
}

impl Invocation {
    /// Reads the arguments and the environment of the process. Ends it with a
    /// message if they are wrong, or are `--help`.
    pub fn parse() -> Invocation {
        let matches = command().try_get_matches().unwrap_or_else(|error| mended(error).exit());
        let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let (serve, limits) = (cli.serve, limits_of(&matches));
        match cli.command {
            Some(Action::Check(written)) => Invocation::Check(serve.written(written, limits)),
            Some(Action::Routes(written)) => Invocation::Routes(serve.written(written, limits)),
            Some(Action::Schema) => Invocation::Schema,
            Some(Action::Build(build)) => build.invocation().unwrap_or_else(|why| wrong(&why)),
            Some(Action::Compile { engine, patient, time, memory }) => {
                let (time, memory) = (time.0, memory.0);
                Invocation::Compile(Compilation { engine, time, memory, patient })
            }
            Some(Action::Sandbox(sandbox)) => Invocation::Sandbox(sandbox),
            None => Invocation::Serve(serve.source(limits).unwrap_or_else(|why| wrong(&why))),
        }
    }
}

/// Ends the process: the command line is wrong.
fn wrong(why: &str) -> ! {
    command().error(ErrorKind::ValueValidation, why).exit()
}

/// How many there are of something, at least one.
fn count(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("write a number from 1 to {}", u32::MAX))
}

/// The command, with a flag for every limit.
fn command() -> Command {
    use clap::CommandFactory;
    let default = Limits::default();
    let flags = KEYS.iter().map(|key| {
        let check =
            move |text: &str| key.set(&mut Limits::default(), text).map(|()| text.to_owned());
        Arg::new(key.name)
            .long(key.flag)
            .env(key.variable)
            .value_name(key.placeholder())
            .value_parser(check)
            .help_heading("Limits")
            .help(format!("{} [default: {}]", capital(key.help), key.show(&default)))
    });
    Cli::command().args(flags)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

/// The limits that are set by flags or variables.
fn limits_of(matches: &ArgMatches) -> Vec<(&'static str, String)> {
    let set = |name: &'static str| Some((name, matches.get_one::<String>(name)?.clone()));
    KEYS.iter().filter_map(|key| set(key.name)).collect()
}

impl Serve {
    /// A file, with what flags and variables set over it.
    fn file(self, path: PathBuf, limits: Vec<(&'static str, String)>) -> Source {
        let self_signed = self.tls == Some(TlsSource::SelfSigned);
        let (listen, outbound_ca, state) = (self.addr, self.outbound_ca, self.state);
        let overrides = Overrides { listen, self_signed, outbound_ca, state, limits };
        Source::File { path, overrides, watch: self.watch }
    }

    fn written(mut self, written: Written, limits: Vec<(&'static str, String)>) -> Source {
        self.state = written.state.or(self.state);
        self.file(written.file, limits)
    }

    fn source(mut self, limits: Vec<(&'static str, String)>) -> Result<Source, String> {
        let recipes = self.recipes()?;
        let nothing = self.apps.is_empty()
            && recipes.is_empty()
            && self.statics.is_empty()
            && self.handlers.is_none();
        let found = Some(PathBuf::from(FILE)).filter(|file| nothing && Path::exists(file));
        if let Some(path) = self.config.take().or(found) {
            return Ok(self.file(path, limits));
        }
        let mut config = Config {
            listen: self.addr.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned()),
            tls: self.tls,
            apps: self.apps,
            recipes,
            handlers: self.handlers,
            statics: self.statics,
            debug: self.debug,
            files: self.files,
            outbound: self.origins,
            outbound_ca: self.outbound_ca,
            keyvalue: self.keyvalue,
            reuse: self.reuse,
            reuse_concurrency: self.reuse_concurrency,
            watch: self.watch,
            state: self.state,
            limits: Limits::default(),
        };
        for (key, text) in KEYS.iter().flat_map(|key| {
            limits.iter().filter(|(name, _)| *name == key.name).map(move |(_, text)| (key, text))
        }) {
            // The parser has checked it.
            let _ = key.set(&mut config.limits, text);
        }
        Ok(config.into())
    }

    /// What is built of the apps, with the paths that they answer. Scripts are no
    /// components: they are taken out of the apps.
    fn recipes(&mut self) -> Result<Vec<(String, Recipe)>, String> {
        let scripts = self.apps.extract_if(.., |mount| Recipe::is_javascript(&mount.path));
        let mut recipes: Vec<(String, Recipe)> = scripts
            .map(|Mount { prefix, path }| (prefix, Recipe::javascript(&path, self.engine)))
            .collect();
        for (kind, texts) in [(Kind::Wsgi, &self.wsgi), (Kind::Asgi, &self.asgi)] {
            for text in texts {
                let Mount { prefix, path } = mount(text)?;
                let recipe = Recipe::python(kind, &path.to_string_lossy(), self.warm.clone())?;
                recipes.push((prefix, recipe));
            }
        }
        for (_, recipe) in &mut recipes {
            recipe.unsandboxed = self.allow_unsandboxed_builds;
        }
        Ok(recipes)
    }
}

/// `self-signed`, or two files.
fn tls(text: &str) -> Result<TlsSource, String> {
    match (text, text.split_once(',')) {
        ("self-signed", _) => Ok(TlsSource::SelfSigned),
        (_, Some((cert, key))) if !cert.is_empty() && !key.is_empty() => {
            Ok(TlsSource::Files(cert.into(), key.into()))
        }
        _ => Err("write self-signed, or two files: cert.pem,key.pem".to_owned()),
    }
}

/// `PREFIX=PATH`, or a path alone for `/`.
fn mount(text: &str) -> Result<Mount, String> {
    let (prefix, path) = match text.split_once('=') {
        Some((prefix, path)) if prefix.starts_with('/') => (prefix, path),
        // A file may have a = in its name; a prefix that was meant has no dot or slash.
        Some((prefix, _)) if !prefix.contains(['.', '/']) && !Path::exists(Path::new(text)) => {
            return Err(format!("the prefix {prefix:?} starts with a slash: write /{prefix}=..."));
        }
        _ => ("/", text),
    };
    if path.is_empty() {
        return Err("the path is empty".to_owned());
    }
    Ok(Mount::new(prefix, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_a_path_with_or_without_a_prefix() {
        for (text, expected) in [
            ("a.wasm", Some(Mount::new("/", "a.wasm"))),
            ("/blog=a.wasm", Some(Mount::new("/blog", "a.wasm"))),
            ("/abs/a.wasm", Some(Mount::new("/", "/abs/a.wasm"))),
            ("a.b=c.wasm", Some(Mount::new("/", "a.b=c.wasm"))),
            ("blog=a.wasm", None),
            ("/blog=", None),
            ("", None),
        ] {
            assert_eq!(mount(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }
}
