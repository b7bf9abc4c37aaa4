//! A tenant's own pages for errors, read whole.

use std::path::Path;

use super::Loader;
use crate::config::plan::TenantPlan;
use crate::error::explain;
use crate::files;
use crate::respond::{ErrorPage, ErrorPages};

impl Loader<'_> {
    pub(super) fn error_pages(&mut self, plan: &TenantPlan) -> ErrorPages {
        let mut pages = ErrorPages::default();
        for plan in &plan.error_pages {
            match error_page(&plan.path) {
                Ok(page) => {
                    pages.0.insert(plan.status, page);
                }
                Err(why) => {
                    let path = plan.path.display();
                    self.problems.push(plan.origin.problem(format!("{path}: {why}")));
                }
            }
        }
        pages
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
