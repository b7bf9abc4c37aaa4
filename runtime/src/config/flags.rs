//! What flags say, and which path then answers with what. All that is wrong is
//! reported at once. Pure: the disk is looked at elsewhere.

use std::collections::HashMap;
use std::path::PathBuf;

use http::HeaderMap;

use super::address::Address;
use super::origins::{Origins, app_name};
use super::plan::{
    Clock, GrantsPlan, NEVER_FRESH, Plan, Proxies, Reuse, RouteOrigins, RoutePlan, StaticPlan,
    StorePlan, Target, TenantPlan, TlsPlan, Value,
};
use super::problem::Origin;
use crate::build::Recipe;
use crate::error::StartError;
use crate::hosts::HostPattern;
use crate::limits::Limits;

/// Everything that flags can set: one tenant, which answers every host.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen: `HOST:PORT`, `unix:PATH`, or `systemd`; port 0 picks a
    /// free one.
    pub listen: String,
    /// Where the certificate for TLS is; without, there is no TLS.
    pub tls: Option<TlsSource>,
    /// Components and the paths they answer, with what lies below them.
    pub apps: Vec<Mount>,
    /// Apps in Python or JavaScript that are built first, and the paths they
    /// answer.
    pub recipes: Vec<(String, Recipe)>,
    /// A directory whose every `NAME.wasm` answers `/NAME` and what lies below.
    pub handlers: Option<PathBuf>,
    /// Directories of static files. Without any, `./html` is served if it is
    /// there: at `/` in front of the apps, and at `/static/`.
    pub statics: Vec<Mount>,
    /// Whether pages of apps in Python that fail show why.
    pub debug: bool,
    /// The files that the apps may read and send.
    pub files: Option<PathBuf>,
    /// Origins that the apps may send requests to, and networks that may be
    /// dialled: `https://api.example.com`, `10.0.0.0/8`.
    pub outbound: Vec<String>,
    /// A PEM file of authorities that those requests trust beside the system's.
    pub outbound_ca: Option<PathBuf>,
    /// The buckets of key-value data that the apps may open.
    pub keyvalue: Vec<String>,
    /// Requests that one instance serves, one after the other; 1 is fresh. If
    /// left out, 1, and 10000 for apps in Python and JavaScript.
    pub reuse: Option<u32>,
    /// How many of them at the same time, for components of `wasi:http` 0.3.
    pub reuse_concurrency: u32,
    /// Whether changed components are loaded while serving.
    pub watch: bool,
    /// Where is kept what is built and compiled; if left out, in the user's
    /// directory of caches.
    pub state: Option<PathBuf>,
    /// The bounds that are enforced.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: super::DEFAULT_ADDRESS.to_owned(),
            tls: None,
            apps: Vec::new(),
            recipes: Vec::new(),
            handlers: None,
            statics: Vec::new(),
            debug: false,
            files: None,
            outbound: Vec::new(),
            outbound_ca: None,
            keyvalue: Vec::new(),
            reuse: None,
            reuse_concurrency: 1,
            watch: false,
            state: None,
            limits: Limits::default(),
        }
    }
}

/// Where a certificate is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSource {
    /// The server makes one for itself, for development.
    SelfSigned,
    /// PEM files: the certificate with those above it, and its key.
    Files(PathBuf, PathBuf),
}

/// A file or directory, and the path that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// A path that starts with `/`.
    pub prefix: String,
    /// What is mounted there.
    pub path: PathBuf,
}

impl Mount {
    /// What `path` names, at `prefix`.
    pub fn new(prefix: impl Into<String>, path: impl Into<PathBuf>) -> Mount {
        Mount { prefix: prefix.into(), path: path.into() }
    }
}

/// The name of the only tenant.
const TENANT: &str = "default";

/// What answers a prefix and all below.
struct Mounted {
    /// Empty for `/`, else without a slash at the end.
    prefix: String,
    target: Target,
    /// The flag that says so, and what it names; empty for `html` that is there.
    flag: &'static str,
    named: String,
}

/// Resolves flags. `built` are the components of the recipes, `handlers` are the `NAME`s of the `NAME.wasm` in the
/// configured directory; `html` is `./html` if it is there.
pub(super) fn resolve(
    config: &Config,
    built: &[PathBuf],
    handlers: &[String],
    html: Option<PathBuf>,
) -> Result<Plan, StartError> {
    let mut mounts: Vec<Mounted> = Vec::new();
    let mut problems = Vec::new();
    let mut outbound = Origins::default();
    for text in &config.outbound {
        if let Err(why) = outbound.add(text) {
            problems.push(format!("--outbound {text}: {why}"));
        }
    }
    // What the adapter of Python looks for.
    let shows = config.debug.then(|| ("MYWEB_DEBUG".to_owned(), Value::Text("1".to_owned())));
    let grants = GrantsPlan {
        env: shows.into_iter().collect(),
        files: config.files.clone(),
        outbound,
        keyvalue: config.keyvalue.iter().cloned().collect(),
        ..GrantsPlan::default()
    };
    let at_once = config.reuse_concurrency;
    let reuse = Reuse::new(config.reuse, at_once).unwrap_or_else(|why| {
        problems.push(format!("--reuse-concurrency {at_once}: {why}"));
        Reuse { requests: config.reuse, at_once }
    });
    let app = |path| Target::App { path, reuse, grants: grants.clone() };
    let files = |path| Target::Files(StaticPlan::new(path));
    let mut add = |flag, prefix: &str, named: String, target| match normal(prefix) {
        Ok(prefix) => mounts.push(Mounted { prefix, target, flag, named }),
        Err(why) => problems.push(format!("{flag} {prefix}={named}: {why}")),
    };
    for Mount { prefix, path } in &config.apps {
        add("--app", prefix, path.display().to_string(), app(path.clone()));
    }
    for ((prefix, recipe), path) in config.recipes.iter().zip(built) {
        add(recipe.flag(), prefix, recipe.to_string(), app(path.clone()));
    }
    for Mount { prefix, path } in &config.statics {
        add("--static", prefix, path.display().to_string(), files(path.clone()));
    }
    for (name, directory) in handlers.iter().zip(std::iter::repeat(&config.handlers)) {
        let Some(directory) = directory else { break };
        let path = directory.join(format!("{name}.wasm"));
        add("--handlers", &format!("/{name}"), path.display().to_string(), app(path));
    }
    problems.extend(duplicates(&mounts));
    let listen = listen(config).unwrap_or_else(|why| {
        problems.push(format!("--addr {}: {why}", config.listen));
        super::default_address()
    });
    if !problems.is_empty() {
        return Err(StartError::Config(problems));
    }
    let mut front = None;
    if config.statics.is_empty() {
        if !mounts.iter().any(|mount| mount.prefix == "/static") {
            mounts.extend(html.clone().map(|html| Mounted {
                prefix: "/static".to_owned(),
                target: files(html),
                flag: "",
                named: String::new(),
            }));
        }
        front = html.map(|html| (html, Origin::default()));
    } else if mounts.iter().any(|mount| mount.prefix.is_empty() && !is_static_root(mount)) {
        // Static files at `/` stand in front of an app there.
        let at = mounts.iter().position(is_static_root);
        if let Some(Target::Files(files)) = at.map(|at| mounts.remove(at).target) {
            front = Some((files.path, Origin::flag("--static")));
        }
    }
    let nothing = mounts.is_empty() && front.is_none() && config.handlers.is_none();
    if nothing { Err(StartError::Nothing) } else { Ok(plan(config, listen, mounts, front)) }
}

/// Where to listen: over TLS if there is a certificate and nothing else is said.
fn listen(config: &Config) -> Result<Address, String> {
    let address = Address::parse(&config.listen)?;
    if address.tls && config.tls.is_none() {
        return Err("add --tls self-signed, or --tls CERT.pem,KEY.pem".to_owned());
    }
    let tls = config.tls.is_some() && !config.listen.starts_with("http://");
    Ok(Address { tls, ..address })
}

fn plan(
    config: &Config,
    listen: Address,
    mounts: Vec<Mounted>,
    front: Option<(PathBuf, Origin)>,
) -> Plan {
    let route = |pattern, target: &Target, origin: &str, name| RoutePlan {
        pattern,
        name,
        methods: None,
        limits: config.limits.clone(),
        target: target.clone(),
        headers: HeaderMap::new(),
        cache_control: NEVER_FRESH,
        compress: true,
        etag: false,
        origins: RouteOrigins {
            route: Origin::flag(origin),
            target: Origin::flag(origin),
            files: Origin::flag("--files"),
            memory: None,
        },
    };
    let mut routes = Vec::new();
    for Mounted { prefix, target, flag, named } in &mounts {
        let built =
            matches!(target, Target::App { path, .. } if path.as_os_str() != named.as_str());
        let origin = match *flag {
            // Nobody has named it.
            "--handlers" => String::new(),
            // What was built has another name.
            flag if built => format!("{flag} {named}:"),
            flag => flag.to_owned(),
        };
        if !prefix.is_empty() {
            routes.push(route(prefix.clone(), target, &origin, None));
        }
        // A handler of a directory has its name for the others, too.
        let name = prefix.strip_prefix('/').filter(|_| *flag == "--handlers");
        let name = name.and_then(|name| app_name(name).ok());
        routes.push(route(format!("{prefix}/*"), target, &origin, name));
    }
    let tenant = TenantPlan {
        name: TENANT.to_owned(),
        hosts: vec![HostPattern::Any],
        limits: config.limits.clone(),
        front,
        routes,
        clock: Clock::Fine,
        log: None,
        log_origin: Origin::default(),
        tls: config.tls.as_ref().map(|source| TlsPlan {
            files: match source {
                TlsSource::SelfSigned => None,
                TlsSource::Files(certificate, key) => Some((certificate.clone(), key.clone())),
            },
            hsts: None,
            redirect: false,
            origin: Origin::flag("--tls"),
        }),
        keyvalue: match &config.state {
            Some(directory) => StorePlan::Directory(directory.clone()),
            None => StorePlan::Default(".".into()),
        },
        origin: Origin::flag("--keyvalue"),
        error_pages: Vec::new(),
    };
    Plan {
        listen: vec![listen],
        self_signed: config.tls == Some(TlsSource::SelfSigned),
        proxies: Proxies::default(),
        access_log: None,
        state: config.state.clone(),
        outbound_ca: config.outbound_ca.clone(),
        limits: config.limits.clone(),
        set: Vec::new(),
        tenants: vec![tenant],
    }
}

fn is_static_root(mount: &Mounted) -> bool {
    mount.prefix.is_empty() && matches!(mount.target, Target::Files(_))
}

/// A prefix without a slash at the end.
fn normal(prefix: &str) -> Result<String, String> {
    if !prefix.starts_with('/') {
        return Err(format!("the prefix {prefix:?} must start with a slash"));
    }
    let trimmed = prefix.trim_end_matches('/');
    let segments = trimmed.split('/').skip(1);
    if segments.clone().any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(format!("the prefix {prefix:?} has an empty, `.` or `..` segment"));
    }
    if segments.clone().any(|segment| segment.starts_with(':') || segment.contains('*')) {
        return Err(format!(
            "the prefix {prefix:?} has a parameter or a wildcard: a prefix is literal"
        ));
    }
    Ok(trimmed.to_owned())
}

/// A sentence for each prefix that two mounts claim. An app and static files
/// may share `/`.
fn duplicates(mounts: &[Mounted]) -> Vec<String> {
    let mut first: HashMap<(&str, bool), &Mounted> = HashMap::new();
    let mut problems = Vec::new();
    for mount in mounts {
        let Mounted { prefix, flag, named, .. } = mount;
        if let Some(other) = first.insert((prefix, is_static_root(mount)), mount) {
            problems.push(format!(
                "{prefix}/ is claimed twice, by {} {} and by {flag} {named}: give one of them another prefix",
                other.flag, other.named
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(apps: &[(&str, &str)], statics: &[(&str, &str)]) -> Config {
        let mounts = |list: &[(&str, &str)]| {
            list.iter().map(|(prefix, path)| Mount::new(*prefix, *path)).collect()
        };
        Config { apps: mounts(apps), statics: mounts(statics), ..Config::default() }
    }

    /// What stands in front, and each route with what answers it.
    fn resolved(config: &Config, handlers: &[&str], html: bool) -> (Option<PathBuf>, Vec<String>) {
        let handlers: Vec<String> = handlers.iter().map(|name| (*name).to_owned()).collect();
        let mut plan = resolve(config, &[], &handlers, html.then(|| "html".into())).unwrap();
        let tenant = plan.tenants.remove(0);
        let shown = |route: &RoutePlan| format!("{} {}", route.pattern, route.target);
        (tenant.front.map(|(path, _)| path), tenant.routes.iter().map(shown).collect())
    }

    #[test]
    fn html_stands_in_front_and_at_static() {
        let (front, routes) = resolved(&config(&[("/", "a.wasm")], &[]), &[], true);
        assert_eq!(front, Some("html".into()));
        assert_eq!(routes, ["/* a.wasm", "/static files in html", "/static/* files in html"]);
    }

    #[test]
    fn html_leaves_static_to_who_asks_for_it() {
        let (_, routes) = resolved(&config(&[("/static", "a.wasm")], &[]), &[], true);
        assert_eq!(routes, ["/static a.wasm", "/static/* a.wasm"]);
    }

    #[test]
    fn an_explicit_static_directory_replaces_html() {
        let config = config(&[("/", "a.wasm")], &[("/assets/", "public")]);
        let (front, routes) = resolved(&config, &[], true);
        assert_eq!(front, None);
        assert_eq!(routes, ["/* a.wasm", "/assets files in public", "/assets/* files in public"]);
    }

    #[test]
    fn explicit_static_files_at_the_root_stand_in_front_of_an_app_there() {
        let config = config(&[("/", "a.wasm")], &[("/", "public")]);
        let (front, routes) = resolved(&config, &[], false);
        assert_eq!((front, routes), (Some("public".into()), vec!["/* a.wasm".to_owned()]));
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let apps = [("blog", "a.wasm"), ("/x/../y", "b.wasm"), ("/c", "c.wasm"), ("/c/", "d.wasm")];
        let Err(StartError::Config(problems)) = resolve(&config(&apps, &[]), &[], &[], None) else {
            panic!("there are problems");
        };
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[2].contains("c.wasm and by --app d.wasm"), "{problems:?}");
    }

    #[test]
    fn handlers_answer_at_their_names() {
        let config = Config { handlers: Some("guests".into()), ..Config::default() };
        let (_, routes) = resolved(&config, &["hello"], false);
        assert_eq!(routes, ["/hello guests/hello.wasm", "/hello/* guests/hello.wasm"]);
    }
}
