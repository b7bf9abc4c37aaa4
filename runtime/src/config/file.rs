//! `myweb.toml`: from its text to a plan, or to all that is wrong with it. Pure.

mod conflicts;
mod grants;
mod route;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use http::{HeaderValue, StatusCode};
use toml::de::DeTable;

use super::address::Address;
use super::networks::Networks;
use super::plan::{
    AccessFormat, AccessLog, Clock, ErrorPagePlan, Plan, Proxies, RoutePlan, SetLimit, StorePlan,
    TenantPlan, TlsPlan,
};
use super::problem::{Origin, Problem};
use super::reader::{Document, Item, Section, is_twice};
use super::schema;
use crate::hosts::HostPattern;
use crate::limits::Limits;
use crate::limits::keys::{Key, Scope};
use crate::peer::Naming;

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
/// What is wrong with it is told, too: file, line, key, value and mend. Where it
/// is, the plan has a default, so that the rest of it can be judged.
pub(super) fn read(path: &Path, text: &str, overrides: &Overrides) -> (Plan, Vec<Problem>) {
    let name = path.display().to_string();
    let document = Document::new(&name, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    errors.iter().for_each(|error| document.syntax(error));
    let base = path.parent().unwrap_or(Path::new(""));
    let reader = Reader { path, base, set: RefCell::default() };
    // Around what cannot be read, something else is read than what is meant: what that
    // lacks is not told.
    let unread = errors.iter().any(|error| !is_twice(error));
    let unheard = Document::new(&name, text);
    let judged = if unread { &unheard } else { &document };
    let plan = reader.plan(&judged.root(table.get_ref()), overrides);
    (plan, document.into_problems())
}

/// Reads the parts of the file. What is wrong is noted and replaced by a
/// default, so that the rest is read too.
struct Reader<'a> {
    path: &'a Path,
    base: &'a Path,
    /// Where limits were set.
    set: RefCell<Vec<SetLimit>>,
}

/// Limits as they stand at a place of the file.
#[derive(Clone, Default)]
struct Standing {
    limits: Limits,
    /// Where that of memory was set.
    memory: Option<Origin>,
}

impl Reader<'_> {
    fn plan(&self, file: &Section<'_>, overrides: &Overrides) -> Plan {
        file.only(schema::FILE);
        let mut standing = self.limits(file, Scope::Server, &Standing::default());
        for (name, text) in &overrides.limits {
            let Some(key) = Key::named(name) else { continue };
            match key.set(&mut standing.limits, text) {
                Ok(()) => self.note(key, &mut standing, Origin::flag(key.flag)),
                Err(why) => file.wrong(format!("--{}: {why}", key.flag)),
            }
        }
        let listen = listen(file);
        let listen = match overrides.listen() {
            Some(Ok(one)) => Some(vec![one]),
            Some(Err(why)) => {
                file.wrong(format!("--addr: {why}"));
                None
            }
            None => listen,
        };
        let state = overrides.state.clone().or_else(|| self.path(file, "state"));
        let own = state.clone().map(StorePlan::Directory);
        let own = own.unwrap_or_else(|| StorePlan::Default(self.path.to_owned()));
        let store = self.store(file).unwrap_or(own);
        let tenants = file.sections("tenant");
        let tenants = tenants.iter().map(|tenant| self.tenant(tenant, &standing, &store));
        let tenants: Vec<TenantPlan> = tenants.collect();
        if tenants.is_empty() && file.item("tenant").is_none() {
            file.wrong("there is no [[tenant]]; add one with a name, hosts and routes");
        }
        let limits = standing.limits;
        conflicts::check_tenants(file, &tenants, limits.instances);
        let access_log = file.section("access-log").map(|section| self.access_log(&section));
        let listen = listen.filter(|list| !list.is_empty());
        let listen = listen.unwrap_or_else(|| vec![super::default_address()]);
        let proxies = Proxies {
            protocol: networks(file, "proxy-protocol"),
            forwarded: networks(file, "trusted-proxies"),
            naming: file.text("client-header", naming).unwrap_or_default(),
        };
        let self_signed = overrides.self_signed;
        let outbound_ca = overrides.outbound_ca.clone();
        let outbound_ca = outbound_ca.or_else(|| self.path(file, "outbound-ca"));
        let set = self.set.take();
        let plan = Plan {
            listen,
            self_signed,
            proxies,
            access_log,
            state,
            outbound_ca,
            limits,
            set,
            tenants,
        };
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
            hsts: section.text("hsts", hsts),
            redirect: section.item("redirect").and_then(|item| item.flag()).unwrap_or(false),
            origin: section.origin_of("certificate"),
        }
    }

    fn access_log(&self, section: &Section<'_>) -> AccessLog {
        section.only(schema::ACCESS_LOG);
        let format = section.text("format", |text| match text {
            "json" => Ok(AccessFormat::Json),
            "combined" => Ok(AccessFormat::Combined),
            _ => Err("write json or combined".to_owned()),
        });
        AccessLog {
            path: self.path(section, "path"),
            format: format.unwrap_or(AccessFormat::Json),
            origin: section.origin_of("path"),
        }
    }

    fn tenant(&self, section: &Section<'_>, defaults: &Standing, store: &StorePlan) -> TenantPlan {
        section.only(schema::TENANT);
        let standing = self.limits(section, Scope::Tenant, defaults);
        if section.item("name").is_none() {
            section.wrong("the tenant has no name; add name = \"acme\"");
        }
        let hosts = texts(section, "hosts", HostPattern::parse);
        if hosts.is_none() {
            section.wrong("the tenant has no hosts; add hosts = [\"acme.example\"], or [\"*\"] for all others");
        }
        if hosts.as_ref().is_some_and(Vec::is_empty) && is_empty(section, "hosts") {
            section.wrong(
                "hosts is empty: nobody would reach the tenant; add one, or \"*\" for all others",
            );
        }
        let routes: Vec<RoutePlan> =
            section.sections("route").iter().map(|route| self.route(route, &standing)).collect();
        if routes.is_empty() && section.item("route").is_none() {
            section.wrong("the tenant has no [[tenant.route]]; add one with a path and an app");
        }
        conflicts::check_routes(section, &routes);
        TenantPlan {
            name: section.text("name", tenant_name).unwrap_or_default(),
            hosts: hosts.unwrap_or_default(),
            limits: standing.limits,
            front: None,
            routes,
            clock: section.text("clock", clock).unwrap_or_default(),
            log: self.path(section, "log"),
            log_origin: section.origin_of("log"),
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
    fn limits(&self, section: &Section<'_>, scope: Scope, defaults: &Standing) -> Standing {
        let mut standing = defaults.clone();
        let Some(table) = section.section("limits") else { return standing };
        for name in table.keys() {
            let (Some(key), Some(item)) = (Key::named(name), table.item(name)) else { continue };
            if key.scope < scope {
                let place =
                    if key.scope == Scope::Server { "the file's own" } else { "the tenant's" };
                let _: Option<()> =
                    item.wrong(format!("cannot be set here; set it in {place} limits"));
                continue;
            }
            let set = |text: &str| key.set(&mut standing.limits, text);
            let set = if key.is_count() {
                item.number(set)
            } else if item.as_text().is_none() {
                item.wrong(format!("text in quotes is expected: {:?}", key.example()))
            } else {
                item.text(set)
            };
            if set.is_some() {
                self.note(key, &mut standing, item.origin());
            }
        }
        // Known in another scope: told above.
        let known = schema::limit_keys(Scope::Server);
        table.only(&known);
        standing
    }

    /// Notes where a limit was set.
    fn note(&self, key: &Key, standing: &mut Standing, origin: Origin) {
        if key.name == "memory" {
            standing.memory = Some(origin.clone());
        }
        if let Some(value) = key.value(&standing.limits) {
            self.set.borrow_mut().push(SetLimit { name: key.name, value, origin });
        }
    }

    fn path(&self, section: &Section<'_>, key: &str) -> Option<PathBuf> {
        section.text(key, |text| match text {
            "" => Err("the path is empty".to_owned()),
            text => Ok(self.base.join(text)),
        })
    }
}

/// Where to listen; `None` if nothing is said.
fn listen(file: &Section<'_>) -> Option<Vec<Address>> {
    if is_empty(file, "listen") {
        file.wrong(format!(
            "listen is empty: nobody would be answered; leave it out for {:?}",
            super::DEFAULT_ADDRESS
        ));
    }
    let items = file.item("listen")?.list();
    let mut addresses: Vec<Address> = Vec::new();
    for item in items {
        match item.text(Address::parse) {
            // A free port is another one each time.
            Some(address) if addresses.contains(&address) && address.port() != Some(0) => {
                let _: Option<()> = item.wrong("it is there twice; remove one");
            }
            address => addresses.extend(address),
        }
    }
    Some(addresses)
}

/// Whether there is a list without anything in it.
fn is_empty(section: &Section<'_>, key: &str) -> bool {
    section.item(key).is_some_and(|item| item.is_empty_list())
}

/// How a proxy names the client, by the header's name.
fn naming(text: &str) -> Result<Naming, String> {
    match text {
        "x-forwarded-for" => Ok(Naming::XForwarded),
        "forwarded" => Ok(Naming::Forwarded),
        _ => Err("write x-forwarded-for or forwarded".to_owned()),
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

/// `Strict-Transport-Security` (RFC 6797 section 6.1).
fn hsts(text: &str) -> Result<HeaderValue, String> {
    let age = |part: &str| {
        let age = part.trim().strip_prefix("max-age=");
        age.is_some_and(|age| !age.is_empty() && age.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if !text.split(';').any(age) {
        return Err("write for how many seconds: max-age=31536000".to_owned());
    }
    route::header_value(text)
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
