//! A tenant's own pages for errors, read whole.

use std::path::Path;

use super::{Fault, Loader};
use crate::config::plan::{ErrorPagePlan, TenantPlan};
use crate::error::explain;
use crate::files;
use crate::respond::{ErrorPage, ErrorPages};

impl Loader<'_> {
    pub(super) fn error_pages(&mut self, plan: &TenantPlan) -> ErrorPages {
        let mut pages = ErrorPages::default();
        let name = &plan.name;
        for plan in &plan.error_pages {
            match error_page(&plan.path) {
                Ok(page) => {
                    pages.0.insert(plan.status, page);
                }
                Err(why) => {
                    let page = self.page_before(name, plan, &why);
                    pages.0.extend(page.map(|page| (plan.status, page)));
                }
            }
        }
        pages
    }

    /// The page that a tenant had for a status. Without one, the server's own page is
    /// served.
    fn page_before(&mut self, tenant: &str, plan: &ErrorPagePlan, why: &str) -> Option<ErrorPage> {
        let problem = plan.origin.problem(format!("{}: {why}", plan.path.display()));
        let before = self.site_before(tenant);
        let page = before.and_then(|site| site.error_pages.0.get(&plan.status)).cloned();
        if page.is_some() {
            self.keep(&problem);
        } else {
            let code = plan.status.as_u16();
            let effect = format!("tenant {tenant} has the server's own page for {code}");
            self.faults.push(Fault::new(effect, problem));
        }
        page
    }
}

/// The largest page for an error, in bytes: all of them are kept in memory.
const LARGEST_PAGE: u64 = 1 << 20;

fn error_page(path: &Path) -> Result<ErrorPage, String> {
    let metadata = std::fs::metadata(path).map_err(|error| explain(&error))?;
    if !metadata.is_file() || metadata.len() > LARGEST_PAGE {
        return Err("an error page is a file of at most 1MiB".to_owned());
    }
    let bytes = std::fs::read(path).map_err(|error| explain(&error))?;
    Ok((files::content_type(path), bytes.into()))
}
