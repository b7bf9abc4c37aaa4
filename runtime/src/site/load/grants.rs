//! What apps are granted, opened and read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use super::{Fault, Loader};
use crate::capability::Grants;
use crate::capability::config::Values;
use crate::capability::fetch::Reach;
use crate::capability::files::GrantedFiles;
use crate::capability::keyvalue::{Granted, Place};
use crate::config::Problem;
use crate::config::plan::{
    GrantsPlan, RouteOrigins, StaticPlan, StorePlan, Target, TenantPlan, Value,
};
use crate::config::problem::Origin;
use crate::error::explain;
use crate::limits::Limits;
use crate::state::data_directory;
use crate::tenant::Tenant;

/// The largest file that a value is read from, in bytes.
const LARGEST: u64 = 64 << 10;

/// Where a tenant's key-value data is, and all of its buckets.
pub(super) struct OfTenant {
    pub(super) place: Place,
    granted: Result<Granted, Problem>,
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
            Ok(OfTenant { place, granted: Ok(granted) })
        });
        opened.unwrap_or_else(|why| {
            let why = format!("keyvalue: {why}");
            let problem = match &plan.keyvalue {
                // The same for all tenants.
                StorePlan::Default(_) => Problem::of_all(why),
                StorePlan::Directory(_) | StorePlan::Redis(_) => plan.origin.problem(why),
            };
            match &plan.keyvalue {
                // The start fails: data may lie at another place.
                StorePlan::Default(_) => self.problems.push(problem.clone()),
                // The address stands in the configuration itself.
                StorePlan::Redis(Value::Text(_)) => self.problems.push(problem.clone()),
                StorePlan::Redis(_) | StorePlan::Directory(_) => {
                    let effect = format!("tenant {} has no key-value data", plan.name);
                    self.faults.push(Fault::new(effect, problem.clone()));
                }
            }
            OfTenant { place: Place::Redis(String::new()), granted: Err(problem) }
        })
    }

    /// What an app is granted.
    ///
    /// # Errors
    /// A file or a value of it cannot be read: all that is wrong.
    pub(super) fn grants(
        &mut self,
        plan: &GrantsPlan,
        keyvalue: &OfTenant,
        (tenant, limits): (&Arc<Tenant>, &Arc<Limits>),
        origins: &RouteOrigins,
    ) -> Result<Grants, Vec<Problem>> {
        let files = match &plan.files {
            Some(path) => {
                let root = self.root(&StaticPlan::new(path.clone()), &origins.files);
                root.map(GrantedFiles::of)
            }
            None => Ok(GrantedFiles::default()),
        };
        let config = values(&plan.config, "config", &origins.route);
        let env = values(&plan.env, "env", &origins.route);
        let keyvalue = match &keyvalue.granted {
            Ok(granted) => Ok(granted.only(plan.keyvalue.clone())),
            Err(_) if plan.keyvalue.is_empty() => Ok(Granted::default()),
            Err(problem) => Err(problem.clone()),
        };
        match (files, config, env, keyvalue) {
            (Ok(files), Ok(config), Ok(env), Ok(keyvalue)) => {
                let outbound = Arc::new(Reach {
                    client: self.shared.client.clone(),
                    granted: Arc::new(plan.outbound.clone()),
                    limits: limits.clone(),
                    tenant: tenant.clone(),
                });
                Ok(Grants { files, outbound, keyvalue, config, env })
            }
            (files, config, env, keyvalue) => {
                let single = files.err().into_iter().chain(keyvalue.err());
                let several = config.err().into_iter().chain(env.err());
                Err(single.chain(several.flatten()).collect())
            }
        }
    }
}

/// All values of a table.
///
/// # Errors
/// Some cannot be read: a problem for each of them.
fn values(
    plan: &BTreeMap<String, Value>,
    key: &str,
    origin: &Origin,
) -> Result<Values, Vec<Problem>> {
    let (mut values, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in plan {
        match resolve(value) {
            Ok(value) => values.push((name.clone(), value)),
            Err(why) => problems.push(origin.problem(format!("grants.{key}.{name}: {why}"))),
        }
    }
    if problems.is_empty() { Ok(values.into_iter().collect()) } else { Err(problems) }
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
