//! From sources in Python or JavaScript to a component, once for each content of
//! them: what was built is kept in the state directory.

mod command;
mod digest;
mod engine;
mod inputs;
mod javascript;
mod lock;
mod marks;
mod modules;
mod npm_packages;
mod operator;
pub mod package_json;
pub mod package_lock;
mod place;
mod private;
pub mod pyproject;
mod python;
mod python_packages;
mod reads;
pub mod requirements;
mod rules;
mod sandbox;
mod stage;
mod text;
mod tool;
mod tools;
pub mod tsconfig;
mod watched;

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::explain;
pub use command::stop_builds;
use digest::Digest;
pub use engine::Engine;
pub(crate) use marks::is_of_scripts;
use place::Place;
pub use private::Private;
pub(crate) use reads::{ImportRead, reads_in};
pub(crate) use rules::takes;
pub use sandbox::{FAILED, Sandbox, enter};
pub use text::Problem as TextProblem;
pub(crate) use watched::Watched;

/// What to build a component from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// How requests are handed over.
    pub kind: Kind,
    /// The folder whose files are taken along.
    pub folder: PathBuf,
    /// The module, as it is imported, or the file of JavaScript.
    pub module: String,
    /// What the module calls the application; empty for JavaScript.
    pub name: String,
    /// Paths that are asked for once while building, so that what an app makes at
    /// first use is in the component.
    pub warm: Vec<String>,
    /// Whether tools run also where the system lacks a part of their sandbox.
    pub unsandboxed: bool,
}

/// How requests are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Python, PEP 3333.
    Wsgi,
    /// Python, ASGI 3.
    Asgi,
    /// A module of JavaScript that exports `application`, or a default with
    /// `fetch`; and what runs it.
    JavaScript(Engine),
}

impl Recipe {
    /// `[FOLDER/]MODULE:APP`.
    ///
    /// # Errors
    /// It is not written so.
    pub fn python(kind: Kind, text: &str, warm: Vec<String>) -> Result<Recipe, String> {
        let (folder, target) = text.rsplit_once('/').map_or((".", text), |(folder, target)| {
            (if folder.is_empty() { "/" } else { folder }, target)
        });
        let (module, name) = target.split_once(':').unwrap_or((target, "app"));
        // It becomes part of a program.
        let dotted = |text: &str| {
            text.split('.').all(|part| {
                let word = |c: char| c.is_alphanumeric() || c == '_';
                part.chars().all(word) && part.chars().next().is_some_and(|c| !c.is_numeric())
            })
        };
        if !dotted(module) || !dotted(name) {
            return Err(format!(
                "{target:?} is no module and application: write MODULE:APP, as in app:app"
            ));
        }
        let (module, name) = (module.to_owned(), name.to_owned());
        Ok(Recipe { kind, folder: folder.into(), module, name, warm, unsandboxed: false })
    }

    /// A file of JavaScript or TypeScript.
    pub fn javascript(file: &Path, engine: Engine) -> Recipe {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        let module = file.file_name().map(|name| name.to_string_lossy().into_owned());
        let module = module.unwrap_or_default();
        let kind = Kind::JavaScript(engine);
        Recipe { kind, folder, module, name: String::new(), warm: Vec::new(), unsandboxed: false }
    }

    /// Whether a file is JavaScript or TypeScript by its name.
    pub fn is_javascript(file: &Path) -> bool {
        let extension = file.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("js" | "mjs" | "ts" | "mts" | "jsx" | "tsx"))
    }

    /// The files whose changes are changes of the app; `None` if there is no folder.
    pub(crate) fn watched(&self, private: &Private) -> Option<Watched> {
        let folder = fs::canonicalize(&self.folder).ok()?;
        let kept = private.kept_out_of(&folder).unwrap_or_default();
        Some(Watched::new(folder, kept))
    }

    /// The flag that names it.
    pub(crate) fn flag(&self) -> &'static str {
        match self.kind {
            Kind::Wsgi => "--wsgi",
            Kind::Asgi => "--asgi",
            Kind::JavaScript(_) => "--app",
        }
    }

    /// The component, built unless it is there already.
    ///
    /// # Errors
    /// What is wrong, with file, line and mend.
    pub(crate) fn component(
        &self,
        state: Option<&Path>,
        private: &Private,
    ) -> Result<PathBuf, String> {
        let place = Place::open(state)?;
        let folder = fs::canonicalize(&self.folder).map_err(|error| wrong(&self.folder, &error))?;
        // SECURITY: the server's key is no file of an app.
        let mut private = private.clone();
        private.states.extend(place.root.parent().map(Path::to_owned));
        let kept = private.kept_out_of(&folder).map_err(|why| self.wrong(&why))?;
        let rules = stage::rules(&folder).map_err(|why| self.wrong(&why))?;
        let taken = stage::list(&folder, &rules, &kept).map_err(|why| self.wrong(&why))?;
        let built = place.root.join("components").join(format!("{}.wasm", self.key(&taken.files)));
        let is_there = || built.is_file() && inputs::are_same(&built, &self.folder);
        if is_there() {
            return Ok(built);
        }
        let mut build = place.build(&folder)?;
        // Another process may have built it meanwhile.
        if is_there() {
            return Ok(built);
        }
        tracing::info!("{self}: takes {}", taken.shown());
        if let Some(left) = taken.shown_left() {
            tracing::info!("{self}: leaves out for safety {left}");
        }
        build.start(self.unsandboxed).map_err(|why| self.wrong(&why))?;
        let mut reads = serde_json::Value::Null;
        let (made, others) = match self.kind {
            Kind::Wsgi | Kind::Asgi => {
                let (made, read) = python::build(self, &taken, &build)?;
                reads = read;
                (made, Vec::new())
            }
            Kind::JavaScript(engine) => javascript::build(self, engine, (&folder, &taken), &build)?,
        };
        let bytes = fs::read(&made).map_err(|error| wrong(&made, &error))?;
        let bytes = reads::with_reads(bytes, &reads);
        inputs::keep(&built, &self.folder, &others)?;
        write_whole(&built, &marks::marked(bytes, self.kind))?;
        Ok(built)
    }

    /// Tells contents apart, with all else that a component depends on.
    fn key(&self, files: &[stage::Source]) -> String {
        let mut digest = Digest::default();
        let mut add = |part: &[u8]| digest.add(part);
        let (of_tools, of_adapter, world) = match self.kind {
            Kind::Wsgi | Kind::Asgi => (python::TOOLS, python::adapter(), &python::WIT[..]),
            Kind::JavaScript(engine) => (engine.tools(), engine.adapter(), &engine::WIT[..]),
        };
        add(env!("CARGO_PKG_VERSION").as_bytes());
        add(self.flag().as_bytes());
        add(format!("{self}").as_bytes());
        of_tools.iter().for_each(|tool| add(tool.as_bytes()));
        self.warm.iter().for_each(|path| add(path.as_bytes()));
        for (name, content) in of_adapter.iter().chain(world) {
            add(name.as_bytes());
            add(content.as_bytes());
        }
        for file in files {
            add(file.name.as_os_str().as_encoded_bytes());
            add(&file.content);
        }
        digest.name()
    }

    /// A message about this recipe.
    fn wrong(&self, why: &str) -> String {
        format!("{self}: {why}")
    }
}

/// As it was written down.
impl Display for Recipe {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.folder != Path::new(".") {
            write!(f, "{}/", self.folder.display())?;
        }
        match self.kind {
            Kind::Wsgi | Kind::Asgi => write!(f, "{}:{}", self.module, self.name),
            Kind::JavaScript(_) => write!(f, "{}", self.module),
        }
    }
}

/// Builds a component into a file, which is replaced at once.
///
/// # Errors
/// What is wrong, with file, line and mend.
pub fn build(
    recipe: &Recipe,
    state: Option<&Path>,
    private: &Private,
    output: &Path,
) -> Result<(), String> {
    let built = recipe.component(state, private)?;
    let bytes = fs::read(&built).map_err(|error| wrong(&built, &error))?;
    write_whole(output, &bytes)
}

/// The contract, which tools read from a folder.
const CONTRACT: (&str, &str) = ("handler.wit", include_str!("../../wit/handler.wit"));

/// Writes a file that is whole or not there.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&part);
        wrong(path, &error)
    })
}

fn wrong(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {}", path.display(), explain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_of_wsgi_is_another_component_than_one_of_asgi() {
        let key = |kind| {
            let recipe = Recipe::python(kind, "app:app", Vec::new()).ok()?;
            Some(recipe.key(&[]))
        };
        assert!(key(Kind::Wsgi).is_some());
        assert_ne!(key(Kind::Wsgi), key(Kind::Asgi));
    }

    #[test]
    fn an_app_is_named_by_folder_module_and_name() {
        let named = |text: &str| {
            let recipe = Recipe::python(Kind::Wsgi, text, Vec::new()).ok()?;
            Some((recipe.folder.display().to_string(), recipe.module, recipe.name))
        };
        for (text, expected) in [
            ("app:app", Some((".", "app", "app"))),
            ("shop.web:create.app", Some((".", "shop.web", "create.app"))),
            ("app", Some((".", "app", "app"))),
            ("/srv/shop/app:wsgi", Some(("/srv/shop", "app", "wsgi"))),
            ("app:", None),
            (":app", None),
            ("a b:app", None),
            ("app.py:1", None),
            ("app:app\"\nimport os", None),
        ] {
            let expected = expected.map(|(folder, module, name): (&str, &str, &str)| {
                (folder.to_owned(), module.to_owned(), name.to_owned())
            });
            assert_eq!(named(text), expected, "{text}");
        }
    }
}
