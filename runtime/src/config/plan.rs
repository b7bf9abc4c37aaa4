//! What to serve, resolved: valid by construction, whoever wrote it down.

use std::path::{Path, PathBuf};

use http::{Method, StatusCode};

use crate::hosts::HostPattern;
use crate::limits::Limits;

/// All tenants, their routes, and what the server itself needs to know.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Addresses to listen on, `HOST:PORT`; at least one.
    pub(crate) listen: Vec<String>,
    /// Where each request is written down.
    pub(crate) access_log: Option<AccessLog>,
    /// The limits of the server itself.
    pub(crate) limits: Limits,
    pub(crate) tenants: Vec<TenantPlan>,
}

/// An owner of hosts, routes and limits.
#[derive(Debug)]
pub(crate) struct TenantPlan {
    pub(crate) name: String,
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) limits: Limits,
    /// Static files that are looked up before any route.
    pub(crate) front: Option<PathBuf>,
    pub(crate) routes: Vec<RoutePlan>,
    /// What time its guests see.
    pub(crate) clock: Clock,
    /// Where the output of its guests goes; else to the server's log.
    pub(crate) log: Option<PathBuf>,
}

/// What time guests see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The machine's, to the nanosecond.
    #[default]
    Fine,
    /// The time at which the request began. SECURITY: nothing can be timed, so
    /// that side channels have no clock.
    Frozen,
}

/// A path pattern, its methods, and what answers.
#[derive(Debug)]
pub(crate) struct RoutePlan {
    pub(crate) pattern: String,
    /// None: any method.
    pub(crate) methods: Option<Vec<Method>>,
    pub(crate) limits: Limits,
    pub(crate) target: Target,
    /// Where this was said, for messages: `myweb.toml:12`, `--app`.
    pub(crate) origin: String,
}

/// What answers a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A component, how many requests one instance serves, and its files.
    App { path: PathBuf, reuse: u32, files: Option<PathBuf> },
    /// A directory of static files.
    Files(PathBuf),
    /// Another address.
    Redirect { to: String, status: StatusCode },
}

/// Where and how requests are written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessLog {
    /// None: standard output.
    pub(crate) path: Option<PathBuf>,
    pub(crate) format: AccessFormat,
}

/// The form of a line of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessFormat {
    /// An object of JSON.
    Json,
    /// The combined format of Apache and nginx.
    Combined,
}

impl Plan {
    /// The files of all components, each as often as it is named.
    pub(crate) fn components(&self) -> impl Iterator<Item = &Path> {
        self.tenants.iter().flat_map(|tenant| &tenant.routes).filter_map(|route| {
            match &route.target {
                Target::App { path, .. } => Some(path.as_path()),
                Target::Files(_) | Target::Redirect { .. } => None,
            }
        })
    }

    /// The largest value that a limit has anywhere.
    pub(crate) fn largest(&self, limit: impl Fn(&Limits) -> usize) -> usize {
        let tenants = self.tenants.iter().map(|tenant| &tenant.limits);
        let routes = self.tenants.iter().flat_map(|tenant| &tenant.routes);
        let all = tenants.chain(routes.map(|route| &route.limits));
        all.map(&limit).fold(limit(&self.limits), usize::max)
    }
}

/// How a target is shown to people.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::App { path, reuse: 1, .. } => write!(f, "{}", path.display()),
            Target::App { path, reuse, .. } => {
                write!(f, "{}, reused {reuse} times", path.display())
            }
            Target::Files(path) => write!(f, "files in {}", path.display()),
            Target::Redirect { to, status } => write!(f, "redirect to {to} ({})", status.as_u16()),
        }
    }
}
