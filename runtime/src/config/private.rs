//! The files that a configuration names and that are no part of any app: keys, secrets, grants,
//! logs, directories of state, and the configuration itself.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::file::{self, Overrides};
use super::flags::{Config, TlsSource};
use super::plan::{Plan, StorePlan, Target, Value};
use crate::build::{Private, Recipe};
use crate::state;

/// The most configurations beside an app that are read, and the largest.
const MOST: usize = 100;
const LARGEST: u64 = 4 << 20;

/// What the configurations in an app's folder, in this folder, and of the variable `MYWEB_CONFIG`
/// name, with the directories of state of this user.
pub fn private_files(folder: &Path) -> Private {
    let mut private = Private::default();
    private.states.extend(state::default_path());
    private.states.extend(state::default_root());
    let named = std::env::var_os("MYWEB_CONFIG").map(PathBuf::from);
    let beside = [folder, Path::new(".")].into_iter().flat_map(configurations);
    for path in named.into_iter().chain(beside) {
        let Some(text) = text(&path) else { continue };
        let (plan, _) = file::read(&path, &text, &Overrides::default());
        // A file without tenants is of another program.
        if plan.tenants.is_empty() {
            continue;
        }
        private.files.push(path);
        add(&plan, &mut private);
    }
    private
}

/// The same with what the flags name.
pub(super) fn of_flags(config: &Config, recipe: &Recipe) -> Private {
    let mut private = private_files(&recipe.folder);
    private.states.extend(config.state.clone());
    if let Some(TlsSource::Files(certificate, key)) = &config.tls {
        private.files.extend([certificate.clone(), key.clone()]);
    }
    private.files.extend(config.outbound_ca.clone());
    private.files.extend(config.files.clone());
    private
}

/// The files of a folder that may be configurations.
fn configurations(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "toml")).take(MOST).collect()
}

/// The text of a regular file, if that is one.
fn text(path: &Path) -> Option<String> {
    let wait = i32::try_from(OFlags::NONBLOCK.bits()).ok()?;
    let file = OpenOptions::new().read(true).custom_flags(wait).open(path).ok()?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return None;
    }
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

fn add(plan: &Plan, private: &mut Private) {
    private.states.extend(plan.state.clone());
    private.files.extend(plan.outbound_ca.clone());
    private.files.extend(plan.access_log.as_ref().and_then(|log| log.path.clone()));
    for tenant in &plan.tenants {
        private.files.extend(tenant.log.clone());
        match &tenant.keyvalue {
            StorePlan::Directory(path) => private.states.push(path.clone()),
            StorePlan::Redis(url) => private.files.extend(file_of(url)),
            StorePlan::Default(_) => {}
        }
        if let Some((certificate, key)) = tenant.tls.as_ref().and_then(|tls| tls.files.clone()) {
            private.files.extend([certificate, key]);
        }
        for route in &tenant.routes {
            let Target::App { grants, .. } = &route.target else { continue };
            private.files.extend(grants.files.clone());
            let values = grants.config.values().chain(grants.env.values());
            private.files.extend(values.filter_map(file_of));
        }
    }
}

/// The file that a value is in.
fn file_of(value: &Value) -> Option<PathBuf> {
    match value {
        Value::File(path) => Some(path.clone()),
        Value::Text(_) | Value::Variable(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_that_a_configuration_names_are_the_servers() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = r#"
state = "data"
outbound-ca = "ca.crt"
[access-log]
path = "access.txt"
[[tenant]]
name = "a"
hosts = ["*"]
log = "a.txt"
keyvalue = { file = "redis-url" }
tls = { certificate = "chain.crt", key = "private" }
[[tenant.route]]
path = "/*"
app = "app.wasm"
grants = { files = "granted", env = { A = { file = "value" }, B = "text" }, config = { C = { file = "other" } } }
"#;
        fs::write(folder.path().join("any.toml"), text).expect("a file");
        fs::write(folder.path().join("pyproject.toml"), "[project]\n").expect("a file");
        let spaced = "[[ tenant ]]\nname = \"b\"\nhosts = [\"b\"]\nlog = \"b.txt\"\n";
        fs::write(folder.path().join("spaced.toml"), spaced).expect("a file");
        let private = private_files(folder.path());
        let has = |names: &[&str], all: &[PathBuf]| {
            names.iter().all(|name| all.contains(&folder.path().join(name)))
        };
        let files = [
            "any.toml",
            "ca.crt",
            "access.txt",
            "a.txt",
            "spaced.toml",
            "b.txt",
            "redis-url",
            "chain.crt",
            "private",
            "granted",
            "value",
            "other",
        ];
        assert!(has(&files, &private.files), "{private:?}");
        assert!(has(&["data"], &private.states), "{private:?}");
        assert!(!private.files.iter().any(|path| path.ends_with("pyproject.toml")));
    }
}
