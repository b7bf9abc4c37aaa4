//! An app that is loaded when it is first asked for, and may be unloaded when
//! others are asked for more.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::app::App;
use super::component::Component;
use super::library::{Found, Library};
use super::source::{Identity, Source};
use super::variables::Variables;
use crate::capability::log::escape;
use crate::error::GuestError;
use crate::limits::Limits;
use crate::observe::{Severity, Subject};
use crate::request::Request;
use crate::tenant::Tenant;
use crate::units::Bytes;

/// An app, loaded or not.
pub(crate) struct Mounted {
    source: Arc<Source>,
    library: Arc<Library>,
    /// Makes the app of its component.
    make: Box<dyn Fn(Arc<Component>) -> App + Send + Sync>,
    limits: Arc<Limits>,
    /// Requests that an instance is to serve at the same time.
    at_once: u32,
    granted: Variables,
    pub(crate) tenant: Arc<Tenant>,
    current: ArcSwapOption<App>,
    /// Why it is never there: its component does not fit its limits.
    unfit: OnceLock<Unfit>,
    /// Whether it was ever loaded.
    worked: AtomicBool,
    /// Whether the last load failed.
    failed: AtomicBool,
    loading: Mutex<Option<Loading>>,
}

/// What becomes of a load: everyone who asks meanwhile waits for the same.
type Loading = watch::Receiver<Option<Result<Arc<App>, String>>>;

impl Mounted {
    /// Mounts a component's file. `make` is called whenever it is loaded.
    pub(crate) fn new(
        source: Arc<Source>,
        library: Arc<Library>,
        limits: Arc<Limits>,
        (at_once, granted): (u32, Variables),
        tenant: Arc<Tenant>,
        make: impl Fn(Arc<Component>) -> App + Send + Sync + 'static,
    ) -> Mounted {
        Mounted {
            source,
            library,
            make: Box::new(make),
            limits,
            at_once,
            granted,
            tenant,
            current: ArcSwapOption::empty(),
            unfit: OnceLock::new(),
            worked: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            loading: Mutex::default(),
        }
    }

    /// The app, loaded if it is not. A load goes on when the client leaves, and
    /// counts as the request's time.
    ///
    /// # Errors
    /// The component is broken, or the load takes longer than the wall limit.
    pub(crate) async fn ready(self: &Arc<Self>, request: &Request) -> Result<Arc<App>, GuestError> {
        if let Some(app) = self.current.load_full() {
            self.library.touch(&app.component);
            return Ok(app);
        }
        Box::pin(self.wait(request)).await
    }

    async fn wait(self: &Arc<Self>, request: &Request) -> Result<Arc<App>, GuestError> {
        let began = Instant::now();
        let wall = self.limits.wall;
        let mut loading = self.loading();
        let loaded = loading.wait_for(Option::is_some);
        let loaded = tokio::time::timeout(wall, loaded).await;
        request.spent.set_loading(began.elapsed());
        let failed =
            |why: &str| GuestError::NotLoaded(format!("{}: {why}", self.source.path.display()));
        match loaded.map_err(|_| GuestError::WallExceeded(wall))?.as_deref() {
            Ok(Some(Ok(app))) => Ok(app.clone()),
            Ok(Some(Err(why))) => Err(failed(why)),
            Ok(None) | Err(_) => Err(failed(FAILED)),
        }
    }

    /// The load that goes on, or a new one.
    fn loading(self: &Arc<Self>) -> Loading {
        let mut there = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loading) = there.as_ref().filter(|loading| loading.has_changed().is_ok()) {
            return loading.clone();
        }
        // It may have been loaded since it was looked for.
        let (sender, receiver) = watch::channel(self.current.load_full().map(Ok));
        if receiver.borrow().is_none() {
            *there = Some(receiver.clone());
            let mounted = self.clone();
            tokio::spawn(async move {
                let loaded = mounted.load().await;
                *mounted.loading.lock().unwrap_or_else(PoisonError::into_inner) = None;
                sender.send_replace(Some(loaded));
            });
        }
        receiver
    }

    /// Loads its file. Where that fails, the file as it was when it was last loaded goes
    /// on: a site of many components is loaded again before its files are.
    async fn load(self: &Arc<Self>) -> Result<Arc<App>, String> {
        let loaded = match self.unfit.get() {
            Some(why) => Err(why.to_string()),
            None => self.load_from(&self.source).await,
        };
        let loaded = match (loaded, self.source.before()) {
            (Err(why), Some(before)) => match self.load_from(&before).await {
                Ok(app) => {
                    let (path, why) = (self.source.path.display(), escape(why.as_bytes()));
                    let subject = Subject { tenant: &self.tenant, route: None, request: None };
                    let line = format_args!("not reloaded, the old one goes on: {path}: {why}");
                    subject.report(Severity::Error, &line, None);
                    Ok(app)
                }
                Err(_) => Err(why),
            },
            (loaded, _) => loaded,
        };
        self.failed.store(loaded.is_err(), Relaxed);
        loaded
    }

    /// Loads a file where nobody's requests are answered. What only has to be looked
    /// for does not wait for what is compiled.
    async fn load_from(self: &Arc<Self>, source: &Arc<Source>) -> Result<Arc<App>, String> {
        let step = {
            let _permit = self.library.finding.acquire().await;
            let source = source.clone();
            let found = self.apart(move |mounted| match mounted.library.find(&source)? {
                Found::Loaded(component) => mounted.set(component).map(Step::Done).map_err(told),
                Found::New(identity, bytes) => Ok(Step::Compile(identity, bytes)),
            });
            found.await?
        };
        let app = match step {
            Step::Done(app) => app,
            Step::Compile(identity, bytes) => {
                let _permit = self.library.compiling.acquire().await;
                let compile = move |mounted: &Arc<Mounted>| {
                    mounted.set(mounted.library.compile(&identity, &bytes)?).map_err(told)
                };
                self.apart(compile).await?
            }
        };
        source.set_sound();
        if let Some(warning) = self.granted.warning(&app.component.reads) {
            let path = source.path.display();
            let subject = Subject { tenant: &self.tenant, route: None, request: None };
            subject.report(Severity::Warn, &format_args!("{path}: {warning}"), None);
        }
        Ok(app)
    }

    async fn apart<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Mounted>) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let mounted = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&mounted)).await;
        done.unwrap_or_else(|_| Err(FAILED.to_owned()))
    }

    /// From now on the app is there.
    ///
    /// # Errors
    /// An instance would have more memory from its start than it may have, or cannot
    /// serve several requests at the same time.
    pub(crate) fn set(self: &Arc<Self>, component: Arc<Component>) -> Result<Arc<App>, Unfit> {
        if self.at_once > 1 && !component.serves_several() {
            return Err(self.unfit.get_or_init(|| Unfit::OneAtATime).clone());
        }
        if let Some(unfit) = self.granted.unfit(&component.reads) {
            return Err(self.unfit.get_or_init(|| unfit).clone());
        }
        let of_tenant = self.tenant.limits.tenant_memory.saturating_sub(component.beside());
        let (least, most) = (component.least_memory(), self.limits.memory.min(of_tenant));
        if least > most {
            let limit = if most < self.limits.memory { "tenant-memory" } else { "memory" };
            return Err(self.unfit.get_or_init(|| Unfit::Memory { least, most, limit }).clone());
        }
        let app = Arc::new((self.make)(component));
        self.current.store(Some(app.clone()));
        self.worked.store(true, Relaxed);
        self.library.hold(self, &app.component);
        Ok(app)
    }

    /// The app goes once its last request ends; it is loaded again when the next
    /// one comes.
    pub(super) fn unload(&self) {
        self.current.store(None);
    }

    /// Loads it if it is not: whether a request would find it.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub(crate) async fn check(self: &Arc<Self>) -> Result<(), String> {
        if self.is_loaded() {
            return Ok(());
        }
        let mut loading = self.loading();
        match loading.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(_))) => Ok(()),
            Ok(Some(Err(why))) => Err(format!("{}: {why}", self.source.path.display())),
            Ok(None) | Err(_) => Err(format!("{}: {FAILED}", self.source.path.display())),
        }
    }

    /// What to warn of, if it is loaded: a package read a granted variable at import.
    pub(crate) fn warning(&self) -> Option<String> {
        let app = self.current.load_full()?;
        let warning = self.granted.warning(&app.component.reads)?;
        Some(format!("{}: {warning}", self.source.path.display()))
    }

    /// Why it is never there, if its component was found not to fit.
    pub(crate) fn unfit(&self) -> Option<Unfit> {
        if self.is_loaded() { None } else { self.unfit.get().cloned() }
    }

    /// Whether it could not be loaded when it was last asked for.
    pub(crate) fn fails(&self) -> bool {
        !self.is_loaded() && (self.failed.load(Relaxed) || self.unfit.get().is_some())
    }

    /// Why it cannot be loaded, as far as it is known without a new load.
    pub(crate) fn why_it_fails(&self) -> String {
        let why = self.unfit().map_or(FAILED.to_owned(), told);
        format!("{}: {why}", self.source.path.display())
    }

    /// Whether it was loaded when it was last asked for; if nobody has asked, it is not
    /// known to work.
    pub(crate) fn works(&self) -> bool {
        self.is_loaded() || (self.worked.load(Relaxed) && !self.fails())
    }

    /// Whether the next request finds it loaded.
    pub(crate) fn is_loaded(&self) -> bool {
        self.current.load().is_some()
    }
}

/// A component that does not fit its limits.
#[derive(Clone)]
pub(crate) enum Unfit {
    /// This limit is too low for it.
    Memory { least: usize, most: usize, limit: &'static str },
    /// It is to serve several requests at the same time.
    OneAtATime,
    /// Its app read granted variables while it was built: each read, as a sentence, and
    /// the names.
    ReadAtImport { reads: String, names: String },
}

impl Unfit {
    /// Whether an instance's limit of memory is too low.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self, Unfit::Memory { limit: "memory", .. })
    }
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unfit::OneAtATime => f.write_str(
                "an instance serves one request at a time, unless it is of wasi:http 0.3; leave \
                 out reuse-concurrency",
            ),
            Unfit::Memory { least, most, limit } => {
                let (least, most) = (Bytes(*least), Bytes(*most));
                write!(
                    f,
                    "an instance starts with {least} of memory, {most} are allowed; raise the \
                     {limit} limit"
                )
            }
            Unfit::ReadAtImport { reads, names } => write!(
                f,
                "{reads}, while it is built, and never sees the granted value; read it in the \
                 request, or in a function that the request calls (docs/values.md), or, if the \
                 value of the build is meant, say env-at-import = [{names}] in the grants"
            ),
        }
    }
}

fn told(unfit: Unfit) -> String {
    unfit.to_string()
}

/// How far a load came.
enum Step {
    Done(Arc<App>),
    Compile(Arc<Identity>, Vec<u8>),
}

/// What is said when there is no more to say.
const FAILED: &str = "the load failed";
