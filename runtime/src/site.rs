//! The resolved, valid picture of all tenants and routes, with what they name
//! loaded. Replaced as a whole when something changes; a request sees one from
//! its start to its end.

mod load;
mod working;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use http::Method;

use crate::body::Observed;
use crate::capability::config::Values;
use crate::capability::keyvalue::Place;
use crate::conditions::reads;
use crate::config::plan::{GrantsPlan, NEVER_FRESH, Reuse};
use crate::error::Refusal;
use crate::files::Files;
use crate::handler::{Handler, Route, add_cache_control};
use crate::hosts::Hosts;
use crate::limits::Limits;
use crate::observe::{AccessLog, Visit};
use crate::peer::Peer;
use crate::redirect::Transport;
use crate::request::{Payload, Request};
use crate::respond::{self, Asked, ErrorPages, Response, refuse};
use crate::router::{Found, Miss, Router};
use crate::tenant::Tenant;
use crate::tls::Certificate;
use crate::wasm::{Mounted, Source, Stamp};
pub(crate) use load::{Common, Eager, Loaded, Mode, load};
pub(crate) use working::Working;

/// Tenants, and the hosts that lead to them.
pub(crate) struct Site {
    hosts: Hosts<Arc<TenantSite>>,
    pub(crate) tenants: Vec<Arc<TenantSite>>,
    pub(crate) access_log: Option<Arc<AccessLog>>,
    /// The components' files: what has not changed is not read again.
    sources: HashMap<PathBuf, Arc<Source>>,
    /// What is mounted, so that its instances outlast a reload.
    apps: HashMap<AppKey, Arc<Mounted>>,
}

/// The routes of a tenant.
pub(crate) struct TenantSite {
    pub(crate) tenant: Arc<Tenant>,
    /// Static files that are looked up before the routes.
    front: Option<Files>,
    router: Router<Arc<Route>>,
    /// Each route once, by its methods and pattern.
    routes: Vec<(String, Arc<Route>)>,
    /// The apps that the tenant's other apps may call, by name.
    named: HashMap<String, Arc<Route>>,
    error_pages: ErrorPages,
    certificate: Option<TenantCertificate>,
    transport: Transport,
    /// Its hosts, and each route with what answers it, for people.
    pub(crate) shown: Shown,
}

/// The certificate of a tenant's hosts, or the reason why there is none.
type TenantCertificate = Result<Certificate, String>;

/// A tenant as it is shown to people.
pub(crate) struct Shown {
    pub(crate) hosts: Vec<String>,
    /// Methods, pattern, and what answers.
    pub(crate) routes: Vec<(String, String, String)>,
}

/// What makes two mounts of a component one app.
#[derive(Clone, PartialEq, Eq, Hash)]
struct AppKey {
    path: PathBuf,
    stamp: Stamp,
    tenant: String,
    limits: Limits,
    reuse: Reuse,
    grants: GrantsPlan,
    /// Where its key-value data is.
    store: Place,
    /// What its configuration and environment were read as.
    values: (Values, Values),
}

/// How far a request came without waiting.
pub(crate) enum Step {
    Answered(Response),
    Run(Run),
}

/// A request that an app answers.
pub(crate) struct Run {
    site: Arc<TenantSite>,
    route: Arc<Route>,
    app: Arc<Mounted>,
    found: Found,
}

impl Site {
    /// It is the one that is served from now on.
    pub(crate) fn install(&self) {
        self.tenants.iter().for_each(|site| site.tenant.set_site(site));
    }

    /// Answers a request, or finds the app that does.
    pub(crate) fn answer(
        &self,
        request: &Arc<Request>,
        peer: &Peer,
        asked: &Asked,
        visit: &mut Visit,
    ) -> Step {
        let site = match self.tenant_of(request, peer) {
            Ok(site) => site,
            Err(refusal) => {
                return Step::Answered(refuse(&refusal, asked, visit, &ErrorPages::default()));
            }
        };
        visit.tenant = Some(site.tenant.clone());
        let mut answer = match site.answer(request, asked, visit) {
            Ok(Step::Answered(response)) => response,
            Ok(run) => return run,
            Err(refusal) => refuse(&refusal, asked, visit, &site.error_pages),
        };
        site.transport.add_hsts(&mut answer, request);
        Step::Answered(answer)
    }

    /// The tenant that a request is for.
    fn tenant_of(&self, request: &Request, peer: &Peer) -> Result<&Arc<TenantSite>, Refusal> {
        let site = self.hosts.find(&request.host).ok_or(Refusal::NotFound)?;
        // SECURITY: a connection that was made to one tenant does not reach
        // another (RFC 9110 section 7.4).
        if let Some(tls) = &peer.tls {
            let name = tls.server_name.as_deref().unwrap_or(&request.host);
            let named = self.hosts.find(name.trim_end_matches('.'));
            if named.is_none_or(|named| !Arc::ptr_eq(named, site)) {
                return Err(Refusal::Misdirected);
            }
        }
        Ok(site)
    }
}

impl TenantSite {
    fn answer(
        self: &Arc<Self>,
        request: &Arc<Request>,
        asked: &Asked,
        visit: &mut Visit,
    ) -> Result<Step, Refusal> {
        let tenant = &self.tenant;
        request.check_size(&tenant.limits)?;
        tenant.check_rate(request.remote.ip())?;
        if let Some(answer) = self.transport.to_tls(request) {
            return Ok(Step::Answered(answer));
        }
        if let Some(front) = self.front.as_ref().filter(|_| reads(&request.method))
            && let Some(mut answer) = front.answer(&request.path, request)?
        {
            add_cache_control(&mut answer, &NEVER_FRESH);
            return Ok(Step::Answered(answer));
        }
        let (route, found) = self.router.find(&request.path, &request.method)?;
        visit.route = Some(route.name.clone());
        let answer = match &route.handler {
            Handler::App(app) => {
                let (site, route, app) = (self.clone(), route.clone(), app.clone());
                return Ok(Step::Run(Run { site, route, app, found }));
            }
            Handler::Files(files) => Route::file(files, request, &found),
            Handler::Redirect(redirect) => Ok(redirect.answer(request, &found)),
            Handler::Broken(why) => Err(Refusal::Broken(why.clone())),
        };
        Ok(Step::Answered(self.of_route(route, answer, asked, visit)))
    }

    /// A route's answer, or the page for what went wrong.
    fn of_route(
        &self,
        route: &Route,
        answer: Result<Response, Refusal>,
        asked: &Asked,
        visit: &Visit,
    ) -> Response {
        let mut answer =
            answer.unwrap_or_else(|refusal| refuse(&refusal, asked, visit, &self.error_pages));
        route.add_headers(&mut answer);
        answer
    }
}

impl Run {
    /// Runs the app.
    pub(crate) async fn answer(
        self,
        request: &Arc<Request>,
        payload: Payload,
        asked: &Asked,
        visit: &mut Visit,
    ) -> Response {
        let Run { site, route, app, found } = self;
        let answer = route.of_app(&app, request, payload, found, &site.tenant).await;
        let mut answer = site.of_route(&route, answer, asked, visit);
        site.transport.add_hsts(&mut answer, request);
        answer
    }
}

impl TenantSite {
    /// Answers a request of another app of the tenant; `None` if none has the
    /// name. The app is mounted at `/`.
    pub(crate) async fn call(
        &self,
        name: &str,
        request: &Arc<Request>,
        payload: Payload,
    ) -> Option<http::Response<Observed>> {
        let route = self.named.get(name)?;
        let app = match &route.handler {
            Handler::App(app) => Ok(app),
            Handler::Broken(why) => Err(Refusal::Broken(why.clone())),
            Handler::Files(_) | Handler::Redirect(_) => return None,
        };
        let visit = Visit::of_app(request, &self.tenant, &route.name);
        let asked = Asked::of(&request.headers);
        let answer = match app.and_then(|app| request.check_size(&self.tenant.limits).map(|()| app))
        {
            Ok(app) => route.of_app(app, request, payload, Found::default(), &self.tenant).await,
            Err(refusal) => Err(refusal),
        };
        let answer = self.of_route(route, answer, &asked, &visit);
        let head = request.method == Method::HEAD;
        Some(respond::finish(answer, head, visit))
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
