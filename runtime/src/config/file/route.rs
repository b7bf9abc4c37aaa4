//! A route of `myweb.toml`: its path, what answers, and how. Pure.

use std::path::PathBuf;

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::{Reader, Standing, texts};
use crate::config::origins::app_name;
use crate::config::pattern;
use crate::config::plan::{NEVER_FRESH, Reuse, RouteOrigins, RoutePlan, StaticPlan, Target};
use crate::config::reader::{Item, Section};
use crate::config::schema;
use crate::limits::keys::Scope;

impl Reader<'_> {
    pub(super) fn route(&self, section: &Section<'_>, defaults: &Standing) -> RoutePlan {
        section.only(schema::ROUTE);
        if section.item("path").is_none() {
            section.wrong("the route has no path; add path = \"/*\"");
        }
        let pattern = section.text("path", |text| pattern::check(text).map(|()| text.to_owned()));
        let methods = texts(section, "methods", method);
        if super::is_empty(section, "methods") {
            section.wrong("methods is empty; leave it out for any method");
        }
        for (place, method) in methods.iter().flatten().enumerate() {
            if methods.iter().flatten().take(place).any(|before| before == method) {
                section.wrong(format!("the method {method} is there twice; remove one"));
            }
        }
        let standing = self.limits(section, Scope::Route, defaults);
        let kind =
            ["app", "static", "redirect"].into_iter().find(|kind| section.item(kind).is_some());
        let grants = section.item("grants").and(section.section("grants"));
        let origins = RouteOrigins {
            route: section.origin(),
            target: kind.map_or_else(|| section.origin(), |kind| section.origin_of(kind)),
            files: grants.map_or_else(|| section.origin(), |grants| grants.origin_of("files")),
            memory: standing.memory,
        };
        let pattern = pattern.unwrap_or_default();
        RoutePlan {
            target: self.target(section, &pattern),
            headers: section
                .items("headers")
                .iter()
                .filter_map(|(name, item)| header(name, item))
                .collect(),
            cache_control: section.text("cache-control", header_value).unwrap_or(NEVER_FRESH),
            compress: flag(section, "compress").unwrap_or(true),
            etag: flag(section, "etag").unwrap_or(false),
            limits: standing.limits,
            origins,
            name: section.text("name", app_name),
            pattern,
            methods,
        }
    }

    fn target(&self, section: &Section<'_>, pattern: &str) -> Target {
        let of_others = [
            ("reuse", "app"),
            ("reuse-concurrency", "app"),
            ("name", "app"),
            ("grants", "app"),
            ("etag", "app"),
            ("index", "static"),
            ("listing", "static"),
            ("fallback", "static"),
            ("status", "redirect"),
        ];
        for (key, kind) in of_others {
            if let (Some(item), None) = (section.item(key), section.item(kind)) {
                let why = format!("it belongs to a route with {kind}");
                // What an app would be granted may be a secret.
                let _: Option<()> = match key {
                    "grants" => item.wrong_secret(why),
                    _ => item.wrong(why),
                };
            }
        }
        let kinds: Vec<&str> = ["app", "static", "redirect"]
            .into_iter()
            .filter(|kind| section.item(kind).is_some())
            .collect();
        match kinds.as_slice() {
            ["app"] => self.app(section),
            ["static"] => {
                if !pattern.is_empty() && !pattern.ends_with("/*") {
                    section.wrong("static files need a path that ends with /*");
                }
                self.files(section)
            }
            ["redirect"] => redirect(section, pattern),
            [] => {
                section.wrong("the route has nothing that answers; add app, static or redirect");
                Target::Files(StaticPlan::new(PathBuf::new()))
            }
            several => {
                section
                    .wrong(format!("{} are one too many; keep one of them", several.join(" and ")));
                Target::Files(StaticPlan::new(PathBuf::new()))
            }
        }
    }

    fn app(&self, section: &Section<'_>) -> Target {
        let requests = count(section, "reuse", "write a number: 1 for fresh instances, or more");
        let at_once =
            count(section, "reuse-concurrency", "write a number: 1 for one at a time, or more");
        let at_once = at_once.unwrap_or(1);
        let reuse = Reuse::new(requests, at_once).unwrap_or_else(|why| {
            let _: Option<()> = section.item("reuse-concurrency").and_then(|item| item.wrong(why));
            Reuse { requests, at_once }
        });
        Target::App {
            path: self.path(section, "app").unwrap_or_default(),
            reuse,
            grants: self.grants(section),
        }
    }

    fn files(&self, section: &Section<'_>) -> Target {
        let default = StaticPlan::new(self.path(section, "static").unwrap_or_default());
        Target::Files(StaticPlan {
            index: texts(section, "index", file_name).unwrap_or(default.index),
            listing: flag(section, "listing").unwrap_or(default.listing),
            fallback: section.text("fallback", |text| match text.starts_with('/') {
                true => Ok(text.to_owned()),
                false => Err("write a path below the directory: /index.html".to_owned()),
            }),
            path: default.path,
        })
    }
}

/// A number from 1 on; `mend` is what else to write.
fn count(section: &Section<'_>, key: &str, mend: &str) -> Option<u32> {
    section.item(key)?.number(|text| {
        let number = text.parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| format!("{mend}, up to {}", u32::MAX))
    })
}

fn redirect(section: &Section<'_>, pattern: &str) -> Target {
    let to = section.text("redirect", |text| {
        let sound =
            text.starts_with('/') || text.starts_with("http://") || text.starts_with("https://");
        if !sound || HeaderValue::from_str(text).is_err() || text.contains(char::is_whitespace) {
            return Err("write an address: /new, or https://acme.example/new".to_owned());
        }
        if text.ends_with("/*") && !pattern.is_empty() && !pattern.ends_with("/*") {
            return Err("the path has no final /* that could be taken over".to_owned());
        }
        if text == pattern {
            return Err("it leads to itself; write another address".to_owned());
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

fn flag(section: &Section<'_>, key: &str) -> Option<bool> {
    section.item(key)?.flag()
}

/// Headers of the connection and of the body are the server's.
const OF_THE_SERVER: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

fn header(name: &str, item: &Item<'_>) -> Option<(HeaderName, HeaderValue)> {
    match HeaderName::try_from(name) {
        Err(_) => item.wrong("the name is no header's: write letters, digits and -"),
        Ok(name) if OF_THE_SERVER.contains(&name) => {
            item.wrong("the server sets this header itself; leave it out")
        }
        Ok(name) => Some((name, item.text(header_value)?)),
    }
}

pub(super) fn header_value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::try_from(text).map_err(|_| "a header's value is text on one line".to_owned())
}

fn file_name(text: &str) -> Result<String, String> {
    let sound = !text.is_empty() && !text.starts_with('.') && !text.contains(['/', '\\']);
    if sound { Ok(text.to_owned()) } else { Err("write a file's name: index.html".to_owned()) }
}

fn method(text: &str) -> Result<Method, String> {
    let sound =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    let method = Method::from_bytes(text.as_bytes()).ok().filter(|_| sound);
    method.ok_or_else(|| "a method is written like GET".to_owned())
}
