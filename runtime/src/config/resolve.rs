//! From what is written to what is meant: which path answers with what. All
//! that is wrong is reported at once. Pure: the disk is looked at elsewhere.

use std::collections::HashMap;
use std::path::PathBuf;

use super::{Config, Mount};
use crate::error::StartError;

/// Which path answers with what; valid by construction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Prefixes, each once: empty for `/`, else without a slash at the end.
    pub(crate) mounts: Vec<(String, Source)>,
    /// Static files that are looked up before any mount.
    pub(crate) front: Option<PathBuf>,
}

/// What answers below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A component.
    App(PathBuf),
    /// A directory of static files.
    Files(PathBuf),
}

/// Resolves a configuration. `handlers` are the `NAME`s of the `NAME.wasm` in
/// the configured directory; `html` is `./html` if it is there.
pub(crate) fn resolve(
    config: &Config,
    handlers: &[String],
    html: Option<PathBuf>,
) -> Result<Plan, StartError> {
    let mut mounts = Vec::new();
    let mut problems = Vec::new();
    let mut add = |flag, mount: &Mount, source: fn(PathBuf) -> Source| match normal(&mount.prefix) {
        Ok(prefix) => mounts.push((prefix, source(mount.path.clone()))),
        Err(why) => {
            problems.push(format!("{flag} {}={}: {why}", mount.prefix, mount.path.display()));
        }
    };
    config.apps.iter().for_each(|mount| add("--app", mount, Source::App));
    config.statics.iter().for_each(|mount| add("--static", mount, Source::Files));
    for (name, directory) in handlers.iter().zip(std::iter::repeat(&config.handlers)) {
        let Some(directory) = directory else { break };
        let path = directory.join(format!("{name}.wasm"));
        add("--handlers", &Mount::new(format!("/{name}"), path), Source::App);
    }
    let mut front = None;
    if config.statics.is_empty() && html.is_some() {
        mounts.extend(html.clone().map(|html| ("/static".to_owned(), Source::Files(html))));
        front = html;
    } else if let Some(at) = mounts.iter().position(is_static_root) {
        // Static files at `/` stand in front of the apps wherever they come from.
        let root = mounts.iter().any(|(prefix, source)| prefix.is_empty() && is_app(source));
        if let (true, Source::Files(path)) = (root, mounts[at].1.clone()) {
            mounts.remove(at);
            front = Some(path);
        }
    }
    problems.extend(duplicates(&mounts));
    if problems.is_empty() { Ok(Plan { mounts, front }) } else { Err(StartError::Config(problems)) }
}

fn is_static_root((prefix, source): &(String, Source)) -> bool {
    prefix.is_empty() && !is_app(source)
}

fn is_app(source: &Source) -> bool {
    matches!(source, Source::App(_))
}

/// A prefix without a slash at the end.
fn normal(prefix: &str) -> Result<String, String> {
    if !prefix.starts_with('/') {
        return Err(format!("the prefix {prefix:?} must start with a slash"));
    }
    let trimmed = prefix.trim_end_matches('/');
    let segments = trimmed.split('/').skip(1);
    if segments.clone().any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(format!("the prefix {prefix:?} has an empty, `.` or `..` segment"));
    }
    if segments.clone().any(|segment| segment.starts_with(':') || segment.contains('*')) {
        return Err(format!(
            "the prefix {prefix:?} has a parameter or a wildcard: a prefix is literal"
        ));
    }
    Ok(trimmed.to_owned())
}

/// A sentence for each prefix that two mounts claim.
fn duplicates(mounts: &[(String, Source)]) -> Vec<String> {
    let mut first: HashMap<&str, &Source> = HashMap::new();
    let mut problems = Vec::new();
    for (prefix, source) in mounts {
        if let Some(other) = first.insert(prefix, source) {
            let (other, this) = (path(other).display(), path(source).display());
            problems.push(format!(
                "{prefix}/ is claimed twice, by {other} and by {this}: give one of them another prefix"
            ));
        }
    }
    problems
}

fn path(source: &Source) -> &PathBuf {
    let (Source::App(path) | Source::Files(path)) = source;
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(apps: &[(&str, &str)], statics: &[(&str, &str)]) -> Config {
        let mounts = |list: &[(&str, &str)]| {
            list.iter().map(|(prefix, path)| Mount::new(*prefix, *path)).collect()
        };
        Config { apps: mounts(apps), statics: mounts(statics), ..Config::default() }
    }

    #[test]
    fn html_stands_in_front_and_at_static() {
        let plan = resolve(&config(&[("/", "a.wasm")], &[]), &[], Some("html".into())).unwrap();
        assert_eq!(plan.front, Some("html".into()));
        assert_eq!(
            plan.mounts,
            [
                (String::new(), Source::App("a.wasm".into())),
                ("/static".to_owned(), Source::Files("html".into())),
            ]
        );
    }

    #[test]
    fn an_explicit_static_directory_replaces_html() {
        let config = config(&[("/", "a.wasm")], &[("/assets/", "public")]);
        let plan = resolve(&config, &[], Some("html".into())).unwrap();
        assert_eq!(plan.front, None);
        assert_eq!(plan.mounts[1], ("/assets".to_owned(), Source::Files("public".into())));
    }

    #[test]
    fn explicit_static_files_at_the_root_stand_in_front_of_an_app_there() {
        let config = config(&[("/", "a.wasm")], &[("/", "public")]);
        let plan = resolve(&config, &[], None).unwrap();
        assert_eq!(plan.front, Some("public".into()));
        assert_eq!(plan.mounts, [(String::new(), Source::App("a.wasm".into()))]);
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let apps = [("blog", "a.wasm"), ("/x/../y", "b.wasm"), ("/c", "c.wasm"), ("/c/", "d.wasm")];
        let Err(StartError::Config(problems)) = resolve(&config(&apps, &[]), &[], None) else {
            panic!("there are problems");
        };
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[2].contains("c.wasm and by d.wasm"), "{problems:?}");
    }

    #[test]
    fn handlers_answer_at_their_names() {
        let config = Config { handlers: Some("guests".into()), ..Config::default() };
        let plan = resolve(&config, &["hello".to_owned()], None).unwrap();
        assert_eq!(plan.mounts, [("/hello".to_owned(), Source::App("guests/hello.wasm".into()))]);
    }
}
