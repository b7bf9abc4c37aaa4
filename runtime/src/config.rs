//! What to serve, as it is written down.

mod resolve;

use std::path::PathBuf;

use crate::limits::Limits;
pub(crate) use resolve::{Plan, Source, resolve};

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on, `HOST:PORT`; port 0 picks a free one.
    pub listen: String,
    /// Components and the paths they answer, with what lies below them.
    pub apps: Vec<Mount>,
    /// A directory whose every `NAME.wasm` answers `/NAME` and what lies below.
    pub handlers: Option<PathBuf>,
    /// Directories of static files. Without any, `./html` is served if it is
    /// there: at `/` in front of the apps, and at `/static/`.
    pub statics: Vec<Mount>,
    /// The files that the apps may read and send.
    pub files: Option<PathBuf>,
    /// Requests that one instance serves, one after the other; 1 is fresh.
    pub reuse: u32,
    /// Whether changed components are loaded while serving.
    pub watch: bool,
    /// The bounds that are enforced.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: "127.0.0.1:7788".to_owned(),
            apps: Vec::new(),
            handlers: None,
            statics: Vec::new(),
            files: None,
            reuse: 1,
            watch: false,
            limits: Limits::default(),
        }
    }
}

/// A file or directory, and the path that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// A path that starts with `/`.
    pub prefix: String,
    /// What is mounted there.
    pub path: PathBuf,
}

impl Mount {
    /// What `path` names, at `prefix`.
    pub fn new(prefix: impl Into<String>, path: impl Into<PathBuf>) -> Mount {
        Mount { prefix: prefix.into(), path: path.into() }
    }
}
