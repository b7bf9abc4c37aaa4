//! `package-lock.json`: the versions and hashes of packages, checked and written again without
//! addresses, so that npm asks the operator's registry alone. Pure.

use serde_json::{Map, Value, json};
use url::Url;

use super::package_json::{dependency, is_name, line_of, object, optional_peers};
use super::text::{Problem, decode};

/// The largest lock file, in bytes.
const LARGEST: usize = 32 << 20;
/// The most packages.
const MOST: usize = 50_000;

/// What npm uses where nothing else is said, and replaces by the operator's registry.
const NPM: &str = "https://registry.npmjs.org/";

/// Tables of a package that name others.
const DEPENDENCIES: [&str; 3] = ["dependencies", "optionalDependencies", "peerDependencies"];
/// Flags that are copied where they are true.
const FLAGS: [&str; 7] =
    ["dev", "optional", "devOptional", "peer", "inBundle", "hasInstallScript", "hasShrinkwrap"];
/// Machines that a package is for.
const MACHINES: [&str; 3] = ["os", "cpu", "libc"];

/// The lock file that npm gets. `manifest` is the package.json in normal form; `registry` is the
/// operator's, if there is one.
///
/// # Errors
/// The file is no lock file of npm 7 or newer, or has a value that reaches elsewhere.
pub fn parse(bytes: &[u8], manifest: &Value, registry: Option<&str>) -> Result<Value, Problem> {
    let text = decode(bytes, LARGEST)?;
    let file = object(text)?;
    let registries = registry.into_iter().chain([NPM]);
    let registries: Vec<Url> = registries.filter_map(|text| Url::parse(text).ok()).collect();
    let Some(packages) = file.get("packages").and_then(Value::as_object) else {
        let why =
            "the file is of npm 6 or older; run npm install --package-lock-only with a newer one";
        return Err(Problem::of_file(why));
    };
    if packages.len() > MOST {
        return Err(Problem::of_file(format!(
            "the file has more than {MOST} packages; name fewer"
        )));
    }
    let mut written = Map::new();
    written.insert(String::new(), root(manifest));
    for (path, package) in packages.iter().filter(|(path, _)| !path.is_empty()) {
        let entry = entry(path, package, &registries)
            .map_err(|(value, why)| Problem::new(line_of(text, path, &value), &value, why))?;
        written.insert(path.clone(), entry);
    }
    Ok(json!({ "lockfileVersion": 3, "requires": true, "packages": written }))
}

/// The entry of the app itself: what its package.json names.
fn root(manifest: &Value) -> Value {
    let mut root = manifest.as_object().cloned().unwrap_or_default();
    root.remove("private");
    root.remove("overrides");
    Value::Object(root)
}

/// The refused value, and the reason.
type Refused = (String, String);

fn entry(path: &str, package: &Value, registries: &[Url]) -> Result<Value, Refused> {
    let refused = |value: &str, why: &str| Err((value.to_owned(), why.to_owned()));
    if !is_place(path) {
        return refused(
            path,
            "is no package in node_modules; remove what links to it, and make the lock file again",
        );
    }
    let Some(package) = package.as_object() else {
        return refused(path, "is no object; make the lock file again");
    };
    if package.get("link").is_some_and(|link| *link != false) {
        return refused(
            path,
            "is a link to a folder, which is not installed; name a package of the registry",
        );
    }
    let mut written = Map::new();
    match package.get("version").and_then(Value::as_str).filter(|version| is_version(version)) {
        Some(version) => written.insert("version".to_owned(), json!(version)),
        None => return refused(path, "has no version; make the lock file again"),
    };
    if let Some(resolved) = package.get("resolved").filter(|value| !value.is_null()) {
        let told = resolved.as_str().map_or_else(|| resolved.to_string(), str::to_owned);
        if !resolved.as_str().is_some_and(|address| is_at(address, registries)) {
            return Err((told, ELSEWHERE.to_owned()));
        }
    }
    if let Some(name) = package.get("name") {
        match name.as_str().filter(|name| is_name(name)) {
            Some(name) => written.insert("name".to_owned(), json!(name)),
            None => {
                return refused(
                    &name.to_string(),
                    "is no name of a package; make the lock file again",
                );
            }
        };
    }
    if let Some(integrity) = package.get("integrity") {
        match integrity.as_str().filter(|text| is_integrity(text)) {
            Some(text) => written.insert("integrity".to_owned(), json!(text)),
            None => return refused(&integrity.to_string(), "is no hash; make the lock file again"),
        };
    }
    for key in DEPENDENCIES {
        let Some(table) = package.get(key).and_then(Value::as_object) else { continue };
        for (name, range) in table {
            dependency(name, range)?;
        }
        written.insert(key.to_owned(), Value::Object(table.clone()));
    }
    for key in FLAGS.into_iter().filter(|key| package.get(*key) == Some(&Value::Bool(true))) {
        written.insert(key.to_owned(), Value::Bool(true));
    }
    for key in MACHINES {
        let Some(list) = package.get(key).and_then(Value::as_array) else { continue };
        written.insert(key.to_owned(), words(list));
    }
    if let Some(meta) = package.get("peerDependenciesMeta").and_then(Value::as_object) {
        written.insert("peerDependenciesMeta".to_owned(), optional_peers(meta));
    }
    Ok(Value::Object(written))
}

/// The texts of a list that are plain words.
fn words(list: &[Value]) -> Value {
    let is_word =
        |text: &&str| text.chars().all(|c| c.is_ascii_alphanumeric() || "!-_".contains(c));
    list.iter().filter_map(Value::as_str).filter(is_word).collect()
}

const ELSEWHERE: &str = "is no address of the registry; make the lock file again with it, or let the operator set \
     npm_config_registry";

/// Whether a path is `node_modules/NAME`, or one below another.
fn is_place(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("node_modules/") else { return false };
    rest.split("/node_modules/").all(is_name)
}

fn is_version(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || ".+-".contains(c);
    text.len() <= 256 && text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(known)
}

fn is_integrity(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "+/=-".contains(c);
    let is_hash = |hash: &str| {
        hash.split_once('-').is_some_and(|(algorithm, _)| {
            matches!(algorithm, "sha1" | "sha256" | "sha384" | "sha512")
        }) && hash.chars().all(known)
    };
    text.len() <= 1024
        && text.split_whitespace().next().is_some()
        && text.split_whitespace().all(is_hash)
}

/// Whether an address is below one of the registries.
fn is_at(address: &str, registries: &[Url]) -> bool {
    let Ok(address) = Url::parse(address) else { return false };
    let has_user = !address.username().is_empty() || address.password().is_some();
    !has_user
        && registries.iter().any(|registry| {
            let below = registry.path().trim_end_matches('/');
            let path = address.path().strip_prefix(below);
            registry.origin() == address.origin()
                && registry.origin().is_tuple()
                && path.is_some_and(|path| path.starts_with('/'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha512-AbCd+/==";

    fn lock(path: &str, package: &Value) -> Value {
        json!({ "name": "x", "version": "1", "lockfileVersion": 3,
            "packages": { "": { "name": "x", "dependencies": { "evil": "file:.." } }, path: package } })
    }

    fn written(lock: &Value, registry: Option<&str>) -> Result<Value, String> {
        let manifest = json!({ "private": true, "dependencies": { "hono": "^4" } });
        let parsed = parse(lock.to_string().as_bytes(), &manifest, registry);
        parsed.map_err(|problem| problem.told("package-lock.json"))
    }

    #[test]
    fn packages_of_the_registry_are_written_without_their_address() {
        for (path, package, expected) in [
            (
                "node_modules/hono",
                json!({ "version": "4.13.19", "resolved": "https://registry.npmjs.org/hono/-/hono-4.13.19.tgz",
                    "integrity": HASH, "engines": { "node": ">=16" }, "bin": { "x": "../../x" }, "license": "MIT",
                    "dependencies": { "a": "^1" }, "dev": true, "os": ["linux", "a/b"] }),
                json!({ "version": "4.13.19", "integrity": HASH, "dependencies": { "a": "^1" }, "dev": true,
                    "os": ["linux"] }),
            ),
            (
                "node_modules/@a/b/node_modules/c",
                json!({ "version": "1.0.0-rc.1", "name": "@d/e", "inBundle": true, "optional": false }),
                json!({ "version": "1.0.0-rc.1", "name": "@d/e", "inBundle": true }),
            ),
        ] {
            let whole = written(&lock(path, &package), None).expect("it is sound");
            assert_eq!(whole["packages"][path], expected);
            assert_eq!(whole["packages"][""], json!({ "dependencies": { "hono": "^4" } }));
        }
    }

    #[test]
    fn addresses_are_those_of_the_registry() {
        let own = Some("https://npm.a.example/team/");
        for (address, registry, is_sound) in [
            ("https://registry.npmjs.org/a/-/a-1.tgz", None, true),
            ("https://registry.npmjs.org/a/-/a-1.tgz", own, true),
            ("https://npm.a.example/team/a/-/a-1.tgz", own, true),
            ("https://npm.a.example/team/a/-/a-1.tgz", None, false),
            ("https://npm.a.example/team/../a-1.tgz", own, false),
            ("https://npm.a.example/teams/a-1.tgz", own, false),
            ("https://npm.a.example:8443/team/a-1.tgz", own, false),
            ("http://registry.npmjs.org/a-1.tgz", None, false),
            ("https://registry.npmjs.org.a.example/a-1.tgz", None, false),
            ("https://registry.npmjs.org@a.example/a-1.tgz", None, false),
            ("https://x:y@registry.npmjs.org/a-1.tgz", None, false),
            ("http://169.254.169.254/a-1.tgz", None, false),
            ("file:../a", None, false),
            ("file:///etc/passwd", Some("file:///"), false),
            ("git+ssh://git@github.com/a/b.git#0123", None, false),
            ("../a", None, false),
            ("", None, false),
        ] {
            let package = json!({ "version": "1.0.0", "resolved": address });
            let written = written(&lock("node_modules/a", &package), registry);
            assert_eq!(written.is_ok(), is_sound, "{address}: {written:?}");
        }
    }

    #[test]
    fn links_folders_and_other_values_are_refused() {
        let plain = json!({ "version": "1.0.0" });
        let places = [
            "packages/a",
            "../a",
            "node_modules/../a",
            "node_modules",
            "node_modules/",
            "/node_modules/a",
            "node_modules/a/b",
            "node_modules/a/node_modules/..",
            "node_modules/.bin",
            "node_modules/__proto__",
            "node_modules/a/node_modules/",
            "x/node_modules/a",
            "node_modules/a\\b",
            ".",
        ];
        for path in places {
            assert!(written(&lock(path, &plain), None).is_err(), "{path}");
        }
        let packages = [
            json!({ "link": true, "resolved": "packages/a", "version": "1.0.0" }),
            json!({ "link": 1, "version": "1.0.0" }),
            json!({}),
            json!([]),
            json!("1.0.0"),
            json!(null),
            json!({ "version": "file:.." }),
            json!({ "version": "git+ssh://git@a.example/a.git" }),
            json!({ "version": "https://a.example/a.tgz" }),
            json!({ "version": "^1.0.0" }),
            json!({ "version": "1.0.0/../.." }),
            json!({ "version": 1 }),
            json!({ "version": "1.0.0", "resolved": 1 }),
            json!({ "version": "1.0.0", "resolved": ["https://registry.npmjs.org/a"] }),
            json!({ "version": "1.0.0", "integrity": "none" }),
            json!({ "version": "1.0.0", "integrity": "" }),
            json!({ "version": "1.0.0", "integrity": 5 }),
            json!({ "version": "1.0.0", "integrity": "md5-x" }),
            json!({ "version": "1.0.0", "name": "../x" }),
            json!({ "version": "1.0.0", "name": 1 }),
            json!({ "version": "1.0.0", "dependencies": { "b": "file:.." } }),
            json!({ "version": "1.0.0", "dependencies": { "b": "git+https://a.example/b.git" } }),
            json!({ "version": "1.0.0", "dependencies": { "b": "user/repo" } }),
            json!({ "version": "1.0.0", "dependencies": { "../b": "1" } }),
            json!({ "version": "1.0.0", "optionalDependencies": { "b": "https://a.example/b.tgz" } }),
            json!({ "version": "1.0.0", "peerDependencies": { "b": "link:../b" } }),
            json!({ "version": "1.0.0", "dependencies": { "b": { "version": "1" } } }),
        ];
        assert!(places.len() + packages.len() >= 40);
        for package in packages {
            assert!(written(&lock("node_modules/a", &package), None).is_err(), "{package}");
        }
        for whole in [
            json!({ "lockfileVersion": 1, "dependencies": {} }),
            json!({ "packages": [] }),
            json!([]),
        ] {
            assert!(written(&whole, None).is_err(), "{whole}");
        }
    }

    #[test]
    fn a_refusal_names_the_line() {
        let text = "{ \"packages\": {\n\"node_modules/a\": {\n\"version\": \"1.0.0\",\n\"resolved\": \"file:x\" } } }";
        let why = parse(text.as_bytes(), &json!({}), None).expect_err("it is refused");
        assert_eq!((why.line, why.value.as_str()), (4, "file:x"));
    }
}
