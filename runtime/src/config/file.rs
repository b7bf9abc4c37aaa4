//! `myweb.toml`: from its text to a plan, or to all that is wrong with it. Pure.

mod grants;
mod route;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use http::StatusCode;
use toml::de::DeTable;

use super::address::Address;
use super::networks::Networks;
use super::pattern;
use super::plan::{
    AccessFormat, AccessLog, Clock, ErrorPagePlan, Plan, Proxies, RoutePlan, STATE, StorePlan,
    TenantPlan, TlsPlan,
};
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
    /// Whether hosts without a certificate get one that the server makes.
    pub self_signed: bool,
    /// In place of `outbound-ca`.
    pub outbound_ca: Option<PathBuf>,
    /// In place of `state`.
    pub state: Option<PathBuf>,
    /// Values of limits, by their key below `[limits]`, over those of the
    /// file's own `[limits]`.
    pub limits: Vec<(&'static str, String)>,
}

impl Overrides {
    /// The address in place of `listen`: over TLS if the server makes
    /// certificates and nothing else is said.
    fn listen(&self) -> Option<Result<Address, String>> {
        let text = self.listen.as_ref()?;
        Some(Address::parse(text).map(|address| match self.self_signed {
            true if !text.starts_with("http://") => Address { tls: true, ..address },
            _ => address,
        }))
    }
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
        let listen = texts(file, "listen", Address::parse);
        let listen = match overrides.listen() {
            Some(Ok(one)) => Some(vec![one]),
            Some(Err(why)) => {
                file.wrong(why);
                None
            }
            None => listen,
        };
        let state = overrides.state.clone().or_else(|| self.path(file, "state"));
        let own = state.unwrap_or_else(|| self.base.join(STATE));
        let store = self.store(file).unwrap_or(StorePlan::Directory(own));
        let tenants = file.sections("tenant");
        let tenants = tenants.iter().map(|tenant| self.tenant(tenant, &limits, &store));
        let tenants: Vec<TenantPlan> = tenants.collect();
        if tenants.is_empty() && file.item("tenant").is_none() {
            file.wrong("there is no [[tenant]]; add one with a name, hosts and routes");
        }
        check_tenants(file, &tenants, limits.instances);
        let access_log = file.section("access-log").map(|section| self.access_log(&section));
        let listen = listen.filter(|list| !list.is_empty());
        let listen = listen.unwrap_or_else(|| vec![super::default_address()]);
        let proxies = Proxies {
            protocol: networks(file, "proxy-protocol"),
            forwarded: networks(file, "trusted-proxies"),
        };
        let self_signed = overrides.self_signed;
        let outbound_ca = overrides.outbound_ca.clone();
        let outbound_ca = outbound_ca.or_else(|| self.path(file, "outbound-ca"));
        let plan = Plan { listen, self_signed, proxies, access_log, outbound_ca, limits, tenants };
        if plan.lacks_certificates() {
            file.wrong(
                "listen has an https:// address, and no tenant has a certificate; \
                 add tls = { certificate = \"cert.pem\", key = \"key.pem\" } to one",
            );
        }
        plan
    }

    fn tls(&self, section: &Section<'_>) -> TlsPlan {
        section.only(schema::TLS);
        let certificate = self.path(section, "certificate");
        let key = self.path(section, "key");
        if certificate.is_none() && key.is_some() {
            section.wrong("there is a key without a certificate; add certificate = \"cert.pem\"");
        }
        TlsPlan {
            files: certificate.map(|file| (file.clone(), key.unwrap_or(file))),
            hsts: section.text("hsts", route::header_value),
            redirect: section.item("redirect").and_then(|item| item.flag()).unwrap_or(false),
            origin: section.origin(),
        }
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

    fn tenant(&self, section: &Section<'_>, defaults: &Limits, store: &StorePlan) -> TenantPlan {
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
            tls: section.section("tls").map(|section| self.tls(&section)),
            keyvalue: self.store(section).unwrap_or_else(|| store.clone()),
            origin: section.origin(),
            error_pages: section
                .items("error-pages")
                .iter()
                .filter_map(|(status, item)| self.error_page(status, item))
                .collect(),
        }
    }

    fn error_page(&self, status: &str, item: &Item<'_>) -> Option<ErrorPagePlan> {
        let status = status.parse::<StatusCode>().ok();
        match status.filter(|status| status.is_client_error() || status.is_server_error()) {
            None => item.wrong("a page is for a status from 400 to 599"),
            Some(status) => {
                let path = item.text(|text| Ok(self.base.join(text)))?;
                Some(ErrorPagePlan { status, path, origin: item.origin() })
            }
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
    let mut names: HashMap<&str, &str> = HashMap::new();
    for (route, section) in routes.iter().zip(tenant.sections("route")) {
        let Some(name) = &route.name else { continue };
        if let Some(other) = names.insert(name, &route.origin) {
            section.wrong(format!("the route at {other} is called {name:?} too; rename one"));
        }
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

fn networks(section: &Section<'_>, key: &str) -> Networks {
    let mut networks = Networks::default();
    for item in section.item(key).map(|item| item.list()).unwrap_or_default() {
        item.text(|text| networks.add(text));
    }
    networks
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
