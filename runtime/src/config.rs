//! What to serve, as it is written down: flags, or a file.

pub(crate) mod address;
mod file;
mod flags;
mod networks;
pub(crate) mod origins;
mod pattern;
pub(crate) mod plan;
mod private;
pub(crate) mod problem;
mod reader;
mod schema;

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::build::{Recipe, Watched};
use crate::error::{StartError, explain};
pub use file::Overrides;
pub use flags::{Config, Mount, TlsSource};
pub(crate) use plan::Plan;
pub use private::private_files;
pub(crate) use problem::Problem;
pub use schema::json_schema;

/// Where to listen when nothing else is said.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:7788";

fn default_address() -> address::Address {
    let place = address::Place::Tcp(DEFAULT_ADDRESS.to_owned());
    address::Address { tls: false, place }
}

/// Where the static files are when nothing else is said.
const HTML: &str = "html";

/// The name of a bucket of key-value data.
///
/// # Errors
/// It is none: a sentence says what one is.
pub(crate) fn bucket_name(text: &str) -> Result<String, String> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let sound = !text.is_empty() && text.len() <= 64 && text.bytes().all(known);
    let wrong = || "a bucket's name has 1 to 64 letters, digits, -, _ and .".to_owned();
    if sound { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// Where it is written down what to serve. It is read again at every reload.
#[derive(Clone, Debug)]
pub enum Source {
    /// Flags: one tenant.
    Config(Box<Config>),
    /// A file like `myweb.toml`, with what the command line sets over it.
    File {
        /// The file.
        path: PathBuf,
        /// What the command line sets over it.
        overrides: Overrides,
        /// Whether changes are loaded while serving.
        watch: bool,
    },
}

impl From<Config> for Source {
    fn from(config: Config) -> Source {
        Source::Config(Box::new(config))
    }
}

impl Source {
    /// Reads what is written, and looks at the disk for what it leaves open.
    pub(crate) fn plan(&self) -> Result<Plan, StartError> {
        match self.read()? {
            (plan, problems) if problems.is_empty() => Ok(plan),
            (_, problems) => Err(StartError::Config(Problem::in_order(problems))),
        }
    }

    /// The same with all that is wrong: the rest can still be judged.
    pub(crate) fn read(&self) -> Result<(Plan, Vec<Problem>), StartError> {
        match self {
            Source::Config(config) => {
                let html = Some(PathBuf::from(HTML)).filter(|path| path.is_dir());
                let names = config.handlers.as_deref().map(component_names).transpose()?;
                let recipes = config.recipes.iter();
                let state = config.state.as_deref();
                let built = recipes
                    .map(|(_, recipe)| recipe.component(state, &private::of_flags(config, recipe)));
                let built: Result<Vec<PathBuf>, String> = built.collect();
                let built = built.map_err(StartError::Build)?;
                let plan = flags::resolve(config, &built, &names.unwrap_or_default(), html)?;
                Ok((plan, Vec::new()))
            }
            Source::File { path, overrides, .. } => {
                let text = read(path).map_err(|why| {
                    StartError::Config(vec![format!("{}: {why}", path.display())])
                })?;
                Ok(file::read(path, &text, overrides))
            }
        }
    }

    /// The apps that are built, with the paths that they answer.
    pub(crate) fn recipes(&self) -> &[(String, Recipe)] {
        match self {
            Source::Config(config) => &config.recipes,
            Source::File { .. } => &[],
        }
    }

    /// The files of those apps.
    pub(crate) fn watched(&self) -> Vec<Watched> {
        match self {
            Source::Config(config) => {
                let recipes = config.recipes.iter().map(|(_, recipe)| recipe);
                let watched =
                    recipes.map(|recipe| recipe.watched(&private::of_flags(config, recipe)));
                watched.flatten().collect()
            }
            Source::File { .. } => Vec::new(),
        }
    }

    /// Whether broken files of one tenant leave the rest to be served. Flags have one
    /// tenant, which whoever writes them wants to see.
    pub(crate) fn serves_the_rest(&self) -> bool {
        matches!(self, Source::File { .. })
    }

    pub(crate) fn watch(&self) -> bool {
        match self {
            Source::Config(config) => config.watch,
            Source::File { watch, .. } => *watch,
        }
    }

    /// What is watched beside the components: the file, the handlers' directory.
    pub(crate) fn written_in(&self) -> Option<&Path> {
        match self {
            Source::Config(config) => config.handlers.as_deref(),
            Source::File { path, .. } => Some(path),
        }
    }
}

/// The largest configuration file, in bytes.
const LARGEST: u64 = 64 << 20;

/// The text of a configuration file.
fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| explain(&error))?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| explain(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err("larger than 64MiB; name a configuration file".to_owned());
    }
    let none = "not a text; name a configuration file, or serve a component with --app";
    String::from_utf8(bytes).map_err(|_| none.to_owned())
}

/// The `NAME` of every `NAME.wasm` in a directory, sorted.
fn component_names(directory: &Path) -> Result<Vec<String>, StartError> {
    let wrong = |error: std::io::Error| StartError::Directory {
        path: directory.to_owned(),
        why: explain(&error),
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(wrong)? {
        let name = entry.map_err(wrong)?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(".wasm"));
        names.extend(name.filter(|name| !name.starts_with('.')).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Reads the text of a file for its problems alone.
pub(crate) fn judge(path: &Path, text: &str) {
    let (_, problems) = file::read(path, text, &file::Overrides::default());
    let place = format!("{}:", path.display());
    for problem in Problem::in_order(problems) {
        assert!(problem.starts_with(&place), "no line is named: {problem}");
    }
}
