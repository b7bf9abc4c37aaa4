//! What responds to a route: opened, taken from the site before, or a reason for 500.

use std::path::PathBuf;
use std::sync::Arc;

use super::grants::OfTenant;
use super::{AppKey, Fault, Loader};
use crate::capability::log::escape;
use crate::config::Problem;
use crate::config::plan::{GrantsPlan, Reuse, RoutePlan, StaticPlan, Target};
use crate::config::problem::Origin;
use crate::error::StartError;
use crate::files::{Files, Root};
use crate::handler::Handler;
use crate::redirect::Redirect;
use crate::tenant::Tenant;
use crate::wasm::{App, Mounted, Variables, Work};

/// The methods of a route; `*` for any.
pub(super) fn methods(route: &RoutePlan) -> String {
    route.methods.as_ref().map_or("*".to_owned(), |methods| {
        methods.iter().map(http::Method::as_str).collect::<Vec<_>>().join(",")
    })
}

/// A route among the tenant's others: its methods, then its pattern.
pub(super) fn label(route: &RoutePlan) -> String {
    format!("{} {}", methods(route), route.pattern)
}

impl Loader<'_> {
    /// The route's handler. If it cannot be opened, a reload keeps the handler that the
    /// route had; without one, the route responds 500.
    pub(super) fn handler(
        &mut self,
        route: &RoutePlan,
        label: &str,
        tenant: &Arc<Tenant>,
        keyvalue: &OfTenant,
    ) -> Handler {
        let problems = match self.open(route, tenant, keyvalue) {
            Ok(handler) => return handler,
            Err(problems) => problems,
        };
        if let Some(before) = self.handler_before(&tenant.name, label) {
            problems.iter().for_each(|problem| self.keep(problem));
            return before;
        }
        let why: Vec<&str> = problems.iter().map(Problem::text).collect();
        let why = escape(why.join("; ").as_bytes());
        let effect = format!("tenant {}, route {label}, responds 500", tenant.name);
        self.faults.extend(problems.into_iter().map(|problem| Fault::new(effect.clone(), problem)));
        Handler::Broken(why.into())
    }

    /// The handler that a route had in the site before, unless that one fails, too.
    fn handler_before(&self, tenant: &str, label: &str) -> Option<Handler> {
        let site = self.site_before(tenant)?;
        let (_, route) = site.routes.iter().find(|(known, _)| known == label)?;
        match &route.handler {
            Handler::Broken(_) => None,
            Handler::App(app) if app.fails() => None,
            working => Some(working.clone()),
        }
    }

    fn open(
        &mut self,
        route: &RoutePlan,
        tenant: &Arc<Tenant>,
        keyvalue: &OfTenant,
    ) -> Result<Handler, Vec<Problem>> {
        match &route.target {
            // The reader of the file has told this.
            Target::Files(plan) if plan.path.as_os_str().is_empty() => Err(Vec::new()),
            Target::Files(plan) => {
                let files = self.files(plan, route.compress, tenant, &route.origins.target);
                files.map(|files| Handler::Files(Arc::new(files))).map_err(|problem| vec![problem])
            }
            Target::Redirect { to, status } => {
                Ok(Handler::Redirect(Arc::new(Redirect::new(to.clone(), *status))))
            }
            Target::App { path, reuse, grants } => {
                self.app(route, (path, *reuse, grants), tenant, keyvalue).map(Handler::App)
            }
        }
    }

    /// An app, mounted with what it is granted; the same as before where nothing has
    /// changed.
    fn app(
        &mut self,
        route: &RoutePlan,
        (path, reuse, grants): (&PathBuf, Reuse, &GrantsPlan),
        tenant: &Arc<Tenant>,
        keyvalue: &OfTenant,
    ) -> Result<Arc<Mounted>, Vec<Problem>> {
        let origin = &route.origins.target;
        let Some(source) = self.sources.get(path).cloned() else {
            let why = self.unsound.get(path).cloned();
            let error = why.map(|why| StartError::Component { path: path.clone(), why });
            return Err(error.map(|error| origin.problem(error)).into_iter().collect());
        };
        let limits = Arc::new(route.limits.clone());
        let granted = self.grants(grants, keyvalue, (tenant, &limits), &route.origins)?;
        let granted = Arc::new(granted);
        let key = AppKey {
            path: path.clone(),
            stamp: source.stamp,
            tenant: tenant.name.to_string(),
            limits: route.limits.clone(),
            reuse,
            grants: grants.clone(),
            store: keyvalue.place.clone(),
            values: (granted.config.clone(), granted.env.clone()),
        };
        let before = self.before.and_then(|site| site.apps.get(&key));
        let before = before.filter(|app| Arc::ptr_eq(&app.tenant, tenant)).cloned();
        let app = self.apps.entry(key).or_insert_with(|| {
            let (owner, of_app) = (tenant.clone(), limits.clone());
            let new = move |component| {
                App::new(component, of_app.clone(), granted.clone(), reuse, owner.clone())
            };
            let library = self.library.clone();
            let variables = Variables::new(grants.env.keys(), &grants.env_at_import);
            let more = (reuse.at_once, variables);
            let mounted = || Mounted::new(source, library, limits, more, tenant.clone(), new);
            before.unwrap_or_else(|| Arc::new(mounted()))
        });
        let app = app.clone();
        if let Some(component) = self.components.get(path).filter(|_| !app.is_loaded()) {
            // An app that does not fit says so below, now and at later reloads.
            let _ = app.set(component.clone());
        }
        let Some(unfit) = app.unfit() else {
            let warning = app.warning().map(|warning| origin.problem(warning));
            self.warnings.extend(warning.map(|problem| escape(problem.text().as_bytes())));
            return Ok(app);
        };
        let at = route.origins.memory.as_ref().filter(|_| unfit.is_memory());
        let at = at.map_or(String::new(), |origin| format!(" at {}", origin.at()));
        Err(vec![origin.problem(format!("{}: {unfit}{at}", path.display()))])
    }

    /// Where long work for a tenant's requests is done.
    pub(super) fn work(&self, tenant: &Arc<Tenant>) -> Work {
        Work::new(self.shared.background.clone(), tenant.clone())
    }

    pub(super) fn files(
        &mut self,
        plan: &StaticPlan,
        compress: bool,
        tenant: &Arc<Tenant>,
        origin: &Origin,
    ) -> Result<Files, Problem> {
        let root = self.root(plan, origin)?;
        let encoders = compress.then(|| self.shared.encoders.clone());
        let (work, fallback) = (self.work(tenant), plan.fallback.clone());
        Ok(Files { root, listing: plan.listing, fallback, encoders, work })
    }

    pub(super) fn root(
        &mut self,
        plan: &StaticPlan,
        origin: &Origin,
    ) -> Result<Arc<Root>, Problem> {
        let key = (plan.path.clone(), plan.index.clone());
        let cache = &self.shared.cache;
        let root = self.roots.entry(key).or_insert_with(|| {
            let root = Root::open(&plan.path, plan.index.clone(), cache.clone());
            root.map(Arc::new).map_err(|error| error.to_string())
        });
        root.clone().map_err(|why| origin.problem(why))
    }
}
