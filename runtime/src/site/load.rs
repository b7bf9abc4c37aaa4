//! From a plan to a site: opens and compiles what the plan names. All that
//! fails is told at once.

mod error_pages;
mod grants;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AppKey, Shown, Site, TenantSite};
use crate::capability::fetch::Client;
use crate::capability::keyvalue::Stores;
use crate::compress::Encoders;
use crate::config::address::Address;
use crate::config::plan::{RoutePlan, StaticPlan, Target, TenantPlan};
use crate::config::problem::Origin;
use crate::config::{Plan, Problem};
use crate::error::{StartError, explain_writing};
use crate::files::{FileCache, Files, Root};
use crate::handler::{Handler, Route};
use crate::hosts::{HostPattern, Hosts};
use crate::limits::Limits;
use crate::observe::{AccessLog, Logs};
use crate::redirect::{HTTPS, Redirect, Transport};
use crate::router::Router;
use crate::tenant::{Budget, Tenant};
use crate::tls::{self, Certificates};
use crate::wasm::{App, Background, Component, Library, Mounted, Source, Work};
use grants::OfTenant;

/// What all tenants share, as long as the server runs.
pub(crate) struct Common {
    pub(crate) client: Arc<Client>,
    pub(crate) cache: Arc<FileCache>,
    pub(crate) encoders: Encoders,
    /// Where long work for their requests is done.
    pub(crate) background: Arc<Background>,
    pub(crate) stores: Stores,
    /// The memory of all of them together.
    pub(crate) memory: Arc<Budget>,
}

/// Which components are loaded before the site is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eager {
    /// Those that are new or changed, unless there are many: then each is loaded
    /// when it is first asked for.
    Few,
    /// All of them.
    All,
}

/// As many new or changed components are loaded before the site is there, so
/// that what is wrong with one is told at once.
const FEW: usize = 100;

/// A site, and what of it is the old one's because the new one is broken.
pub(crate) struct Loaded {
    pub(crate) site: Site,
    pub(crate) certificates: Certificates,
    pub(crate) kept: Vec<String>,
}

/// Loads all that a plan names. What the site before has loaded already is
/// taken from there.
///
/// # Errors
/// Whatever is missing or broken, each with the place that names it.
pub(crate) fn load(
    plan: &Plan,
    library: &Arc<Library>,
    logs: &Logs,
    shared: &Common,
    eager: Eager,
    before: Option<&Site>,
) -> Result<Loaded, Vec<Problem>> {
    let mut loader = Loader {
        library,
        logs,
        shared,
        before,
        roots: HashMap::new(),
        sources: HashMap::new(),
        components: HashMap::new(),
        apps: HashMap::new(),
        problems: Vec::new(),
        kept: Vec::new(),
    };
    let access_log = plan.access_log.as_ref().and_then(|plan| {
        let sink = match &plan.path {
            Some(path) => loader.sink(path, &plan.origin)?,
            None => logs.to_stdout(),
        };
        Some(Arc::new(AccessLog::new(sink, plan.format)))
    });
    loader.sources(plan, eager);
    let mut hosts = Hosts::default();
    let certificates = loader.certificates(plan);
    let https = plan.listen.iter().find(|address| address.tls).and_then(Address::port);
    let https = https.unwrap_or(HTTPS);
    let mut tenants = Vec::new();
    for tenant in &plan.tenants {
        let site = Arc::new(loader.tenant(tenant, https));
        for host in &tenant.hosts {
            hosts.add(host.clone(), site.clone());
        }
        tenants.push(site);
    }
    if !loader.problems.is_empty() {
        return Err(loader.problems);
    }
    let Loader { sources, apps, kept, .. } = loader;
    Ok(Loaded { certificates, site: Site { hosts, tenants, access_log, sources, apps }, kept })
}

/// What is loaded so far, each thing once. `None` is what could not be loaded
/// and has been told.
struct Loader<'a> {
    library: &'a Arc<Library>,
    logs: &'a Logs,
    shared: &'a Common,
    before: Option<&'a Site>,
    roots: HashMap<(PathBuf, Vec<String>), Option<Arc<Root>>>,
    /// The components' files that are sound, as far as it is known.
    sources: HashMap<PathBuf, Arc<Source>>,
    /// Those of them that are loaded now.
    components: HashMap<PathBuf, Arc<Component>>,
    apps: HashMap<AppKey, Arc<Mounted>>,
    problems: Vec<Problem>,
    kept: Vec<String>,
}

impl Loader<'_> {
    fn tenant(&mut self, plan: &TenantPlan, https: u16) -> TenantSite {
        let tenant = self.owner(plan);
        let keyvalue = self.keyvalue(plan, &tenant);
        let mut router = Router::new();
        let mut named = HashMap::new();
        let mut limits: Vec<Arc<Limits>> = vec![tenant.limits.clone()];
        for route in &plan.routes {
            let Some(handler) = self.handler(route, &tenant, &keyvalue) else { continue };
            let same = limits.iter().find(|limits| ***limits == route.limits).cloned();
            let limits = same.unwrap_or_else(|| {
                limits.push(Arc::new(route.limits.clone()));
                limits[limits.len() - 1].clone()
            });
            let target = Route {
                name: route.pattern.as_str().into(),
                handler,
                limits,
                headers: route.headers.clone(),
                cache_control: route.cache_control.clone(),
                encoders: route.compress.then(|| self.shared.encoders.clone()),
                work: self.work(&tenant),
                etag: route.etag,
            };
            let target = Arc::new(target);
            named.extend(route.name.clone().map(|name| (name, target.clone())));
            router.add(&route.pattern, route.methods.clone(), target);
        }
        let front = plan.front.as_ref().and_then(|(path, origin)| {
            self.files(&StaticPlan::new(path.clone()), true, &tenant, origin)
        });
        let error_pages = self.error_pages(plan);
        let transport = match &plan.tls {
            Some(tls) => {
                Transport { hsts: tls.hsts.clone(), redirect: tls.redirect.then_some(https) }
            }
            None => Transport::default(),
        };
        TenantSite { tenant, front, router, named, error_pages, transport, shown: shown(plan) }
    }

    /// The certificate of each host that has one.
    fn certificates(&mut self, plan: &Plan) -> Certificates {
        let mut certificates = Certificates::default();
        if plan.self_signed {
            let hosts = plan.tenants.iter().flat_map(|tenant| &tenant.hosts);
            let hosts = hosts.filter(|host| **host != HostPattern::Any);
            match tls::self_made(hosts.map(ToString::to_string)) {
                Ok(own) => {
                    certificates.add(HostPattern::Any, own);
                }
                Err(why) => {
                    self.problems.push(Problem::of_all(format!("--tls self-signed: {why}")));
                }
            }
        }
        for tenant in &plan.tenants {
            let Some(tls) = &tenant.tls else { continue };
            let Some((certificate, key)) = &tls.files else { continue };
            match tls::load(certificate, key) {
                Ok(certificate) => {
                    for host in &tenant.hosts {
                        certificates.add(host.clone(), certificate.clone());
                    }
                }
                Err(why) => self.problems.push(tls.origin.problem(why)),
            }
        }
        certificates
    }

    /// The tenant that was there before, with what it uses, as it is now.
    fn owner(&mut self, plan: &TenantPlan) -> Arc<Tenant> {
        let mut before = self.before.into_iter().flat_map(|site| &site.tenants);
        let before = before.find(|site| *site.tenant.name == *plan.name).map(|site| &site.tenant);
        if let Some(tenant) = before.filter(|tenant| tenant.is_as(plan)) {
            return tenant.clone();
        }
        let log = plan.log.as_deref().and_then(|path| self.sink(path, &plan.log_origin));
        Arc::new(match before {
            Some(tenant) => tenant.changed(plan, log),
            None => Tenant::new(plan, log, &self.shared.memory),
        })
    }

    fn handler(
        &mut self,
        route: &RoutePlan,
        tenant: &Arc<Tenant>,
        keyvalue: &OfTenant,
    ) -> Option<Handler> {
        match &route.target {
            Target::Files(plan) => {
                let files = self.files(plan, route.compress, tenant, &route.origins.target)?;
                Some(Handler::Files(Arc::new(files)))
            }
            Target::Redirect { to, status } => {
                Some(Handler::Redirect(Arc::new(Redirect::new(to.clone(), *status))))
            }
            Target::App { path, reuse, grants } => {
                let source = self.sources.get(path)?.clone();
                let limits = Arc::new(route.limits.clone());
                let granted = self.grants(grants, keyvalue, (tenant, &limits), &route.origins)?;
                let granted = Arc::new(granted);
                let key = AppKey {
                    path: path.clone(),
                    stamp: source.stamp,
                    tenant: tenant.name.to_string(),
                    limits: route.limits.clone(),
                    reuse: *reuse,
                    grants: grants.clone(),
                    store: keyvalue.place.clone(),
                    values: (granted.config.clone(), granted.env.clone()),
                };
                let before = self.before.and_then(|site| site.apps.get(&key));
                let before = before.filter(|app| Arc::ptr_eq(&app.tenant, tenant)).cloned();
                let app = self.apps.entry(key).or_insert_with(|| {
                    let (reuse, owner, of_app) = (*reuse, tenant.clone(), limits.clone());
                    let new = move |component| {
                        App::new(component, of_app.clone(), granted.clone(), reuse, owner.clone())
                    };
                    let library = self.library.clone();
                    let at_once = reuse.at_once;
                    let mounted =
                        || Mounted::new(source, library, limits, at_once, tenant.clone(), new);
                    before.unwrap_or_else(|| Arc::new(mounted()))
                });
                let app = app.clone();
                let loaded = self.components.get(path).filter(|_| !app.is_loaded()).cloned();
                if let Some(Err(unfit)) = loaded.map(|component| app.set(component)) {
                    let at = route.origins.memory.as_ref().filter(|_| unfit.is_memory());
                    let at = at.map_or(String::new(), |origin| format!(" at {}", origin.at()));
                    let why = format!("{}: {unfit}{at}", path.display());
                    self.problems.push(route.origins.target.problem(why));
                    return None;
                }
                Some(Handler::App(app))
            }
        }
    }

    fn work(&self, tenant: &Arc<Tenant>) -> Work {
        Work::new(self.shared.background.clone(), tenant.clone())
    }

    fn files(
        &mut self,
        plan: &StaticPlan,
        compress: bool,
        tenant: &Arc<Tenant>,
        origin: &Origin,
    ) -> Option<Files> {
        let root = self.root(plan, origin)?;
        let encoders = compress.then(|| self.shared.encoders.clone());
        let (work, fallback) = (self.work(tenant), plan.fallback.clone());
        Some(Files { root, listing: plan.listing, fallback, encoders, work })
    }

    fn root(&mut self, plan: &StaticPlan, origin: &Origin) -> Option<Arc<Root>> {
        if plan.path.as_os_str().is_empty() {
            return None;
        }
        let key = (plan.path.clone(), plan.index.clone());
        if let Some(root) = self.roots.get(&key) {
            return root.clone();
        }
        let root =
            Root::open(&plan.path, plan.index.clone(), self.shared.cache.clone()).map(Arc::new);
        let root = root.map_err(|error| self.problems.push(origin.problem(error))).ok();
        self.roots.insert(key, root.clone());
        root
    }

    /// Looks at the files of all components, and loads those that are new or
    /// changed if they are to be. On a reload, the old one of a broken one goes on.
    fn sources(&mut self, plan: &Plan, eager: Eager) {
        let mut new: Vec<(Arc<Source>, &Origin)> = Vec::new();
        let mut seen = HashSet::new();
        for (path, origin) in
            plan.components().filter(|(path, _)| seen.insert(*path) && !path.as_os_str().is_empty())
        {
            let old = self.before.and_then(|site| site.sources.get(path));
            match Source::of(path, self.library.largest) {
                Ok(source) => match old.filter(|old| old.stamp == source.stamp) {
                    Some(old) => drop(self.sources.insert(path.to_owned(), old.clone())),
                    None => new.push((Arc::new(source), origin)),
                },
                Err(why) => self.broken(path, origin, why),
            }
        }
        let now = match eager {
            Eager::Few => new.len() <= FEW,
            Eager::All => true,
        };
        let found: Vec<_> = new.iter().map(|(source, _)| &**source).collect();
        let loaded = if now { self.library.load_all(&found) } else { Vec::new() };
        let mut loaded = loaded.into_iter();
        for (source, origin) in new {
            match loaded.next() {
                Some(Err(why)) => self.broken(&source.path, origin, why),
                Some(Ok(component)) => self.sound(source, Some(component)),
                None => self.sound(source, None),
            }
        }
    }

    fn sound(&mut self, source: Arc<Source>, component: Option<Arc<Component>>) {
        let path = source.path.clone();
        // A file that was written again as it was: its instances go on.
        let old = self.before.and_then(|site| site.sources.get(&path)).filter(|old| {
            let content = |source: &Source| source.identity().map(|identity| identity.content);
            content(old).is_some() && content(old) == content(&source)
        });
        let source = old.cloned().unwrap_or(source);
        self.components.extend(component.map(|component| (path.clone(), component)));
        self.sources.insert(path, source);
    }

    fn broken(&mut self, path: &Path, origin: &Origin, why: String) {
        let error = StartError::Component { path: path.to_owned(), why };
        match self.before.and_then(|site| site.sources.get(path)) {
            Some(old) => {
                self.kept.push(error.to_string());
                self.sources.insert(path.to_owned(), old.clone());
            }
            None => self.problems.push(origin.problem(error)),
        }
    }

    fn sink(&mut self, path: &Path, origin: &Origin) -> Option<crate::observe::Sink> {
        let wrong =
            |error| origin.problem(format!("{}: {}", path.display(), explain_writing(&error)));
        self.logs.file(path).map_err(|error| self.problems.push(wrong(error))).ok()
    }
}

fn shown(plan: &TenantPlan) -> Shown {
    let any = |methods: &Option<Vec<http::Method>>| match methods {
        Some(methods) => methods.iter().map(http::Method::as_str).collect::<Vec<_>>().join(","),
        None => "*".to_owned(),
    };
    let front = plan.front.iter().map(|(path, _)| {
        ("GET,HEAD".to_owned(), "/".to_owned(), format!("files in {}", path.display()))
    });
    let routes = plan
        .routes
        .iter()
        .map(|route| (any(&route.methods), route.pattern.clone(), route.target.to_string()));
    Shown {
        hosts: plan.hosts.iter().map(ToString::to_string).collect(),
        routes: front.chain(routes).collect(),
    }
}
