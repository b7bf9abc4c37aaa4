//! The resolved, valid picture of all tenants and routes, with what they name
//! loaded. Replaced as a whole when something changes; a request sees one from
//! its start to its end.

mod load;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Refusal;
use crate::files::{self, Root};
use crate::handler::{Route, reads};
use crate::hosts::Hosts;
use crate::limits::Limits;
use crate::observe::{AccessLog, Visit};
use crate::request::{Payload, Request};
use crate::respond::Response;
use crate::router::{Miss, Router};
use crate::tenant::Tenant;
use crate::wasm::{App, Component};
pub(crate) use load::load;

/// Tenants, and the hosts that lead to them.
pub(crate) struct Site {
    hosts: Hosts<Arc<TenantSite>>,
    pub(crate) tenants: Vec<Arc<TenantSite>>,
    pub(crate) access_log: Option<Arc<AccessLog>>,
    /// The components by their files: what has not changed is not compiled again.
    components: HashMap<PathBuf, Arc<Component>>,
    /// What is mounted, so that its instances outlast a reload.
    apps: HashMap<AppKey, Arc<App>>,
}

/// The routes of a tenant.
pub(crate) struct TenantSite {
    pub(crate) tenant: Arc<Tenant>,
    /// Static files that are looked up before the routes.
    front: Option<Arc<Root>>,
    router: Router<Route>,
    /// Its hosts, and each route with what answers it, for people.
    pub(crate) shown: Shown,
}

/// A tenant as it is shown to people.
pub(crate) struct Shown {
    pub(crate) hosts: Vec<String>,
    /// Methods, pattern, and what answers.
    pub(crate) routes: Vec<(String, String, String)>,
}

/// What makes two mounts of a component one app.
#[derive(Clone, PartialEq, Eq, Hash)]
struct AppKey {
    content: [u8; 32],
    tenant: String,
    limits: Limits,
    reuse: u32,
    files: Option<PathBuf>,
}

impl Site {
    /// Answers a request.
    pub(crate) async fn answer(
        &self,
        request: Arc<Request>,
        payload: Payload,
        visit: &mut Visit,
    ) -> Result<Response, Refusal> {
        let site = self.hosts.find(&request.host).ok_or(Refusal::NotFound)?;
        let tenant = &site.tenant;
        visit.tenant = Some(tenant.clone());
        request.check_size(&tenant.limits)?;
        tenant.check_rate(request.remote.ip())?;
        if let Some(response) = site.answer_from_front(&request)? {
            return Ok(response);
        }
        let (route, found) = site.router.find(&request.path, &request.method)?;
        visit.route = Some(route.name.clone());
        route.answer(&request, payload, found, tenant, visit).await
    }
}

impl TenantSite {
    fn answer_from_front(&self, request: &Request) -> Result<Option<Response>, Refusal> {
        match self.front.as_ref().filter(|_| reads(&request.method)) {
            Some(front) => files::answer(front, &request.path, request),
            None => Ok(None),
        }
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
