//! The keys of `myweb.toml`: what the reader knows, and the JSON schema that
//! editors complete the file with.

use serde_json::{Map, Value, json};

use crate::limits::Limits;
use crate::limits::keys::{KEYS, Scope};

/// A key of a table.
pub(super) struct Key {
    pub(super) name: &'static str,
    kind: Kind,
    help: &'static str,
}

enum Kind {
    Text,
    Number,
    Flag,
    Texts,
    /// Any keys, each with a text: what the keys are.
    Map(&'static str),
    /// The limits that can be set in this scope.
    Limits(Scope),
    /// A text, or where it is.
    Value,
    /// Any keys, each with such a value.
    Values,
    Table(&'static [Key]),
    Tables(&'static [Key]),
}

const fn key(name: &'static str, kind: Kind, help: &'static str) -> Key {
    Key { name, kind, help }
}

/// The file itself.
pub(super) const FILE: &[Key] = &[
    key(
        "listen",
        Kind::Texts,
        "where to listen: HOST:PORT, https://HOST:PORT, unix:PATH, or systemd",
    ),
    key(
        "trusted-proxies",
        Kind::Texts,
        "peers that say who asks, in a header: addresses, networks, or unix",
    ),
    key(
        "client-header",
        Kind::Text,
        "where they say it: x-forwarded-for, with -proto (the default), or forwarded",
    ),
    key(
        "proxy-protocol",
        Kind::Texts,
        "peers whose connections begin with a header of the PROXY protocol",
    ),
    key("access-log", Kind::Table(ACCESS_LOG), "where each request is written down"),
    key(
        "outbound-ca",
        Kind::Text,
        "a PEM file of authorities that requests of apps trust beside the system's",
    ),
    key(
        "limits",
        Kind::Limits(Scope::Server),
        "limits of the server, and defaults of every tenant",
    ),
    key(
        "state",
        Kind::Text,
        "a directory where the server keeps what it makes: key-value data (if left out, a directory \
         of this file in the user's directory of state), and compiled components (the user's \
         directory of caches)",
    ),
    key(
        "keyvalue",
        Kind::Value,
        "where key-value data is: redis://HOST:PORT/DB, or rediss://; the state directory if left out",
    ),
    key("tenant", Kind::Tables(TENANT), "an owner of hosts, routes and limits"),
];

pub(super) const ACCESS_LOG: &[Key] = &[
    key("path", Kind::Text, "a file, opened again on SIGUSR1; standard output if left out"),
    key("format", Kind::Text, "json (the default) or combined"),
];

pub(super) const TENANT: &[Key] = &[
    key("name", Kind::Text, "names the tenant in logs: letters, digits, -, _ and ."),
    key("hosts", Kind::Texts, "hosts: acme.example, *.acme.example, or * for all others"),
    key("limits", Kind::Limits(Scope::Tenant), "limits of the tenant, and defaults of its routes"),
    key(
        "clock",
        Kind::Text,
        "what time its guests see: fine (the default), or frozen, that of the request's start",
    ),
    key("log", Kind::Text, "a file for the output of its guests; the server's log if left out"),
    key("tls", Kind::Table(TLS), "how the tenant is reached over TLS"),
    key(
        "keyvalue",
        Kind::Value,
        "where the tenant's key-value data is; as the file says if left out",
    ),
    key(
        "error-pages",
        Kind::Map("statuses"),
        "files for errors, by their status: 404 = \"missing.html\"",
    ),
    key("route", Kind::Tables(ROUTE), "a path, and what answers it"),
];

pub(super) const TLS: &[Key] = &[
    key("certificate", Kind::Text, "a PEM file with the certificate and those above it"),
    key("key", Kind::Text, "a PEM file with its private key; that of the certificate if left out"),
    key("hsts", Kind::Text, "Strict-Transport-Security of answers over TLS: max-age=31536000"),
    key("redirect", Kind::Flag, "whether requests without TLS are sent on to it"),
];

pub(super) const ROUTE: &[Key] = &[
    key("path", Kind::Text, "/a, /a/:name for any one segment, /a/* for all below"),
    key("methods", Kind::Texts, "methods that it answers; any if left out"),
    key("app", Kind::Text, "a component, relative to this file"),
    key("name", Kind::Text, "what the tenant's apps call the app: http://NAME.internal"),
    key("reuse", Kind::Number, "requests that one instance serves; 1 is fresh, the default"),
    key(
        "reuse-concurrency",
        Kind::Number,
        "how many of them at the same time, of an app of wasi:http 0.3; 1 is the default",
    ),
    key("grants", Kind::Table(GRANTS), "what the app may reach"),
    key(
        "etag",
        Kind::Flag,
        "whether the app's answers get an etag, and 304 where the client has them",
    ),
    key("static", Kind::Text, "a directory of static files, relative to this file"),
    key("index", Kind::Texts, "files that answer for their directory; index.html if left out"),
    key("listing", Kind::Flag, "whether directories without an index are listed"),
    key("fallback", Kind::Text, "the path that is answered in place of what is not there"),
    key(
        "cache-control",
        Kind::Text,
        "this header, for good answers that have none; max-age=0 is the default",
    ),
    key("compress", Kind::Flag, "whether answers are compressed; true is the default"),
    key("headers", Kind::Map("names of headers"), "headers that every answer of the route has"),
    key(
        "redirect",
        Kind::Text,
        "another address; a final /* takes over what the path's /* matched",
    ),
    key("status", Kind::Number, "of a redirect: 301, 302, 303, 307 or 308, the default"),
    key("limits", Kind::Limits(Scope::Route), "limits of the route"),
];

pub(super) const GRANTS: &[Key] = &[
    key("files", Kind::Text, "a directory that the app may read and send"),
    key(
        "outbound",
        Kind::Texts,
        "origins that the app may send requests to: https://api.example.com, https://*.example.com, \
         http://10.0.0.5:8080, http://NAME.internal; or networks that may be dialled: 10.0.0.0/8",
    ),
    key("keyvalue", Kind::Texts, "buckets of key-value data that the app may open"),
    key("config", Kind::Values, "the app's configuration, by wasi:config"),
    key("env", Kind::Values, "the app's environment variables"),
    key(
        "env-at-import",
        Kind::Texts,
        "names of env that a Python app may read while it is built, where they are not set",
    ),
];

/// Where a value is.
pub(super) const VALUE: &[Key] = &[
    key("file", Kind::Text, "a file whose content is the value"),
    key("env", Kind::Text, "a variable of the server's environment"),
];

/// Where else in the file a key belongs, if it is known anywhere.
pub(super) fn home(name: &str) -> Option<&'static str> {
    let is_in = |keys: &[Key]| keys.iter().any(|key| key.name == name);
    let homes = [
        (ROUTE, "in a [[tenant.route]]"),
        (TENANT, "in a [[tenant]]"),
        (TLS, "in tls = { ... } of a tenant"),
        (GRANTS, "in grants = { ... } of a route"),
        (ACCESS_LOG, "in [access-log]"),
        (FILE, "at the top of the file"),
    ];
    let home = homes.into_iter().find(|(keys, _)| is_in(keys)).map(|(_, home)| home);
    home.or_else(|| is_in(&limit_keys(Scope::Server)).then_some("in limits = { ... }"))
}

/// The limits of a scope, as keys.
pub(super) fn limit_keys(scope: Scope) -> Vec<Key> {
    let known = KEYS.iter().filter(|limit| limit.scope >= scope);
    known
        .map(|limit| {
            key(limit.name, if limit.is_count() { Kind::Number } else { Kind::Text }, limit.help)
        })
        .collect()
}

/// The JSON schema of the file (draft 2020-12), as text.
pub fn json_schema() -> String {
    let mut schema = table(FILE);
    schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".to_owned(), "myweb.toml".into());
    format!("{:#}\n", Value::Object(schema))
}

fn table(keys: &[Key]) -> Map<String, Value> {
    let properties: Map<String, Value> =
        keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let table =
        json!({ "type": "object", "additionalProperties": false, "properties": properties });
    match table {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn property(key: &Key) -> Value {
    let mut schema = match &key.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Number => json!({ "type": "integer" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Map(names) => json!({
            "type": "object",
            "additionalProperties": { "type": "string" },
            "propertyNames": { "description": names },
        }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Value => value(),
        Kind::Values => json!({ "type": "object", "additionalProperties": value() }),
        Kind::Table(keys) => Value::Object(table(keys)),
        Kind::Tables(keys) => json!({ "type": "array", "items": table(keys) }),
        Kind::Limits(scope) => Value::Object(limits(*scope)),
    };
    if let Value::Object(map) = &mut schema {
        map.insert("description".to_owned(), key.help.into());
    }
    schema
}

fn value() -> Value {
    json!({ "anyOf": [{ "type": "string" }, table(VALUE)] })
}

fn limits(scope: Scope) -> Map<String, Value> {
    let mut table = table(&limit_keys(scope));
    if let Some(Value::Object(properties)) = table.get_mut("properties") {
        for limit in KEYS.iter().filter(|limit| limit.scope >= scope) {
            let shown = limit.show(&Limits::default());
            // What could not be written so is no default to fill in.
            let is_value = limit.set(&mut Limits::default(), &shown).is_ok();
            if let (Some(Value::Object(property)), true) =
                (properties.get_mut(limit.name), is_value)
            {
                let number = shown.parse::<u64>().ok().filter(|_| limit.is_count());
                property
                    .insert("default".to_owned(), number.map_or_else(|| shown.into(), Value::from));
            }
        }
    }
    table
}
