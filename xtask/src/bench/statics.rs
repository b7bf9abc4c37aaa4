//! `cargo xtask bench static`: the same files, from nginx and from here.

use anyhow::{Context, Result};

use super::peers::{Over, Site};
use super::{Group, ROUNDS, report};
use crate::command::output;

/// A file, and what of it is asked for.
struct Case {
    name: &'static str,
    path: &'static str,
    kind: Kind,
}

enum Kind {
    Whole,
    Range,
    /// What the client has already.
    Unchanged,
}

const CASES: [Case; 6] = [
    Case { name: "1 KiB", path: "/1k.jpg", kind: Kind::Whole },
    Case { name: "1 KiB, a range", path: "/1k.jpg", kind: Kind::Range },
    Case { name: "1 KiB, 304", path: "/1k.jpg", kind: Kind::Unchanged },
    Case { name: "100 KiB", path: "/100k.jpg", kind: Kind::Whole },
    Case { name: "100 KiB, a range", path: "/100k.jpg", kind: Kind::Range },
    Case { name: "10 MiB", path: "/10m.jpg", kind: Kind::Whole },
];

/// Measures, prints, and writes `target/bench/static.json`.
pub(crate) fn run() -> Result<()> {
    let site = Site::shipped()?;
    let groups: Result<Vec<Group>> = CASES.iter().map(|case| case.measure(&site)).collect();
    report::show(&groups?, "static", ROUNDS)
}

impl Case {
    fn measure(&self, site: &Site) -> Result<Group> {
        let nginx = site.nginx(&format!("nginx, {}", self.name), self.path, Over::Clear)?;
        let ours = format!("myweb, {}", self.name);
        let ours = site.ours(&ours, self.path, &["--static", "html"]);
        Group::measure(&[nginx, ours], &self.headers(site)?)
    }

    fn headers(&self, site: &Site) -> Result<Vec<String>> {
        Ok(match self.kind {
            Kind::Whole => vec![],
            Kind::Range => vec!["Range: bytes=100-299".to_owned()],
            // Both know the file by this, to the second.
            Kind::Unchanged => vec![format!("If-Modified-Since: {}", modified(site, self.path)?)],
        })
    }
}

/// The path and the headers of each case.
pub(crate) fn requests(site: &Site) -> Result<Vec<(&'static str, Vec<String>)>> {
    CASES.iter().map(|case| Ok((case.path, case.headers(site)?))).collect()
}

/// When a file changed last, as a header has it.
fn modified(site: &Site, path: &str) -> Result<String> {
    let file = site.folder.join("html").join(path.trim_start_matches('/'));
    let file = file.display().to_string();
    let date = output("date", &["-u", "-r", &file, "+%a, %d %b %Y %H:%M:%S GMT"]);
    Ok(date.context("date")?.trim().to_owned())
}
