//! Tenants and routes of `myweb.toml` that could be taken for each other. Pure.

use std::collections::HashMap;

use crate::config::pattern;
use crate::config::plan::{RoutePlan, TenantPlan};
use crate::config::problem::Origin;
use crate::config::reader::Section;
use crate::hosts::HostPattern;

/// Notes tenants that could be taken for each other, or take all instances.
pub(super) fn check_tenants(file: &Section<'_>, tenants: &[TenantPlan], instances: usize) {
    let mut names: HashMap<&str, Origin> = HashMap::new();
    let mut hosts: HashMap<HostPattern, (usize, Origin)> = HashMap::new();
    for (index, (tenant, section)) in tenants.iter().zip(file.sections("tenant")).enumerate() {
        let origin = section.origin_of("name");
        if let (Some(first), false) = (names.insert(&tenant.name, origin), tenant.name.is_empty()) {
            let (name, at) = (&tenant.name, first.at());
            section.wrong(format!("the tenant at {at} is called {name:?} too; rename one"));
        }
        for item in section.item("hosts").map(|item| item.list()).unwrap_or_default() {
            let Some(Ok(host)) = item.as_text().map(HostPattern::parse) else { continue };
            let said = host.to_string();
            let Some((other, first)) = hosts.insert(host, (index, item.origin())) else { continue };
            let at = first.at();
            let _: Option<()> = item.wrong(if other == index {
                format!("{said} is there twice, first at {at}; remove one")
            } else {
                format!("{said} is claimed by the tenant at {at} too; a host has one tenant")
            });
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
pub(super) fn check_routes(tenant: &Section<'_>, routes: &[RoutePlan]) {
    let mut seen: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, (route, section)) in routes.iter().zip(tenant.sections("route")).enumerate() {
        // What is wrong with a path has been told.
        if route.pattern.is_empty() {
            continue;
        }
        let same = seen.entry(pattern::shape(&route.pattern)).or_default();
        let overlapping = same.iter().filter_map(|index| routes.get(*index));
        if let Some(other) = overlapping.into_iter().find(|other| overlap(other, route)) {
            section.wrong(format!(
                "{} is claimed by the route at {} too, {}; change the path or the methods of one",
                route.pattern,
                other.origins.route.at(),
                other.pattern
            ));
        }
        same.push(index);
    }
    let mut names: HashMap<&str, &Origin> = HashMap::new();
    for (route, section) in routes.iter().zip(tenant.sections("route")) {
        let Some(name) = &route.name else { continue };
        if let Some(other) = names.insert(name, &route.origins.route) {
            let at = other.at();
            section.wrong(format!("the route at {at} is called {name:?} too; rename one"));
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
