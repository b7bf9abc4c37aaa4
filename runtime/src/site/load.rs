//! From a plan to a site: opens and compiles what the plan names. All that
//! fails is told at once.

mod certificates;
mod components;
mod error_pages;
mod fault;
mod grants;
mod route;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AppKey, Shown, Site, TenantSite};
use crate::capability::fetch::Client;
use crate::capability::keyvalue::Stores;
use crate::capability::log::escape;
use crate::compress::Encoders;
use crate::config::address::Address;
use crate::config::plan::{StaticPlan, TenantPlan};
use crate::config::problem::Origin;
use crate::config::{Plan, Problem};
use crate::error::explain_writing;
use crate::files::{FileCache, Root};
use crate::handler::Route;
use crate::hosts::Hosts;
use crate::limits::Limits;
use crate::observe::{AccessLog, Logs, ServerLog, Sink};
use crate::redirect::{HTTPS, Transport};
use crate::router::Router;
use crate::tenant::{Budget, Tenant};
use crate::tls::Certificates;
use crate::wasm::{Background, Component, Library, Mounted, Source};
use fault::Fault;

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
    /// For lines about no tenant.
    pub(crate) server_log: Arc<ServerLog>,
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

/// How a site is loaded.
#[derive(Clone, Copy)]
pub(crate) struct Mode {
    pub(crate) eager: Eager,
    /// Whether broken files of one tenant leave the rest to be served. If not, nothing
    /// is loaded where one is broken.
    pub(crate) serves_the_rest: bool,
}

/// A site, and sentences about its parts that could not be loaded.
pub(crate) struct Loaded {
    pub(crate) site: Site,
    pub(crate) certificates: Certificates,
    /// The site before goes on to serve these parts.
    pub(crate) kept: Vec<String>,
    /// Nothing serves these parts.
    pub(crate) broken: Vec<String>,
    /// What works, and may not do what is meant.
    pub(crate) warnings: Vec<String>,
}

/// Loads all that a plan names. What the site before has loaded already is
/// taken from there.
///
/// # Errors
/// Whatever is missing or broken, each with the place that names it. If the mode serves
/// the rest, only problems that are not one tenant's own are errors.
pub(crate) fn load(
    plan: &Plan,
    library: &Arc<Library>,
    logs: &Logs,
    shared: &Common,
    mode: Mode,
    before: Option<&Site>,
) -> Result<Loaded, Vec<Problem>> {
    let mut loader = Loader {
        library,
        logs,
        shared,
        before,
        roots: HashMap::new(),
        sources: HashMap::new(),
        unsound: HashMap::new(),
        components: HashMap::new(),
        apps: HashMap::new(),
        problems: Vec::new(),
        faults: Vec::new(),
        kept: Vec::new(),
        warnings: Vec::new(),
    };
    let access_log = plan.access_log.as_ref().and_then(|plan| {
        let sink = match &plan.path {
            Some(path) => match loader.sink(path, &plan.origin) {
                Ok(sink) => sink,
                Err(problem) => {
                    loader.problems.push(problem);
                    return None;
                }
            },
            None => logs.to_stdout(),
        };
        Some(Arc::new(AccessLog::new(sink, plan.format, shared.server_log.clone())))
    });
    loader.sources(plan, mode.eager);
    let mut hosts = Hosts::default();
    let mut certificates = loader.own_certificate(plan);
    let https = plan.listen.iter().find(|address| address.tls).and_then(Address::port);
    let https = https.unwrap_or(HTTPS);
    let mut tenants = Vec::new();
    for tenant in &plan.tenants {
        let site = Arc::new(loader.tenant(tenant, https));
        for host in &tenant.hosts {
            if let Some(certificate) = &site.certificate {
                certificates.add(host.clone(), certificate.clone().ok());
            }
            hosts.add(host.clone(), site.clone());
        }
        tenants.push(site);
    }
    let Loader { sources, apps, kept, faults, warnings, mut problems, .. } = loader;
    if !problems.is_empty() || !(mode.serves_the_rest || faults.is_empty()) {
        problems.extend(faults.into_iter().map(Fault::into_problem));
        return Err(problems);
    }
    let broken = Fault::in_order(faults);
    let site = Site { hosts, tenants, access_log, sources, apps };
    Ok(Loaded { site, certificates, kept, broken, warnings })
}

/// What is loaded so far, each thing once.
struct Loader<'a> {
    library: &'a Arc<Library>,
    logs: &'a Logs,
    shared: &'a Common,
    before: Option<&'a Site>,
    roots: HashMap<(PathBuf, Vec<String>), Result<Arc<Root>, String>>,
    /// The components' files that are sound, as far as it is known.
    sources: HashMap<PathBuf, Arc<Source>>,
    /// The others, each with the reason.
    unsound: HashMap<PathBuf, String>,
    /// Those of them that are loaded now.
    components: HashMap<PathBuf, Arc<Component>>,
    apps: HashMap<AppKey, Arc<Mounted>>,
    /// Problems of the whole configuration: nothing is loaded.
    problems: Vec<Problem>,
    /// Broken files of one tenant: the rest can be served.
    faults: Vec<Fault>,
    kept: Vec<String>,
    warnings: Vec<String>,
}

impl Loader<'_> {
    fn tenant(&mut self, plan: &TenantPlan, https: u16) -> TenantSite {
        let tenant = self.owner(plan);
        let keyvalue = self.keyvalue(plan, &tenant);
        let shown = shown(plan);
        let mut router = Router::new();
        let (mut routes, mut named) = (Vec::new(), HashMap::new());
        let mut limits: Vec<Arc<Limits>> = vec![tenant.limits.clone()];
        for route in &plan.routes {
            let label = route::label(route);
            let handler = self.handler(route, &label, &tenant, &keyvalue);
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
            routes.push((label, target.clone()));
            router.add(&route.pattern, route.methods.clone(), target);
        }
        let front = plan.front.as_ref().and_then(|(path, origin)| {
            let files = self.files(&StaticPlan::new(path.clone()), true, &tenant, origin);
            files.map_err(|problem| self.problems.push(problem)).ok()
        });
        let error_pages = self.error_pages(plan);
        let certificate = self.certificate(plan);
        let transport = match &plan.tls {
            Some(tls) => {
                Transport { hsts: tls.hsts.clone(), redirect: tls.redirect.then_some(https) }
            }
            None => Transport::default(),
        };
        TenantSite {
            tenant,
            front,
            router,
            routes,
            named,
            error_pages,
            certificate,
            transport,
            shown,
        }
    }

    /// The tenant's site as it was before.
    fn site_before(&self, tenant: &str) -> Option<&Arc<TenantSite>> {
        let before = self.before?;
        before.tenants.iter().find(|site| *site.tenant.name == *tenant)
    }

    /// The tenant that was there before, with what it uses, as it is now.
    fn owner(&mut self, plan: &TenantPlan) -> Arc<Tenant> {
        let before = self.site_before(&plan.name).map(|site| site.tenant.clone());
        if let Some(tenant) = before.as_ref().filter(|tenant| tenant.is_as(plan)) {
            return tenant.clone();
        }
        let mut log = None;
        if let Some(path) = &plan.log {
            match self.sink(path, &plan.log_origin) {
                Ok(sink) => log = Some((path.clone(), sink)),
                Err(problem) => {
                    log = before.as_ref().and_then(|tenant| tenant.log_file());
                    let instead = if log.is_some() { "the log before" } else { "the server's log" };
                    let effect = format!("tenant {} writes to {instead}", plan.name);
                    self.faults.push(Fault::new(effect, problem));
                }
            }
        }
        Arc::new(match before {
            Some(tenant) => tenant.changed(plan, log),
            None => Tenant::new(plan, log, &self.shared.memory),
        })
    }

    /// The part that has a problem is the one of the site before.
    fn keep(&mut self, problem: &Problem) {
        self.kept.push(escape(problem.text().as_bytes()));
    }

    fn sink(&self, path: &Path, origin: &Origin) -> Result<Sink, Problem> {
        let wrong =
            |error| origin.problem(format!("{}: {}", path.display(), explain_writing(&error)));
        self.logs.file(path).map_err(wrong)
    }
}

fn shown(plan: &TenantPlan) -> Shown {
    let front = plan.front.iter().map(|(path, _)| {
        ("GET,HEAD".to_owned(), "/".to_owned(), format!("files in {}", path.display()))
    });
    let routes = plan
        .routes
        .iter()
        .map(|route| (route::methods(route), route.pattern.clone(), route.target.to_string()));
    Shown {
        hosts: plan.hosts.iter().map(ToString::to_string).collect(),
        routes: front.chain(routes).collect(),
    }
}
