//! `build`: what to make a component from.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::BoolishValueParser;

use super::Invocation;
use crate::build::{Engine, Kind, Recipe};

#[derive(Debug, Args)]
pub(super) struct Build {
    /// A module of JavaScript or TypeScript, with what it imports.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// A Python app of WSGI, with the packages that requirements.txt or
    /// pyproject.toml beside it name.
    #[arg(long, value_name = "[FOLDER/]MODULE:APP", conflicts_with_all = ["file", "asgi"])]
    wsgi: Option<String>,
    /// The same of ASGI.
    #[arg(long, value_name = "[FOLDER/]MODULE:APP", conflicts_with = "file")]
    asgi: Option<String>,
    /// Run JavaScript with this engine: starlingmonkey, which is fast and complete,
    /// or quickjs, which is small
    #[arg(long, value_name = "NAME", default_value_t, value_parser = Engine::named,
          conflicts_with_all = ["wsgi", "asgi"])]
    engine: Engine,
    /// Write the component to FILE [default: the module's name with .wasm]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Ask the app for PATH while building, so that what it makes at first use,
    /// such as templates, is in the component. Repeatable.
    #[arg(long, value_name = "PATH")]
    warm: Vec<String>,
    /// Build also where this system lacks a part of the sandbox for the tools: Landlock
    /// or seccomp. The tools may then read and change all files of this user.
    #[arg(long, env = "MYWEB_ALLOW_UNSANDBOXED_BUILDS", value_parser = BoolishValueParser::new())]
    allow_unsandboxed_builds: bool,
    /// Keep the tools and what was built in DIR
    /// [default: $XDG_CACHE_HOME/myweb, or ~/.cache/myweb]
    #[arg(long, value_name = "DIR", env = "MYWEB_STATE")]
    state: Option<PathBuf>,
}

impl Build {
    pub(super) fn invocation(self) -> Result<Invocation, String> {
        let mut recipe = match (self.file, self.wsgi, self.asgi) {
            (Some(file), ..) if Recipe::is_javascript(&file) => {
                Recipe::javascript(&file, self.engine)
            }
            (Some(file), ..) => {
                let file = file.display();
                return Err(format!(
                    "{file} is no JavaScript; for a Python app write build --wsgi MODULE:APP"
                ));
            }
            (_, Some(text), _) => Recipe::python(Kind::Wsgi, &text, self.warm)?,
            (.., Some(text)) => Recipe::python(Kind::Asgi, &text, self.warm)?,
            (None, None, None) => {
                return Err(
                    "name what to build: a FILE of JavaScript, or --wsgi or --asgi MODULE:APP"
                        .to_owned(),
                );
            }
        };
        recipe.unsandboxed = self.allow_unsandboxed_builds;
        let output = self.output.unwrap_or_else(|| {
            let module = Path::new(&recipe.module).with_extension("");
            let last = module.to_string_lossy();
            Path::new(last.rsplit('.').next().unwrap_or("app")).with_extension("wasm")
        });
        Ok(Invocation::Build { recipe, state: self.state, output })
    }
}
