//! The command line.

use std::path::{Path, PathBuf};

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand};

use crate::config::{Config, DEFAULT_ADDRESS, Mount, Overrides, Source, TlsSource, bucket_name};
use crate::limits::Limits;
use crate::limits::keys::KEYS;

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
    /// Tell all that is wrong with a configuration file, without serving it.
    Check {
        /// The file.
        #[arg(default_value = FILE)]
        file: PathBuf,
    },
    /// Print the tenants, routes and what answers them.
    Routes {
        /// The file.
        #[arg(default_value = FILE)]
        file: PathBuf,
    },
    /// Print the JSON schema of the configuration file.
    Schema,
}

#[derive(Debug, Args)]
struct Serve {
    /// Serve a component at PREFIX and below, by default at /. Repeatable.
    #[arg(long = "app", value_name = "[PREFIX=]FILE", value_parser = mount)]
    apps: Vec<Mount>,
    /// Serve every NAME.wasm in DIR at /NAME and below.
    #[arg(long, value_name = "DIR", env = "MYWEB_HANDLERS")]
    handlers: Option<PathBuf>,
    /// Serve the files in DIR, by default at /. Repeatable. Without it, ./html is
    /// served if it is there: at / in front of the apps, and at /static/.
    #[arg(long = "static", value_name = "[PREFIX=]DIR", value_parser = mount)]
    statics: Vec<Mount>,
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
    /// Keep what the server makes in DIR [default for key-value data: ./state]
    #[arg(long, value_name = "DIR", env = "MYWEB_STATE")]
    state: Option<PathBuf>,
    /// Serve the tenants of a configuration file. ./myweb.toml is found by itself
    /// when nothing else is said.
    #[arg(long, value_name = "FILE", env = "MYWEB_CONFIG",
          conflicts_with_all = ["apps", "handlers", "statics", "files", "origins", "keyvalue",
                                "reuse"])]
    config: Option<PathBuf>,
    /// Listen here, or at unix:PATH, or where systemd says; port 0 picks a free one
    /// [default: 127.0.0.1:7788]
    #[arg(long, value_name = "HOST:PORT", env = "MYWEB_ADDR")]
    addr: Option<String>,
    /// Serve over TLS, with the certificate and key of two PEM files, or with a
    /// certificate that the server makes for itself, for development.
    #[arg(long, value_name = "CERT,KEY|self-signed", env = "MYWEB_TLS", value_parser = tls)]
    tls: Option<TlsSource>,
    /// Let an instance serve N requests, one after the other. 1 is a fresh
    /// instance for every request, the default; more is faster, and isolates
    /// requests of the same app less.
    #[arg(long, value_name = "N", env = "MYWEB_REUSE",
          value_parser = clap::value_parser!(u32).range(1..))]
    reuse: Option<u32>,
    /// Load changed components and configuration while serving; a broken one
    /// leaves the old one.
    #[arg(long, env = "MYWEB_WATCH", value_parser = BoolishValueParser::new())]
    watch: bool,
}

/// The configuration file that is found by itself.
const FILE: &str = "myweb.toml";

const EXAMPLES: &str = "\
Examples:
  myweb-run --app guests/hello.wasm                 one app at /, ./html in front of it
  myweb-run --app /blog=blog.wasm --app /=site.wasm --static /assets=public
  myweb-run --handlers guests                       every NAME.wasm at /NAME
  myweb-run --app hello.wasm --watch                reload when it is built again
  myweb-run --config myweb.toml                     tenants, hosts, routes and limits

Sizes are written 512, 64KiB, 10MiB; durations 250ms, 10s, 2m; rates 200/s, 10/m.";

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
}

impl Invocation {
    /// Reads the arguments and the environment of the process. Ends it with a
    /// message if they are wrong, or are `--help`.
    pub fn parse() -> Invocation {
        let matches = command().get_matches();
        let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let file = |path| Source::File { path, overrides: Overrides::default(), watch: false };
        match cli.command {
            Some(Action::Check { file: path }) => Invocation::Check(file(path)),
            Some(Action::Routes { file: path }) => Invocation::Routes(file(path)),
            Some(Action::Schema) => Invocation::Schema,
            None => Invocation::Serve(cli.serve.source(limits_of(&matches))),
        }
    }
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
    fn source(self, limits: Vec<(&'static str, String)>) -> Source {
        let nothing = self.apps.is_empty() && self.statics.is_empty() && self.handlers.is_none();
        let found = Some(PathBuf::from(FILE)).filter(|file| nothing && Path::exists(file));
        if let Some(path) = self.config.or(found) {
            let self_signed = self.tls == Some(TlsSource::SelfSigned);
            let (listen, outbound_ca, state) = (self.addr, self.outbound_ca, self.state);
            let overrides = Overrides { listen, self_signed, outbound_ca, state, limits };
            return Source::File { path, overrides, watch: self.watch };
        }
        let mut config = Config {
            listen: self.addr.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned()),
            tls: self.tls,
            apps: self.apps,
            handlers: self.handlers,
            statics: self.statics,
            files: self.files,
            outbound: self.origins,
            outbound_ca: self.outbound_ca,
            keyvalue: self.keyvalue,
            state: self.state,
            reuse: self.reuse.unwrap_or(1),
            watch: self.watch,
            limits: Limits::default(),
        };
        for (key, text) in KEYS.iter().flat_map(|key| {
            limits.iter().filter(|(name, _)| *name == key.name).map(move |(_, text)| (key, text))
        }) {
            // The parser has checked it.
            let _ = key.set(&mut config.limits, text);
        }
        config.into()
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
