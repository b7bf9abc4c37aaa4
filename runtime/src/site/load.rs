//! From a plan to a site: opens and compiles what the plan names. All that
//! fails is told at once.

mod grants;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AppKey, Shown, Site, TenantSite};
use crate::capability::fetch::Client;
use crate::capability::keyvalue::Stores;
use crate::compress::Encoders;
use crate::config::Plan;
use crate::config::address::Address;
use crate::config::plan::{RoutePlan, StaticPlan, Target, TenantPlan};
use crate::error::{StartError, explain};
use crate::files::{self, FileCache, Files, Root};
use crate::handler::{Handler, Route};
use crate::hosts::{HostPattern, Hosts};
use crate::limits::Limits;
use crate::observe::{AccessLog, LogThread};
use crate::redirect::{HTTPS, Redirect, Transport};
use crate::respond::{ErrorPage, ErrorPages};
use crate::router::Router;
use crate::tenant::Tenant;
use crate::tls::{self, Certificates};
use crate::units::Bytes;
use crate::wasm::{App, Component, Engines};
use grants::OfTenant;

/// What all static files, bodies and apps share, as long as the server runs.
pub(crate) struct ForFiles {
    pub(crate) client: Arc<Client>,
    pub(crate) cache: Arc<FileCache>,
    pub(crate) encoders: Encoders,
    pub(crate) stores: Stores,
}

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
    engines: &Engines,
    logs: &LogThread,
    shared: &ForFiles,
    before: Option<&Site>,
) -> Result<Loaded, StartError> {
    let mut loader = Loader {
        engines,
        logs,
        shared,
        before,
        roots: HashMap::new(),
        components: HashMap::new(),
        apps: HashMap::new(),
        problems: Vec::new(),
        kept: Vec::new(),
    };
    let access_log = plan.access_log.as_ref().and_then(|plan| {
        let sink = match &plan.path {
            Some(path) => loader.sink(path)?,
            None => logs.to_stdout(),
        };
        Some(Arc::new(AccessLog::new(sink, plan.format)))
    });
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
        return Err(StartError::Config(loader.problems));
    }
    let Loader { components, apps, kept, .. } = loader;
    let components = components.into_iter().filter_map(|(path, found)| Some((path, found?)));
    let components = components.collect();
    Ok(Loaded { certificates, site: Site { hosts, tenants, access_log, components, apps }, kept })
}

/// What is loaded so far, each thing once. `None` is what could not be loaded
/// and has been told.
struct Loader<'a> {
    engines: &'a Engines,
    logs: &'a LogThread,
    shared: &'a ForFiles,
    before: Option<&'a Site>,
    roots: HashMap<(PathBuf, Vec<String>), Option<Arc<Root>>>,
    components: HashMap<PathBuf, Option<Arc<Component>>>,
    apps: HashMap<AppKey, Arc<App>>,
    problems: Vec<String>,
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
                etag: route.etag,
            };
            let target = Arc::new(target);
            named.extend(route.name.clone().map(|name| (name, target.clone())));
            router.add(&route.pattern, route.methods.clone(), target);
        }
        let front = plan.front.clone().map(StaticPlan::new);
        let front = front.and_then(|plan| self.files(&plan, true, "--static"));
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
                Err(why) => self.problems.push(format!("--tls self-signed: {why}")),
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
                Err(why) => self.problems.push(format!("{}: {why}", tls.origin)),
            }
        }
        certificates
    }

    /// The tenant that was there before, with what it uses, unless its limits
    /// have changed.
    fn owner(&mut self, plan: &TenantPlan) -> Arc<Tenant> {
        let before = self.before.into_iter().flat_map(|site| &site.tenants);
        let mut same = before.map(|site| &site.tenant).filter(|tenant| *tenant.name == *plan.name);
        match same.find(|tenant| *tenant.limits == plan.limits && tenant.clock == plan.clock) {
            Some(tenant) => tenant.clone(),
            None => {
                let log = plan.log.as_deref().and_then(|path| self.sink(path));
                Arc::new(Tenant::new(&plan.name, plan.limits.clone(), plan.clock, log))
            }
        }
    }

    fn handler(
        &mut self,
        route: &RoutePlan,
        tenant: &Arc<Tenant>,
        keyvalue: &OfTenant,
    ) -> Option<Handler> {
        match &route.target {
            Target::Files(plan) => {
                let files = self.files(plan, route.compress, &route.origin)?;
                Some(Handler::Files(Arc::new(files)))
            }
            Target::Redirect { to, status } => {
                Some(Handler::Redirect(Arc::new(Redirect::new(to.clone(), *status))))
            }
            Target::App { path, reuse, grants } => {
                let component = self.component(path, &route.origin)?;
                let (least, most) = (component.least_memory(), route.limits.memory);
                let most = most.min(tenant.limits.tenant_memory);
                if least > most {
                    let (origin, path) = (&route.origin, path.display());
                    self.problems.push(format!(
                        "{origin}: {path}: an instance starts with {} of memory, {} are allowed; \
                         raise the memory limit",
                        Bytes(least),
                        Bytes(most)
                    ));
                    return None;
                }
                let limits = Arc::new(route.limits.clone());
                let granted = self.grants(grants, keyvalue, (tenant, &limits), &route.origin)?;
                let key = AppKey {
                    content: component.content,
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
                    let new = || App::new(component, limits, granted, *reuse, tenant.clone());
                    before.unwrap_or_else(|| Arc::new(new()))
                });
                Some(Handler::App(app.clone()))
            }
        }
    }

    fn files(&mut self, plan: &StaticPlan, compress: bool, origin: &str) -> Option<Files> {
        let root = self.root(plan, origin)?;
        let encoders = compress.then(|| self.shared.encoders.clone());
        Some(Files { root, listing: plan.listing, fallback: plan.fallback.clone(), encoders })
    }

    fn root(&mut self, plan: &StaticPlan, origin: &str) -> Option<Arc<Root>> {
        let key = (plan.path.clone(), plan.index.clone());
        if let Some(root) = self.roots.get(&key) {
            return root.clone();
        }
        let root =
            Root::open(&plan.path, plan.index.clone(), self.shared.cache.clone()).map(Arc::new);
        let root = root.map_err(|error| self.problems.push(told(origin, &error))).ok();
        self.roots.insert(key, root.clone());
        root
    }

    fn error_pages(&mut self, plan: &TenantPlan) -> ErrorPages {
        let mut pages = ErrorPages::default();
        for plan in &plan.error_pages {
            match error_page(&plan.path) {
                Ok(page) => {
                    pages.0.insert(plan.status, page);
                }
                Err(why) => {
                    let (origin, path) = (&plan.origin, plan.path.display());
                    self.problems.push(format!("{origin}: {path}: {why}"));
                }
            }
        }
        pages
    }

    /// The component in a file. On a reload, the old one goes on in place of a
    /// broken one.
    fn component(&mut self, path: &Path, origin: &str) -> Option<Arc<Component>> {
        if let Some(component) = self.components.get(path) {
            return component.clone();
        }
        let old = self.before.and_then(|site| site.components.get(path)).cloned();
        let component = match self.compile(path) {
            Ok(component) => Some(component),
            Err(why) => {
                let error = StartError::Component { path: path.to_owned(), why };
                match &old {
                    Some(_) => self.kept.push(error.to_string()),
                    None => self.problems.push(told(origin, &error)),
                }
                old
            }
        };
        self.components.insert(path.to_owned(), component.clone());
        component
    }

    fn compile(&self, path: &Path) -> Result<Arc<Component>, String> {
        let bytes = std::fs::read(path).map_err(|error| explain(&error))?;
        let content = Component::content(&bytes);
        let known = self.before.into_iter().flat_map(|site| site.components.values());
        let mut known = known.chain(self.components.values().flatten());
        match known.find(|component| component.content == content) {
            Some(component) => Ok(component.clone()),
            None => Component::new(self.engines, &bytes, content).map(Arc::new),
        }
    }

    fn sink(&mut self, path: &Path) -> Option<crate::observe::Sink> {
        let wrong = |error| format!("{}: {}", path.display(), explain(&error));
        self.logs.file(path).map_err(|error| self.problems.push(wrong(error))).ok()
    }
}

/// A problem with the place of the file that names the thing; what a flag names
/// needs no place.
fn told(origin: &str, error: &StartError) -> String {
    if origin.contains(':') { format!("{origin}: {error}") } else { error.to_string() }
}

/// The largest page for an error, in bytes: all of them are kept in memory.
const LARGEST_PAGE: u64 = 1 << 20;

fn error_page(path: &Path) -> Result<ErrorPage, String> {
    let metadata = std::fs::metadata(path).map_err(|error| explain(&error))?;
    if !metadata.is_file() || metadata.len() > LARGEST_PAGE {
        return Err("an error page is a file of at most 1MiB".to_owned());
    }
    let bytes = std::fs::read(path).map_err(|error| explain(&error))?;
    Ok((files::content_type(path), bytes.into()))
}

fn shown(plan: &TenantPlan) -> Shown {
    let any = |methods: &Option<Vec<http::Method>>| match methods {
        Some(methods) => methods.iter().map(http::Method::as_str).collect::<Vec<_>>().join(","),
        None => "*".to_owned(),
    };
    let front = plan.front.iter().map(|path| {
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
