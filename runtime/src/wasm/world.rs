//! What a component answers requests with, by its exports.

use wasmparser::{ComponentExternalKind, Parser, Payload};

use super::cause;
use crate::capability::log::excerpt;
use crate::observe::shown;

/// The name of the export of `myweb:handler`.
const APPLICATION: &str = "application";
/// The interfaces of `guests/python/wit/python.wit` and of
/// `guests/javascript/wit/javascript.wit`.
const WSGI: &str = "myweb:python/wsgi@0.1.0";
const JAVASCRIPT: &str = "myweb:javascript/app@0.1.0";
/// The exports of `wasi:http`, with any patch of their versions.
const INCOMING_HANDLER: &str = "wasi:http/incoming-handler@0.2.";
const HANDLER: &str = "wasi:http/handler@0.3.";

/// How a component answers requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum World {
    /// `application` of `myweb:handler@0.1`: a whole request, a whole answer.
    Application,
    /// `wsgi` of `myweb:python@0.1`: the same for an app of WSGI.
    Wsgi,
    /// `app` of `myweb:javascript@0.1`: the same for an app in JavaScript.
    JavaScript,
    /// `wasi:http/proxy@0.2`: both are streams.
    Proxy,
    /// `wasi:http/service@0.3`: streams and futures of the component model.
    Service,
}

impl World {
    /// The world of a component, and the name of the export that answers.
    ///
    /// # Errors
    /// It exports nothing that answers requests: a sentence says what it does
    /// export, and the mend.
    pub(super) fn of(component: &[u8]) -> Result<(World, String), String> {
        let names = exports(component).map_err(|error| not_valid(&cause::of_parser(&error)))?;
        let world = |name: &String| {
            let world = match name.as_str() {
                APPLICATION => World::Application,
                WSGI => World::Wsgi,
                JAVASCRIPT => World::JavaScript,
                name if name.starts_with(INCOMING_HANDLER) => World::Proxy,
                name if name.starts_with(HANDLER) => World::Service,
                _ => return None,
            };
            Some((world, name.clone()))
        };
        names.iter().find_map(world).ok_or_else(|| {
            let names = told(&names);
            format!(
                "exports {names}, but a handler exports `{APPLICATION}` of myweb:handler@0.1.0, \
                 `{INCOMING_HANDLER}x` or `{HANDLER}x`; build it with the myweb SDK, or against \
                 wit/handler.wit"
            )
        })
    }
}

/// The names of exports, as far as one line of the log goes.
fn told(names: &[String]) -> String {
    let first = names.iter().take(MOST_TOLD).map(|name| format!("`{}`", excerpt(name)));
    let first: Vec<String> = first.collect();
    match names.len().saturating_sub(MOST_TOLD) {
        0 if names.is_empty() => "nothing".to_owned(),
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Exports whose names the log shows.
const MOST_TOLD: usize = 10;

/// What is said of bytes that are no component.
pub(super) fn not_valid(why: &str) -> String {
    let mend = if why.contains("memory") && why.contains("exceeds the limit") {
        "raise the memory limit, or let it start with less"
    } else if ["enabled", "disabled", "feature"].iter().any(|word| why.contains(word)) {
        "build it without that feature"
    } else if why.contains("exceeds") {
        "build it with less of that"
    } else {
        "build it again"
    };
    let why = shown(&why.replace('\n', ", "));
    format!("not a valid component: {why}; {mend}")
}

/// The names of a component's functions and instances, not of what is in it.
fn exports(component: &[u8]) -> wasmparser::Result<Vec<String>> {
    let mut depth = 0_usize;
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let export = export?;
                    let answers = [ComponentExternalKind::Func, ComponentExternalKind::Instance];
                    if answers.contains(&export.kind) {
                        names.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(exports: &str) -> Result<(World, String), String> {
        let text = format!("(component (component $c) (instance $i (instantiate $c)) {exports})");
        World::of(&wat::parse_str(text).unwrap())
    }

    #[test]
    fn worlds_are_told_by_what_is_exported() {
        for (name, expected) in [
            ("myweb:python/wsgi@0.1.0", World::Wsgi),
            ("myweb:javascript/app@0.1.0", World::JavaScript),
            ("wasi:http/incoming-handler@0.2.0", World::Proxy),
            ("wasi:http/incoming-handler@0.2.12", World::Proxy),
            ("wasi:http/handler@0.3.0", World::Service),
            ("wasi:http/handler@0.3.2", World::Service),
        ] {
            let export = format!("(export \"{name}\" (instance $i))");
            assert_eq!(world(&export), Ok((expected, name.to_owned())));
        }
    }

    #[test]
    fn what_is_exported_is_told() {
        let why = world("").unwrap_err();
        assert!(why.starts_with("exports nothing, "), "{why}");
        let other = "(export \"wasi:cli/run@0.2.0\" (instance $i))";
        let old = "(export \"wasi:http/incoming-handler@0.1.0\" (instance $i))";
        let long = format!("(export \"{}\" (instance $i))", "x".repeat(100_000));
        assert!(world(&long).unwrap_err().len() < 1_000);
        let many: String = (0..1_000).map(|n| format!("(export \"n{n}\" (instance $i))")).collect();
        let why = world(&many).unwrap_err();
        assert!(why.contains("`n9` and 990 more, but") && !why.contains("n10"), "{why}");
        let why = world(&format!("{other} {old}")).unwrap_err();
        let said = "exports `wasi:cli/run@0.2.0`, `wasi:http/incoming-handler@0.1.0`, but";
        assert!(why.starts_with(said), "{why}");
    }

    #[test]
    fn names_of_exports_are_told_in_one_short_line() {
        let names: Vec<String> =
            (0..1_000).map(|n| format!("{n}\n{}", "x".repeat(9_999))).collect();
        let said = told(&names);
        assert!(said.starts_with("`0\\nxxx") && said.ends_with(" and 990 more"), "{said:.80}");
        assert!(said.len() < 3_000, "{} bytes", said.len());
    }
}
