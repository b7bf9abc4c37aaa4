//! What apps are granted, opened and read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use super::Loader;
use crate::capability::Grants;
use crate::capability::config::Values;
use crate::capability::fetch::Reach;
use crate::capability::files::GrantedFiles;
use crate::capability::keyvalue::{Granted, Place};
use crate::config::plan::{
    GrantsPlan, RouteOrigins, StaticPlan, StorePlan, Target, TenantPlan, Value,
};
use crate::config::problem::{Origin, Problem};
use crate::error::explain;
use crate::limits::Limits;
use crate::state::data_directory;
use crate::tenant::Tenant;

/// The largest file that a value is read from, in bytes.
const LARGEST: u64 = 64 << 10;

/// Where a tenant's key-value data is, and all of its buckets.
pub(super) struct OfTenant {
    pub(super) place: Place,
    granted: Granted,
}

impl Loader<'_> {
    pub(super) fn keyvalue(&mut self, plan: &TenantPlan, tenant: &Arc<Tenant>) -> OfTenant {
        let targets = plan.routes.iter().map(|route| &route.target);
        let buckets = targets.filter_map(|target| match target {
            Target::App { grants, .. } => Some(&grants.keyvalue),
            Target::Files(_) | Target::Redirect { .. } => None,
        });
        let all: BTreeSet<String> = buckets.flatten().cloned().collect();
        let place = match &plan.keyvalue {
            StorePlan::Directory(path) => Ok(Place::Directory(path.clone())),
            // Nothing is made, nor looked for, where nothing is granted.
            StorePlan::Default(written) if all.is_empty() => Ok(Place::Directory(written.clone())),
            StorePlan::Default(written) => data_directory(written).map(Place::Directory),
            StorePlan::Redis(url) => resolve(url).map(Place::Redis),
        };
        let opened = place.and_then(|place| {
            let granted = self.shared.stores.tenant(&place, tenant, all)?;
            Ok(OfTenant { place, granted })
        });
        opened.unwrap_or_else(|why| {
            let why = format!("keyvalue: {why}");
            self.problems.push(match &plan.keyvalue {
                // The same for all tenants.
                StorePlan::Default(_) => Problem::of_all(why),
                StorePlan::Directory(_) | StorePlan::Redis(_) => plan.origin.problem(why),
            });
            OfTenant { place: Place::Redis(String::new()), granted: Granted::default() }
        })
    }

    /// What an app is granted; nothing if it cannot be read, which is told.
    pub(super) fn grants(
        &mut self,
        plan: &GrantsPlan,
        keyvalue: &OfTenant,
        (tenant, limits): (&Arc<Tenant>, &Arc<Limits>),
        origins: &RouteOrigins,
    ) -> Option<Grants> {
        let files = match &plan.files {
            Some(path) => {
                let plan = StaticPlan::new(path.clone());
                GrantedFiles::of(self.root(&plan, &origins.files)?)
            }
            None => GrantedFiles::default(),
        };
        let config = self.values(&plan.config, "config", &origins.route);
        let env = self.values(&plan.env, "env", &origins.route);
        let keyvalue = keyvalue.granted.only(plan.keyvalue.clone());
        let outbound = Arc::new(Reach {
            client: self.shared.client.clone(),
            granted: Arc::new(plan.outbound.clone()),
            limits: limits.clone(),
            tenant: tenant.clone(),
        });
        Some(Grants { files, outbound, keyvalue, config: config?, env: env? })
    }

    fn values(
        &mut self,
        plan: &BTreeMap<String, Value>,
        key: &str,
        origin: &Origin,
    ) -> Option<Values> {
        let problems = &mut self.problems;
        let mut read = |(name, value): (&String, &Value)| match resolve(value) {
            Ok(value) => Some((name.clone(), value)),
            Err(why) => {
                problems.push(origin.problem(format!("grants.{key}.{name}: {why}")));
                None
            }
        };
        // All are read, so that all that is wrong is told.
        let values: Vec<Option<(String, String)>> = plan.iter().map(&mut read).collect();
        values.into_iter().collect()
    }
}

/// Reads a value. SECURITY: no message has any of it.
fn resolve(value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Variable(name) => std::env::var(name)
            .map_err(|_| format!("the server's environment has no text {name}; set it")),
        Value::File(path) => {
            let wrong = |why| format!("{}: {why}", path.display());
            let mut text = String::new();
            let file = std::fs::File::open(path).map_err(|error| wrong(explain(&error)))?;
            let read = file.take(LARGEST + 1).read_to_string(&mut text);
            read.map_err(|error| wrong(explain(&error)))?;
            if text.len() as u64 > LARGEST {
                return Err(wrong(
                    "larger than 64KiB; name a file with the value alone".to_owned(),
                ));
            }
            let value = text.strip_suffix('\n').unwrap_or(&text);
            Ok(value.strip_suffix('\r').unwrap_or(value).to_owned())
        }
    }
}
