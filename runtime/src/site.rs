//! The resolved, valid picture of all routes. Replaced as a whole when
//! something changes; a request sees one from its start to its end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::capability::files::GrantedFiles;
use crate::config::{Config, Plan, Source, resolve};
use crate::error::{Refusal, StartError, explain};
use crate::files::{self, Root};
use crate::handler::{Handler, reads};
use crate::request::{Payload, Request};
use crate::respond::Response;
use crate::router::{Miss, Router};
use crate::tenant::Tenant;
use crate::wasm::{App, Engine};

/// Where the static files are when nothing else is said.
const HTML: &str = "html";

/// Routes and what answers them.
pub(crate) struct Site {
    /// Static files that are looked up before the routes.
    front: Option<Root>,
    router: Router<Handler>,
    pub(crate) tenant: Arc<Tenant>,
    /// The loaded components by their content: an unchanged one is not compiled
    /// again, and mounted twice it is loaded once.
    apps: HashMap<[u8; 32], Arc<App>>,
    /// Each prefix and what answers it, for people.
    pub(crate) table: Vec<(String, String)>,
}

impl Site {
    /// Loads all that a configuration names. What the site before has loaded
    /// already is taken from there.
    ///
    /// # Errors
    /// Whatever is missing, broken or contradictory.
    pub(crate) fn load(
        config: &Config,
        engine: &Arc<Engine>,
        tenant: Arc<Tenant>,
        before: Option<&Site>,
    ) -> Result<Site, StartError> {
        let plan = plan(config)?;
        let mut site = Site {
            front: plan.front.as_deref().map(Root::open).transpose()?,
            router: Router::new(),
            tenant,
            apps: HashMap::new(),
            table: table(&plan),
        };
        for (prefix, source) in &plan.mounts {
            let handler = match source {
                Source::App(path) => Handler::App(site.load_app(path, config, engine, before)?),
                Source::Files(path) => Handler::Files(Arc::new(Root::open(path)?)),
            };
            if !prefix.is_empty() {
                site.router.add(prefix, None, handler.clone());
            }
            site.router.add(&format!("{prefix}/*"), None, handler);
        }
        Ok(site)
    }

    fn load_app(
        &mut self,
        path: &Path,
        config: &Config,
        engine: &Arc<Engine>,
        before: Option<&Site>,
    ) -> Result<Arc<App>, StartError> {
        let wrong = |why| StartError::Component { path: path.to_owned(), why };
        let bytes = std::fs::read(path).map_err(|error| wrong(explain(&error)))?;
        let content: [u8; 32] = Sha256::digest(&bytes).into();
        let loaded = before.into_iter().chain([&*self]).find_map(|site| site.apps.get(&content));
        let app = match loaded {
            Some(app) => app.clone(),
            None => {
                let files = GrantedFiles::open(config.files.as_deref())?;
                let limits = &self.tenant.limits;
                Arc::new(App::new(engine, &bytes, limits, files, config.reuse).map_err(wrong)?)
            }
        };
        self.apps.insert(content, app.clone());
        Ok(app)
    }

    /// Answers a request.
    pub(crate) async fn answer(
        &self,
        request: Box<Request>,
        payload: Payload,
    ) -> Result<Response, Refusal> {
        if let Some(response) = self.answer_from_front(&request) {
            return Ok(response);
        }
        let (handler, found) = self.router.find(&request.path, &request.method)?;
        handler.answer(request, payload, found, &self.tenant).await
    }

    fn answer_from_front(&self, request: &Request) -> Option<Response> {
        let front = self.front.as_ref().filter(|_| reads(&request.method))?;
        Some(files::send(front.find(&request.path)?, request))
    }
}

impl From<Miss> for Refusal {
    fn from(miss: Miss) -> Refusal {
        match miss {
            Miss::NotFound => Refusal::NotFound,
            Miss::Method { allow } => Refusal::MethodNotAllowed { allow },
        }
    }
}

/// Looks at the disk for what the configuration leaves open.
fn plan(config: &Config) -> Result<Plan, StartError> {
    let html = Some(PathBuf::from(HTML)).filter(|path| path.is_dir());
    let handlers = config.handlers.as_deref().map(component_names).transpose()?;
    let plan = resolve(config, &handlers.unwrap_or_default(), html)?;
    let nothing = plan.mounts.is_empty() && plan.front.is_none();
    if nothing && config.handlers.is_none() { Err(StartError::Nothing) } else { Ok(plan) }
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

/// What answers where, in the order in which it is asked.
fn table(plan: &Plan) -> Vec<(String, String)> {
    let files = |path: &Path| format!("files in {}", path.display());
    let front = plan.front.iter().map(|path| ("/".to_owned(), files(path)));
    let mounts = plan.mounts.iter().map(|(prefix, source)| {
        let what = match source {
            Source::App(path) => path.display().to_string(),
            Source::Files(path) => files(path),
        };
        (if prefix.is_empty() { "/".to_owned() } else { prefix.clone() }, what)
    });
    front.chain(mounts).collect()
}
