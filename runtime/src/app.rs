//! The server as an object: build, bind, serve, drain.

mod answering;
mod ids;
mod started;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use tokio_rustls::TlsAcceptor;

use crate::capability::fetch::Client;
use crate::capability::keyvalue::Stores;
use crate::compress::Encoders;
use crate::config::address::Address;
use crate::config::{Plan, Problem, Source};
use crate::error::StartError;
use crate::files::FileCache;
use crate::limits::Limits;
use crate::machine;
use crate::observe::{Logs, ServerLog};
use crate::server::{self, Stop, listen::Listeners};
use crate::site::{self, Common, Eager, Loaded, Mode, Site};
use crate::state::{self, State};
use crate::tenant::Budget;
use crate::tls::{self, CurrentCertificates};
use crate::upgrade::{self, Handover};
use crate::wasm::{Compiler, Engines, Library};
use crate::watch;
pub(crate) use answering::Answering;
use ids::RequestIds;
use started::Started;

/// A server whose site is loaded and which does not listen yet.
pub struct MyWeb {
    shared: Arc<Shared>,
    listen: Vec<Address>,
    warnings: Vec<String>,
}

/// A site that would be served.
#[derive(Debug)]
pub struct Checked {
    /// What there would be to ask for.
    pub routes: Routes,
    /// What may not do what is meant, a sentence each.
    pub warnings: Vec<String>,
}

/// Tenants with their hosts, and their routes: methods, path, and what answers.
pub type Routes = Vec<(String, Vec<[String; 3]>)>;

/// A server that listens.
pub struct Bound {
    shared: Arc<Shared>,
    listeners: Listeners,
    tls: Option<TlsAcceptor>,
}

/// What can be done with a server while it serves.
#[derive(Clone)]
pub struct Control {
    shared: Weak<Shared>,
}

impl Control {
    /// Loads what has changed. What is broken is logged, and the old one goes on.
    pub async fn reload(&self) {
        if let Some(shared) = self.shared.upgrade() {
            watch::reload(shared).await;
        }
    }

    /// Opens the files of the logs again, after they were moved away.
    pub fn reopen_logs(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.logs.reopen();
        }
    }
}

/// What every connection uses.
pub(crate) struct Shared {
    pub(crate) source: Source,
    /// The limits of the server itself, which a reload does not change.
    pub(crate) limits: Limits,
    /// What it was started with, as it was written.
    pub(crate) started: Started,
    certificates: CurrentCertificates,
    library: Arc<Library>,
    logs: Logs,
    pub(crate) common: Common,
    pub(crate) site: ArcSwap<Site>,
    ids: RequestIds,
    /// One reload at a time: what was read first is not stored last.
    reloads: Mutex<()>,
}

impl MyWeb {
    /// Loads and compiles all that is written down, from a [`Config`] or a file.
    ///
    /// # Errors
    /// Something is missing, broken or contradictory; the error names all of it
    /// and tells the mend.
    ///
    /// [`Config`]: crate::Config
    pub fn build(source: impl Into<Source>) -> Result<MyWeb, StartError> {
        let logs = Logs::start().map_err(|error| StartError::Engine(error.to_string()))?;
        MyWeb::build_with_logs(source, logs, None)
    }

    /// Does the same for its errors alone, with all components loaded, also if they
    /// are many: nothing is written but what is compiled.
    ///
    /// # Errors
    /// As [`MyWeb::build`].
    pub fn check(
        source: impl Into<Source>,
        compiler: Option<PathBuf>,
    ) -> Result<Checked, StartError> {
        let checked = MyWeb::load(source.into(), Logs::dry(), compiler, Eager::All)?;
        Ok(Checked { routes: checked.routes(), warnings: checked.warnings })
    }

    /// The same with threads for logs that are there already, and the program whose
    /// hidden command `compile` compiles components, within limits; else this
    /// process compiles, without.
    ///
    /// # Errors
    /// As [`MyWeb::build`].
    pub fn build_with_logs(
        source: impl Into<Source>,
        logs: Logs,
        compiler: Option<PathBuf>,
    ) -> Result<MyWeb, StartError> {
        MyWeb::load(source.into(), logs, compiler, Eager::Few)
    }

    fn load(
        source: Source,
        logs: Logs,
        compiler: Option<PathBuf>,
        eager: Eager,
    ) -> Result<MyWeb, StartError> {
        let (plan, mut problems) = source.read()?;
        let limits = fitting_limits(&plan, &mut problems);
        // Nothing is made where something is wrong.
        let logs = if problems.is_empty() { logs } else { Logs::dry() };
        let state = plan.state.clone().or_else(state::default_path);
        let state = state.as_deref().map(State::open).and_then(|state| {
            let told = "components are compiled at each start";
            state.inspect_err(|why| tracing::warn!("{why}; meanwhile {told}")).ok()
        });
        let compiler = Compiler::new(compiler, &limits);
        let engines = match Engines::new(&limits) {
            Ok(engines) => engines,
            Err(error) => {
                problems.push(Problem::of_all(error.to_string()));
                return Err(StartError::Config(Problem::in_order(problems)));
            }
        };
        let background = engines.background();
        let library =
            Library::new(engines, state.as_ref(), compiler, &limits, machine::room(&limits));
        let cache = Arc::new(FileCache::new(limits.file_cache));
        let memory = Arc::new(Budget::new(machine::tenants_memory(&limits)));
        let client = Client::new(plan.outbound_ca.as_deref());
        let client = client.or_else(|why| {
            problems.push(Problem::of_all(format!("outbound-ca: {why}")));
            Client::new(None).map_err(StartError::Engine)
        })?;
        let server_log = ServerLog::new(plan.limits.log_rate, plan.limits.access_log_rate);
        let (encoders, stores) = (Encoders::default(), Stores::new(server_log.clone()));
        let common = Common { cache, client, encoders, background, stores, memory, server_log };
        // `check` judges all that would be served; a mistake of the file is told with all else.
        let serves_the_rest =
            eager == Eager::Few && source.serves_the_rest() && problems.is_empty();
        let mode = Mode { eager, serves_the_rest };
        let loaded = match site::load(&plan, &library, &logs, &common, mode, None) {
            Ok(loaded) if problems.is_empty() => loaded,
            loaded => {
                problems.extend(loaded.err().unwrap_or_default());
                return Err(StartError::Config(Problem::in_order(problems)));
            }
        };
        let (broken, warnings) = (loaded.broken, loaded.warnings);
        if eager == Eager::Few {
            broken.iter().chain(&warnings).for_each(|line| tracing::warn!("{line}"));
        }
        loaded.site.install();
        library.serve();
        let site = ArcSwap::from_pointee(loaded.site);
        let certificates = Arc::new(ArcSwap::from_pointee(loaded.certificates));
        let started = Started::with(&plan);
        let ids = RequestIds::new();
        let shared = Arc::new(Shared {
            source,
            limits,
            started,
            certificates,
            library,
            logs,
            common,
            site,
            ids,
            reloads: Mutex::new(()),
        });
        Ok(MyWeb { shared, listen: plan.listen, warnings })
    }

    /// Each tenant's name and hosts, and its routes: methods, path, and what
    /// answers.
    pub fn routes(&self) -> Routes {
        let site = self.shared.site.load();
        let tenant = |site: &Arc<site::TenantSite>| {
            let hosts = site.shown.hosts.join(" ");
            let routes = site.shown.routes.iter().cloned();
            let routes = routes.map(|(methods, path, what)| [methods, path, what]).collect();
            (format!("{}: {hosts}", site.tenant.name), routes)
        };
        site.tenants.iter().map(tenant).collect()
    }

    /// Opens the listeners.
    ///
    /// # Errors
    /// An address is not valid, not of this machine, or in use.
    pub async fn bind(self) -> Result<Bound, StartError> {
        let listeners = Listeners::bind(&self.listen).await?;
        let certificates = self.shared.certificates.clone();
        let tls = listeners.have_tls().then(|| tls::acceptor(certificates));
        let tls = tls.transpose().map_err(StartError::Engine)?;
        let working = upgrade::working_before(listeners.parent());
        if let Some(working) = working.map_err(|why| StartError::Handover(vec![why]))? {
            let broken = self.shared.site.load_full().broken_of(working).await;
            if !broken.is_empty() {
                return Err(StartError::Handover(broken));
            }
        }
        Ok(Bound { shared: self.shared, listeners, tls })
    }
}

impl Bound {
    /// The addresses of TCP that are listened on, with the ports that were picked.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.addresses()
    }

    /// Where the server listens, for people: `http://127.0.0.1:7788`.
    pub fn shown(&self) -> Vec<String> {
        self.listeners.shown()
    }

    /// A handle for what can be done while the server serves.
    pub fn control(&self) -> Control {
        Control { shared: Arc::downgrade(&self.shared) }
    }

    /// What a new process needs to take over.
    ///
    /// # Errors
    /// There are too many open descriptors.
    pub fn handover(&self) -> io::Result<Handover> {
        let shared = Arc::downgrade(&self.shared);
        let working =
            move || shared.upgrade().map(|shared| shared.site.load().working()).unwrap_or_default();
        Ok(Handover::new(self.listeners.handles()?, working))
    }

    /// Answers requests until `stop` is ready, then lets running ones end within
    /// the drain limit, and stops what outlasts it.
    pub async fn serve(self, stop: impl Future<Output = Stop>) {
        self.shared.common.client.start(tokio::runtime::Handle::current());
        upgrade::say_serving(self.listeners.parent());
        self.shared.common.stores.open();
        let _watching = self.shared.source.watch().then(|| watch::start(&self.shared));
        let retiring = tokio::spawn(self.shared.library.clone().retire_idle());
        server::serve(self.listeners, self.tls, self.shared.clone(), stop).await;
        retiring.abort();
        for site in &self.shared.site.load().tenants {
            tracing::info!("tenant {}: {}", site.tenant.name, site.tenant.totals);
        }
        self.shared.logs.flush();
    }
}

/// The limits of the server itself. The pool has room for the largest instance
/// of any route; a head may be as large as any tenant takes; and the machine must
/// have the memory for each single thing.
fn server_limits(plan: &Plan) -> Limits {
    Limits {
        memory: plan.largest(|limits| limits.memory),
        headers: plan.largest(|limits| limits.headers),
        uri: plan.largest(|limits| limits.uri),
        tenant_memory: plan.largest(|limits| limits.tenant_memory),
        body: plan.largest(|limits| limits.body),
        response: plan.largest(|limits| limits.response),
        value: plan.largest(|limits| limits.value),
        ..plan.limits.clone()
    }
}

/// The limits of the server as far as the machine gives them, to judge the rest by; a
/// problem for each that is higher.
fn fitting_limits(plan: &Plan, problems: &mut Vec<Problem>) -> Limits {
    let mut limits = server_limits(plan);
    let unfit = machine::fit(&mut limits);
    if !unfit.is_empty() {
        problems.extend(unfit.iter().flat_map(|unfit| plan.unfit(unfit)));
        let Limits { memory, instances, .. } = Limits::default();
        limits.memory = limits.memory.min(memory);
        limits.instances = limits.instances.min(instances);
    }
    limits
}

impl Shared {
    /// Loads the site again and replaces it if it is sound.
    ///
    /// # Errors
    /// As [`MyWeb::build`]; the site that was there goes on.
    pub(crate) fn reload(&self) -> Result<Reloaded, StartError> {
        let _alone = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = self.source.plan()?;
        let changed = self.started.differences(&plan);
        if !changed.is_empty() {
            return Err(StartError::Config(changed));
        }
        let mut wanted = server_limits(&plan);
        let unfit =
            machine::fit(&mut wanted).into_iter().chain(started::above(&wanted, &self.limits));
        let problems: Vec<Problem> = unfit.flat_map(|unfit| plan.unfit(&unfit)).collect();
        if !problems.is_empty() {
            return Err(StartError::Config(Problem::in_order(problems)));
        }
        let before = self.site.load_full();
        let mode = Mode { eager: Eager::Few, serves_the_rest: self.source.serves_the_rest() };
        let loaded =
            site::load(&plan, &self.library, &self.logs, &self.common, mode, Some(&before));
        let loaded = loaded.map_err(|all| StartError::Config(Problem::in_order(all)))?;
        self.certificates.store(Arc::new(loaded.certificates));
        let site = Arc::new(loaded.site);
        site.install();
        self.site.store(site.clone());
        for gone in before.tenants.iter().map(|site| &site.tenant) {
            if !site.tenants.iter().any(|site| site.tenant.name == gone.name) {
                tracing::info!("tenant {} is gone: {}", gone.name, gone.totals);
            }
        }
        site.tenants.iter().for_each(|site| site.tenant.take_effect());
        let Loaded { kept, broken, warnings, .. } = loaded;
        Ok(Reloaded { kept, broken, warnings })
    }
}

/// Sentences about the parts of a site that a reload could not load.
pub(crate) struct Reloaded {
    /// The site before goes on to serve these.
    pub(crate) kept: Vec<String>,
    /// Nothing serves these.
    pub(crate) broken: Vec<String>,
    /// These may not do what is meant.
    pub(crate) warnings: Vec<String>,
}
