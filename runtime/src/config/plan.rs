//! What to serve, resolved: valid by construction, whoever wrote it down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::address::Address;
use super::networks::Networks;
use super::origins::Origins;
use super::problem::{Origin, Problem};
use crate::hosts::HostPattern;
use crate::limits::Limits;
use crate::machine::Unfit;
use crate::peer::Naming;

/// All tenants, their routes, and what the server itself needs to know.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where to listen; at least one.
    pub(crate) listen: Vec<Address>,
    /// Hosts without a certificate get one that the server makes for itself.
    pub(crate) self_signed: bool,
    pub(crate) proxies: Proxies,
    /// Where each request is written down.
    pub(crate) access_log: Option<AccessLog>,
    /// Where compiled components are kept, if it is said.
    pub(crate) state: Option<PathBuf>,
    /// A PEM file of authorities that requests of apps trust beside the system's.
    pub(crate) outbound_ca: Option<PathBuf>,
    /// The limits of the server itself.
    pub(crate) limits: Limits,
    /// Where limits were set that are numbers or sizes.
    pub(crate) set: Vec<SetLimit>,
    pub(crate) tenants: Vec<TenantPlan>,
}

/// A limit at a place where it was set.
#[derive(Debug)]
pub(crate) struct SetLimit {
    pub(crate) name: &'static str,
    pub(crate) value: usize,
    pub(crate) origin: Origin,
}

/// An owner of hosts, routes and limits.
#[derive(Debug)]
pub(crate) struct TenantPlan {
    pub(crate) name: String,
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) limits: Limits,
    /// Static files that are looked up before any route.
    pub(crate) front: Option<(PathBuf, Origin)>,
    pub(crate) routes: Vec<RoutePlan>,
    /// What time its guests see.
    pub(crate) clock: Clock,
    /// Where the output of its guests goes; else to the server's log.
    pub(crate) log: Option<PathBuf>,
    pub(crate) log_origin: Origin,
    pub(crate) tls: Option<TlsPlan>,
    pub(crate) keyvalue: StorePlan,
    /// Where this was said, for messages.
    pub(crate) origin: Origin,
    /// In place of the server's own.
    pub(crate) error_pages: Vec<ErrorPagePlan>,
}

/// Peers that speak for others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proxies {
    /// Whose connections begin with a header of the PROXY protocol.
    pub(crate) protocol: Networks,
    /// Who names the client that it asks for in a header.
    pub(crate) forwarded: Networks,
    pub(crate) naming: Naming,
}

/// How a tenant is reached over TLS.
#[derive(Clone, Debug)]
pub(crate) struct TlsPlan {
    /// The certificate and its key.
    pub(crate) files: Option<(PathBuf, PathBuf)>,
    /// `Strict-Transport-Security` of answers over TLS.
    pub(crate) hsts: Option<HeaderValue>,
    /// Whether requests without TLS are sent on to it.
    pub(crate) redirect: bool,
    /// Where this was said, for messages.
    pub(crate) origin: Origin,
}

/// A page for an error.
#[derive(Debug)]
pub(crate) struct ErrorPagePlan {
    pub(crate) status: StatusCode,
    pub(crate) path: PathBuf,
    /// Where this was said, for messages.
    pub(crate) origin: Origin,
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

/// `Cache-Control` where nothing else is said: what is stored is asked for again,
/// else caches would guess how long it is good (RFC 9111 section 4.2.2).
pub(crate) const NEVER_FRESH: HeaderValue = HeaderValue::from_static("max-age=0");

/// A path pattern, its methods, and what answers.
#[derive(Debug)]
pub(crate) struct RoutePlan {
    pub(crate) pattern: String,
    /// What other apps of the tenant call it: `http://NAME.internal`.
    pub(crate) name: Option<String>,
    /// None: any method.
    pub(crate) methods: Option<Vec<Method>>,
    pub(crate) limits: Limits,
    pub(crate) target: Target,
    /// Headers that every answer of the route has.
    pub(crate) headers: HeaderMap,
    /// `Cache-Control` of good answers that have none.
    pub(crate) cache_control: HeaderValue,
    /// Whether answers are compressed for clients that take them so.
    pub(crate) compress: bool,
    /// Whether an app's answers get an etag, and 304 where the client has them.
    pub(crate) etag: bool,
    pub(crate) origins: RouteOrigins,
}

/// Where the parts of a route were said, for messages.
#[derive(Clone, Debug)]
pub(crate) struct RouteOrigins {
    pub(crate) route: Origin,
    pub(crate) target: Origin,
    pub(crate) files: Origin,
    /// The limit of memory, if it was set anywhere.
    pub(crate) memory: Option<Origin>,
}

/// What answers a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A component, how its instances are used again, and what it may reach.
    App { path: PathBuf, reuse: Reuse, grants: GrantsPlan },
    /// A directory of static files.
    Files(StaticPlan),
    /// Another address.
    Redirect { to: String, status: StatusCode },
}

/// How the instances of an app are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reuse {
    /// Requests that one serves, if that is said; 1 is fresh.
    pub(crate) requests: Option<u32>,
    /// How many of them at the same time.
    pub(crate) at_once: u32,
}

impl Reuse {
    /// So many requests, of which so many at the same time.
    ///
    /// # Errors
    /// That is more than one serves at all.
    pub(crate) fn new(requests: Option<u32>, at_once: u32) -> Result<Reuse, String> {
        let all = requests.unwrap_or(1);
        if at_once > all {
            return Err(format!("an instance serves {all} requests in all; raise reuse"));
        }
        Ok(Reuse { requests, at_once })
    }
}

/// Where key-value data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StorePlan {
    /// A database of the server's own in this directory, which is made when it is
    /// needed.
    Directory(PathBuf),
    /// The same in the user's directory of state, by the name of this configuration or
    /// folder.
    Default(PathBuf),
    /// The Redis of this URL.
    Redis(Value),
}

/// What an app is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct GrantsPlan {
    /// A directory that it may read and send.
    pub(crate) files: Option<PathBuf>,
    /// Where it may send requests.
    pub(crate) outbound: Origins,
    /// Buckets of key-value data.
    pub(crate) keyvalue: BTreeSet<String>,
    /// Its configuration.
    pub(crate) config: BTreeMap<String, Value>,
    /// Its environment.
    pub(crate) env: BTreeMap<String, Value>,
    /// Names of the environment that the app may read at its import, where it has the
    /// build's value.
    pub(crate) env_at_import: BTreeSet<String>,
}

/// A text, or where it is. SECURITY: it may be a secret, so its `Debug` tells
/// nothing of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    Text(String),
    /// The content of a file.
    File(PathBuf),
    /// A variable of the server's own environment.
    Variable(String),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(a value)")
    }
}

/// A directory of static files, and how it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StaticPlan {
    pub(crate) path: PathBuf,
    /// What a directory's own path may name, the first that is there.
    pub(crate) index: Vec<String>,
    /// Whether directories without an index are listed.
    pub(crate) listing: bool,
    /// The path that is answered in place of what is not there.
    pub(crate) fallback: Option<String>,
}

impl StaticPlan {
    /// A directory, served as it is without a word about it.
    pub(crate) fn new(path: PathBuf) -> StaticPlan {
        StaticPlan { path, index: vec!["index.html".to_owned()], listing: false, fallback: None }
    }
}

/// Where and how requests are written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessLog {
    /// None: standard output.
    pub(crate) path: Option<PathBuf>,
    pub(crate) format: AccessFormat,
    /// Where this was said, for messages.
    pub(crate) origin: Origin,
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
    /// The files of all components, each as often as it is named, and where.
    pub(crate) fn components(&self) -> impl Iterator<Item = (&Path, &Origin)> {
        self.tenants.iter().flat_map(|tenant| &tenant.routes).filter_map(|route| {
            match &route.target {
                Target::App { path, .. } => Some((path.as_path(), &route.origins.target)),
                Target::Files(_) | Target::Redirect { .. } => None,
            }
        })
    }

    /// Whether TLS is asked for and nobody has a certificate.
    pub(crate) fn lacks_certificates(&self) -> bool {
        let has = |tenant: &TenantPlan| tenant.tls.as_ref().is_some_and(|tls| tls.files.is_some());
        let asked = self.listen.iter().any(|address| address.tls);
        asked && !self.self_signed && !self.tenants.iter().any(has)
    }

    /// A limit that the machine cannot give: a problem at each place where it is
    /// set as high.
    pub(crate) fn unfit(&self, unfit: &Unfit) -> Vec<Problem> {
        let places = || self.set.iter().filter(|set| set.name == unfit.name);
        let highest = places().map(|set| set.value).max();
        let places = places().filter(|set| Some(set.value) == highest);
        let problems: Vec<Problem> = places
            .map(|SetLimit { origin, .. }| match origin.is_flag() {
                true => origin.problem(unfit),
                false => origin.problem(&unfit.why),
            })
            .collect();
        if problems.is_empty() { vec![Problem::of_all(unfit.to_string())] } else { problems }
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
            Target::App { path, reuse, .. } => {
                write!(f, "{}", path.display())?;
                if let Some(times) = reuse.requests.filter(|times| *times > 1) {
                    write!(f, ", reused {times} times")?;
                }
                match reuse.at_once {
                    1 => Ok(()),
                    at_once => write!(f, ", {at_once} at once"),
                }
            }
            Target::Files(files) => write!(f, "files in {}", files.path.display()),
            Target::Redirect { to, status } => write!(f, "redirect to {to} ({})", status.as_u16()),
        }
    }
}
