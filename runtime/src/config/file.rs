//! `myweb.toml`: from its text to a plan, or to all that is wrong with it. Pure.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use http::{HeaderValue, Method, StatusCode};
use toml::de::DeTable;

use super::pattern;
use super::plan::{AccessFormat, AccessLog, Clock, Plan, RoutePlan, Target, TenantPlan};
use super::reader::{Document, Item, Section};
use super::schema;
use crate::hosts::HostPattern;
use crate::limits::Limits;
use crate::limits::keys::{Key, Scope};

/// What the command line sets over the file: the address, and limits by name.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// In place of `listen`.
    pub listen: Option<String>,
    /// Values of limits, by their key below `[limits]`, over those of the
    /// file's own `[limits]`.
    pub limits: Vec<(&'static str, String)>,
}

/// Reads the text of the file `path`. Paths in it are relative to the file.
///
/// # Errors
/// All that is wrong, a line each: file, line, key, value and mend.
pub(super) fn read(path: &Path, text: &str, overrides: &Overrides) -> Result<Plan, Vec<String>> {
    let name = path.display().to_string();
    let document = Document::new(&name, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    errors.iter().for_each(|error| document.syntax(error));
    let base = path.parent().unwrap_or(Path::new(""));
    let plan = Reader { base }.plan(&document.root(table.get_ref()), overrides);
    match document.into_problems() {
        problems if problems.is_empty() => Ok(plan),
        problems => Err(problems),
    }
}

/// Reads the parts of the file. What is wrong is noted and replaced by a
/// default, so that the rest is read too.
struct Reader<'a> {
    base: &'a Path,
}

impl Reader<'_> {
    fn plan(&self, file: &Section<'_>, overrides: &Overrides) -> Plan {
        file.only(schema::FILE);
        let mut limits = self.limits(file, Scope::Server, &Limits::default());
        for (name, text) in &overrides.limits {
            if let Some(Err(why)) = Key::named(name).map(|key| key.set(&mut limits, text)) {
                file.wrong(why);
            }
        }
        let listen = texts(file, "listen", |text| Ok(text.to_owned()));
        let listen = overrides.listen.clone().map(|one| vec![one]).or(listen);
        let tenants: Vec<TenantPlan> =
            file.sections("tenant").iter().map(|tenant| self.tenant(tenant, &limits)).collect();
        if tenants.is_empty() && file.item("tenant").is_none() {
            file.wrong("there is no [[tenant]]; add one with a name, hosts and routes");
        }
        check_tenants(file, &tenants, limits.instances);
        let access_log = file.section("access-log").map(|section| self.access_log(&section));
        let listen = listen.filter(|list| !list.is_empty());
        let listen = listen.unwrap_or_else(|| vec![super::DEFAULT_ADDRESS.to_owned()]);
        Plan { listen, access_log, limits, tenants }
    }

    fn access_log(&self, section: &Section<'_>) -> AccessLog {
        section.only(schema::ACCESS_LOG);
        let format = section.text("format", |text| match text {
            "json" => Ok(AccessFormat::Json),
            "combined" => Ok(AccessFormat::Combined),
            _ => Err("write json or combined".to_owned()),
        });
        AccessLog { path: self.path(section, "path"), format: format.unwrap_or(AccessFormat::Json) }
    }

    fn tenant(&self, section: &Section<'_>, defaults: &Limits) -> TenantPlan {
        section.only(schema::TENANT);
        let limits = self.limits(section, Scope::Tenant, defaults);
        if section.item("name").is_none() {
            section.wrong("the tenant has no name; add name = \"acme\"");
        }
        let hosts = texts(section, "hosts", HostPattern::parse);
        if hosts.is_none() {
            section.wrong("the tenant has no hosts; add hosts = [\"acme.example\"], or [\"*\"] for all others");
        }
        let routes: Vec<RoutePlan> =
            section.sections("route").iter().map(|route| self.route(route, &limits)).collect();
        if routes.is_empty() && section.item("route").is_none() {
            section.wrong("the tenant has no [[tenant.route]]; add one with a path and an app");
        }
        check_routes(section, &routes);
        TenantPlan {
            name: section.text("name", tenant_name).unwrap_or_default(),
            hosts: hosts.unwrap_or_default(),
            limits,
            front: None,
            routes,
            clock: section.text("clock", clock).unwrap_or_default(),
            log: self.path(section, "log"),
        }
    }

    fn route(&self, section: &Section<'_>, defaults: &Limits) -> RoutePlan {
        section.only(schema::ROUTE);
        if section.item("path").is_none() {
            section.wrong("the route has no path; add path = \"/*\"");
        }
        let pattern = section.text("path", |text| pattern::check(text).map(|()| text.to_owned()));
        let methods = texts(section, "methods", method);
        if methods.as_ref().is_some_and(Vec::is_empty) {
            section.wrong("methods is empty; leave it out for any method");
        }
        let pattern = pattern.unwrap_or_else(|| "/*".to_owned());
        RoutePlan {
            target: self.target(section, &pattern),
            limits: self.limits(section, Scope::Route, defaults),
            origin: section.origin(),
            pattern,
            methods,
        }
    }

    fn target(&self, section: &Section<'_>, pattern: &str) -> Target {
        let of_others = [("reuse", "app"), ("grants", "app"), ("status", "redirect")];
        for (key, kind) in of_others {
            if let (Some(item), None) = (section.item(key), section.item(kind)) {
                let _: Option<()> = item.wrong(format!("it belongs to a route with {kind}"));
            }
        }
        let kinds: Vec<&str> = ["app", "static", "redirect"]
            .into_iter()
            .filter(|kind| section.item(kind).is_some())
            .collect();
        match kinds.as_slice() {
            ["app"] => self.app(section),
            ["static"] => {
                if !pattern.ends_with("/*") {
                    section.wrong("static files need a path that ends with /*");
                }
                Target::Files(self.path(section, "static").unwrap_or_default())
            }
            ["redirect"] => redirect(section, pattern),
            [] => {
                section.wrong("the route has nothing that answers; add app, static or redirect");
                Target::Files(PathBuf::new())
            }
            several => {
                section
                    .wrong(format!("{} are one too many; keep one of them", several.join(" and ")));
                Target::Files(PathBuf::new())
            }
        }
    }

    fn app(&self, section: &Section<'_>) -> Target {
        let reuse = section.item("reuse").and_then(|item| {
            item.number(|text| {
                let number = text.parse().ok().filter(|number| *number > 0);
                number.ok_or_else(|| "write 1 for fresh instances, or more".to_owned())
            })
        });
        let grants = section.section("grants");
        let files = grants.and_then(|grants| {
            grants.only(schema::GRANTS);
            self.path(&grants, "files")
        });
        Target::App {
            path: self.path(section, "app").unwrap_or_default(),
            reuse: reuse.unwrap_or(1),
            files,
        }
    }

    /// The limits of a section over those it inherits.
    fn limits(&self, section: &Section<'_>, scope: Scope, defaults: &Limits) -> Limits {
        let mut limits = defaults.clone();
        let Some(table) = section.section("limits") else { return limits };
        for name in table.keys() {
            let (Some(key), Some(item)) = (Key::named(name), table.item(name)) else { continue };
            if key.scope < scope {
                let place =
                    if key.scope == Scope::Server { "the file's own" } else { "the tenant's" };
                let _: Option<()> =
                    item.wrong(format!("cannot be set here; set it in {place} limits"));
                continue;
            }
            let set = |text: &str| key.set(&mut limits, text);
            if key.is_count() {
                item.number(set)
            } else {
                item.text(set)
            };
        }
        // Known in another scope: told above.
        let known = schema::limit_keys(Scope::Server);
        table.only(&known);
        limits
    }

    fn path(&self, section: &Section<'_>, key: &str) -> Option<PathBuf> {
        section.text(key, |text| match text {
            "" => Err("the path is empty".to_owned()),
            text => Ok(self.base.join(text)),
        })
    }
}

/// Notes tenants that could be taken for each other, or take all instances.
fn check_tenants(file: &Section<'_>, tenants: &[TenantPlan], instances: usize) {
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut hosts: HashMap<&HostPattern, usize> = HashMap::new();
    for (index, (tenant, section)) in tenants.iter().zip(file.sections("tenant")).enumerate() {
        if let (Some(first), false) = (names.insert(&tenant.name, index), tenant.name.is_empty()) {
            section.wrong(format!("tenant[{first}] is called {:?} too; rename one", tenant.name));
        }
        for host in &tenant.hosts {
            if let Some(other) = hosts.insert(host, index) {
                section.wrong(format!(
                    "the host {host} is claimed by tenant[{other}] too; a host has one tenant"
                ));
            }
        }
        let concurrency = tenant.limits.concurrency;
        if tenants.len() > 1 && concurrency >= instances {
            section.wrong(format!(
                "with concurrency = {concurrency} the tenant could take all of the server's \
                 instances = {instances}; lower the one or raise the other"
            ));
        }
    }
}

/// Notes routes that no request could tell apart.
fn check_routes(tenant: &Section<'_>, routes: &[RoutePlan]) {
    let mut seen: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, (route, section)) in routes.iter().zip(tenant.sections("route")).enumerate() {
        let same = seen.entry(pattern::shape(&route.pattern)).or_default();
        let overlapping = same.iter().filter_map(|index| routes.get(*index));
        if let Some(other) = overlapping.into_iter().find(|other| overlap(other, route)) {
            section.wrong(format!(
                "{} is claimed by the route at {} too, {}; change the path or the methods of one",
                route.pattern, other.origin, other.pattern
            ));
        }
        same.push(index);
    }
}

fn overlap(one: &RoutePlan, other: &RoutePlan) -> bool {
    match (&one.methods, &other.methods) {
        (Some(one), Some(other)) => one.iter().any(|method| other.contains(method)),
        // One with methods goes before one for any method.
        (None, None) => true,
        _ => false,
    }
}

fn redirect(section: &Section<'_>, pattern: &str) -> Target {
    let to = section.text("redirect", |text| {
        let sound =
            text.starts_with('/') || text.starts_with("http://") || text.starts_with("https://");
        if !sound || HeaderValue::from_str(text).is_err() || text.contains(char::is_whitespace) {
            return Err("write an address: /new, or https://acme.example/new".to_owned());
        }
        if text.ends_with("/*") && !pattern.ends_with("/*") {
            return Err("the path has no final /* that could be taken over".to_owned());
        }
        Ok(text.to_owned())
    });
    let status = section.item("status").and_then(|item| {
        item.number(|text| match text {
            "301" | "302" | "303" | "307" | "308" => {
                StatusCode::from_bytes(text.as_bytes()).map_err(|error| error.to_string())
            }
            _ => Err("write 301, 302, 303, 307 or 308".to_owned()),
        })
    });
    Target::Redirect {
        to: to.unwrap_or_default(),
        status: status.unwrap_or(StatusCode::PERMANENT_REDIRECT),
    }
}

/// All texts of a list; `None` if there is no such key.
fn texts<T>(
    section: &Section<'_>,
    key: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    let items: Vec<Item<'_>> = section.item(key)?.list();
    Some(items.iter().filter_map(|item| item.text(&read)).collect())
}

fn clock(text: &str) -> Result<Clock, String> {
    match text {
        "fine" => Ok(Clock::Fine),
        "frozen" => Ok(Clock::Frozen),
        _ => Err("write fine or frozen".to_owned()),
    }
}

fn tenant_name(text: &str) -> Result<String, String> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let sound = !text.is_empty() && text.len() <= 64 && text.bytes().all(known);
    let wrong = || "a name has 1 to 64 letters, digits, -, _ and .".to_owned();
    if sound { Ok(text.to_owned()) } else { Err(wrong()) }
}

fn method(text: &str) -> Result<Method, String> {
    let sound =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    let method = Method::from_bytes(text.as_bytes()).ok().filter(|_| sound);
    method.ok_or_else(|| "a method is written like GET".to_owned())
}
