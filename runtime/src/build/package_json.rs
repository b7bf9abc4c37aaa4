//! `package.json`: the packages of the registry that it names, written again so that npm never
//! reads text that was not understood here. Pure.

use serde_json::{Map, Value, json};

use super::text::{Problem, decode};

/// The largest package.json, in bytes.
const LARGEST: usize = 1 << 20;
/// The longest name of a package and the longest range of versions, in bytes.
const LONGEST_NAME: usize = 214;
const LONGEST_RANGE: usize = 512;
/// The deepest `overrides`.
const DEEPEST: usize = 8;

/// Tables that name packages and ranges of versions.
const DEPENDENCIES: [&str; 4] =
    ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

const ELSEWHERE: &str =
    "is no package of the registry; write a name and a version, as in \"hono\": \"^4\"";

/// The package.json that npm gets, in normal form.
///
/// # Errors
/// The file is no JSON, or has a value that runs code or reaches elsewhere.
pub fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    let text = decode(bytes, LARGEST)?;
    let file = object(text)?;
    let wrong =
        |key: &str, value: &str, why: &str| Problem::new(line_of(text, key, value), value, why);
    for key in ["workspaces", "bundleDependencies", "bundledDependencies"] {
        if file.get(key).is_some_and(|value| !is_nothing(value)) {
            return Err(wrong(
                key,
                key,
                "names folders of packages, which are not installed; remove it",
            ));
        }
    }
    let mut written = Map::new();
    written.insert("private".to_owned(), Value::Bool(true));
    for key in DEPENDENCIES {
        let Some(value) = file.get(key).filter(|value| !value.is_null()) else { continue };
        let Some(table) = value.as_object() else {
            return Err(wrong(
                key,
                key,
                "is no object of names and versions; write { \"hono\": \"^4\" }",
            ));
        };
        for (name, range) in table {
            dependency(name, range).map_err(|(value, why)| wrong(name, &value, &why))?;
        }
        written.insert(key.to_owned(), value.clone());
    }
    if let Some(overrides) = file.get("overrides").filter(|value| !value.is_null()) {
        check_overrides(overrides, 0).map_err(|(name, value, why)| wrong(&name, &value, &why))?;
        written.insert("overrides".to_owned(), overrides.clone());
    }
    if let Some(meta) = file.get("peerDependenciesMeta").and_then(Value::as_object) {
        written.insert("peerDependenciesMeta".to_owned(), optional_peers(meta));
    }
    Ok(Value::Object(written))
}

/// Whether a package.json in normal form names any package.
pub fn names_packages(written: &Value) -> bool {
    DEPENDENCIES.iter().any(|key| written[key].as_object().is_some_and(|table| !table.is_empty()))
}

/// A text of JSON that is an object.
pub(super) fn object(text: &str) -> Result<Map<String, Value>, Problem> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Problem::new(error.line(), "", format!("no JSON: {error}")))?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Problem::of_file("no object of JSON; write { \"dependencies\": {} }")),
    }
}

/// The line of a key with a value, or else of the value, or of the key; 0 if none is found.
pub(super) fn line_of(text: &str, key: &str, value: &str) -> usize {
    let (key, value) = (json!(key).to_string(), json!(value).to_string());
    let with = |parts: &[&str]| {
        let mut lines = text.lines();
        lines.position(|line| parts.iter().all(|part| line.contains(part))).map(|at| at + 1)
    };
    let found = with(&[&key, &value]).or_else(|| with(&[&value])).or_else(|| with(&[&key]));
    found.unwrap_or_default()
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Checks a package and its range of versions.
///
/// # Errors
/// The refused value, and the reason.
pub(super) fn dependency(name: &str, range: &Value) -> Result<(), (String, String)> {
    if !is_name(name) {
        return Err((name.to_owned(), "is no name of a package; correct it".to_owned()));
    }
    let told = range.as_str().map_or_else(|| range.to_string(), str::to_owned);
    match range.as_str().is_some_and(is_of_registry) {
        true => Ok(()),
        false => Err((told, ELSEWHERE.to_owned())),
    }
}

/// Whether a text is a range of versions, a tag, or an alias `npm:NAME@RANGE` of the registry.
fn is_of_registry(text: &str) -> bool {
    let Some(alias) = text.strip_prefix("npm:") else { return is_range(text) };
    // The name may begin with the @ of its scope.
    let at = alias.get(1..).and_then(|rest| rest.find('@')).map(|at| at + 1);
    match at {
        Some(at) => is_name(&alias[..at]) && is_range(&alias[at + 1..]),
        None => is_name(alias),
    }
}

/// Whether a text is a range of versions or a tag: no path, no address, no `user/repository`.
fn is_range(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || ".*+^~<>=|-_ ".contains(c);
    let is_archive = [".tgz", ".tar.gz", ".tar"]
        .iter()
        .any(|end| text.trim_end().to_ascii_lowercase().ends_with(end));
    text.len() <= LONGEST_RANGE
        && text.chars().all(known)
        && !text.trim_start().starts_with('.')
        && !is_archive
}

/// Whether a text is the name of a package, with or without a scope.
pub(super) fn is_name(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
    let is_part = |part: &str| {
        !part.is_empty() && !part.starts_with(['.', '_', '-', '~']) && part.chars().all(known)
    };
    let is_sound = match text.strip_prefix('@') {
        Some(scoped) => {
            scoped.split_once('/').is_some_and(|(scope, name)| is_part(scope) && is_part(name))
        }
        None => is_part(text),
    };
    is_sound && text.len() <= LONGEST_NAME && text != "node_modules" && text != "favicon.ico"
}

/// Ranges below names, some levels deep; `$NAME` is the range of a dependency.
fn check_overrides(value: &Value, depth: usize) -> Result<(), (String, String, String)> {
    let refused =
        |name: &str, value: String, why: &str| Err((name.to_owned(), value, why.to_owned()));
    let Some(table) = value.as_object().filter(|_| depth < DEEPEST) else {
        return refused(
            "overrides",
            "overrides".to_owned(),
            "is no object of names and versions; correct it",
        );
    };
    for (key, value) in table {
        // A name may have a range behind it.
        let at = key.get(1..).and_then(|rest| rest.find('@')).map_or(key.len(), |at| at + 1);
        let (name, range) = (&key[..at], key.get(at + 1..).unwrap_or_default());
        if key != "." && !(is_name(name) && is_range(range)) {
            return refused(key, key.clone(), "is no name of a package; correct it");
        }
        match value {
            Value::Object(_) => check_overrides(value, depth + 1)?,
            Value::String(text)
                if text.strip_prefix('$').is_some_and(is_name) || is_of_registry(text) => {}
            other => {
                let told = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
                return refused(key, told, ELSEWHERE);
            }
        }
    }
    Ok(())
}

/// The peers that a package can do without.
pub(super) fn optional_peers(meta: &Map<String, Value>) -> Value {
    let optional = meta.iter().filter(|(name, value)| is_name(name) && value["optional"] == true);
    optional.map(|(name, _)| (name.clone(), json!({ "optional": true }))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<Value, String> {
        parse(text.as_bytes()).map_err(|problem| problem.told("package.json"))
    }

    #[test]
    fn ranges_tags_and_aliases_of_the_registry_are_accepted() {
        let ranges = [
            "",
            "*",
            "x",
            "1",
            "1.2",
            "1.2.3",
            "v1.2.3",
            "=1.2.3",
            "^4",
            "^4.13.19",
            "~1.2",
            "~1.2.3",
            ">=1",
            ">1.0.0",
            "<2",
            "<=2.0.0",
            ">=1 <2",
            ">= 1.0.0 < 2.0.0",
            "1.x",
            "1.2.x",
            "1.*",
            "1 || 2",
            "^1.0.0 || ^2.0.0",
            "1.0.0 - 2.0.0",
            "1.0.0-rc.1",
            "1.0.0-alpha.1+build.5",
            "^1.0.0-0",
            "latest",
            "next",
            "beta",
            "canary-2024",
            "0.0.0-nightly_1",
            "npm:hono",
            "npm:hono@4",
            "npm:hono@^4.1.0 || ^5",
            "npm:@scope/name",
            "npm:@scope/name@1.2.3",
            "npm:hono@latest",
            " ^4 ",
            "4.13.19 ",
            "npm:hono@",
        ];
        assert!(ranges.len() >= 40);
        for range in ranges {
            let table = json!({ "dependencies": { "hono": range } });
            let expected = json!({ "private": true, "dependencies": { "hono": range } });
            assert_eq!(written(&table.to_string()), Ok(expected), "{range:?}");
        }
    }

    #[test]
    fn paths_addresses_and_repositories_are_refused() {
        let ranges = [
            "file:.",
            "file:../x",
            "file:/etc",
            "file:x.tgz",
            "link:../x",
            "link:.",
            "portal:../x",
            "workspace:*",
            "workspace:^1",
            "https://a.example/x.tgz",
            "http://169.254.169.254/x",
            "git://a.example/x",
            "git+ssh://git@a.example/x.git",
            "git+https://a.example/x.git",
            "git+file:///srv/x",
            "git@github.com:user/repo.git",
            "user/repo",
            "user/repo#main",
            "github:user/repo",
            "gitlab:user/repo",
            "bitbucket:user/repo",
            "gist:0123456789",
            "./x",
            "../x",
            "/srv/x",
            "~/x",
            ".",
            "..",
            "x.tgz",
            "X.TGZ",
            "x.tar.gz",
            "x.tar",
            "C:\\x",
            "c:x",
            "catalog:",
            "patch:x@1#y",
            "npm:",
            "npm:../x@1",
            "npm:user/repo@1",
            "npm:hono@file:x",
            "npm:hono@npm:x",
            "npm:@scope",
            "1 && 2",
            "1;2",
            "$(x)",
            "`x`",
            "%2e%2e/x",
            "1\n2",
            "\u{e9}",
            "http:x",
            " file:x",
            "exec:./x.js",
        ];
        assert!(ranges.len() >= 40);
        for range in ranges {
            for key in DEPENDENCIES {
                let table = json!({ key: { "hono": range } });
                let why = written(&table.to_string()).expect_err(range);
                assert!(why.contains("is no package of the registry"), "{range:?}: {why}");
            }
            let table = json!({ "overrides": { "a": { "hono": range } } });
            assert!(written(&table.to_string()).is_err(), "{range:?}");
        }
        for range in [json!(1), json!(null), json!({}), json!(["^4"]), json!(true)] {
            assert!(written(&json!({ "dependencies": { "a": range } }).to_string()).is_err());
        }
    }

    #[test]
    fn names_are_those_of_packages() {
        for name in ["hono", "@hono/node-server", "lodash.merge", "a", "JSONStream", "x_y", "a1-b"]
        {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "../x",
            "./x",
            "a/b",
            "@a",
            "@/b",
            "@a/",
            "@a/b/c",
            "_x",
            "-x",
            ".x",
            "a b",
            "a:b",
            "a@b",
            "a\\b",
            "node_modules",
            "favicon.ico",
            "\u{e9}",
            "a%2fb",
            "__proto__",
            "@a/../b",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn only_what_names_packages_is_written() {
        let text = r#"{ "name": "x", "version": "1", "type": "module", "scripts": { "install": "touch x" },
            "workspaces": [], "bundleDependencies": false, "devDependencies": { "b": "1" },
            "peerDependenciesMeta": { "c": { "optional": true, "x": 1 } }, "files": ["x"],
            "overrides": { "d": "$b", "e@^1": { ".": "2", "f": "npm:g@1" } } }"#;
        let expected = json!({ "private": true, "devDependencies": { "b": "1" },
            "peerDependenciesMeta": { "c": { "optional": true } },
            "overrides": { "d": "$b", "e@^1": { ".": "2", "f": "npm:g@1" } } });
        assert_eq!(written(text), Ok(expected));
        assert!(!names_packages(&written("{}").expect("it is sound")));
        assert!(written("\u{feff}{}").is_ok());
    }

    #[test]
    fn a_refusal_names_the_line_the_value_and_the_mend() {
        let text = "{\n  \"dependencies\": {\n    \"a\": \"1\",\n    \"b\": \"file:../b\"\n  }\n}";
        let why = written(text).expect_err("it is refused");
        assert!(
            why.starts_with("package.json:4: \"file:../b\" is no package of the registry; write"),
            "{why}"
        );
        for (text, said) in [
            ("{ \"workspaces\": [\"packages/*\"] }", "\"workspaces\" names folders"),
            ("{ \"bundleDependencies\": true }", "names folders"),
            ("{ \"dependencies\": [] }", "is no object"),
            ("{ \"overrides\": 1 }", "is no object"),
            ("{ \"dependencies\": { \"../x\": \"1\" } }", "is no name of a package"),
            ("[]", "no object of JSON"),
            ("{", "no JSON"),
        ] {
            let why = written(text).expect_err(text);
            assert!(why.contains(said), "{text}: {why}");
        }
        let deep = format!("{{ \"overrides\": {}1{} }}", "{ \"a\": ".repeat(9), "}".repeat(9));
        assert!(written(&deep).is_err());
        let utf_16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(parse(&utf_16).is_err());
    }
}
