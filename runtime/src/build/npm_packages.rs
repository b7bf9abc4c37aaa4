//! The packages that an app in JavaScript names, as files that are written for npm: nothing else
//! of the app's reaches it.

use std::path::Path;

use serde_json::Value;
use url::Url;

use super::digest::Digest;
use super::package_json;
use super::package_lock;
use super::stage::Taken;

const MANIFEST: &str = "package.json";
/// Where versions are pinned, the first that is there, as npm looks for them.
const LOCKS: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];
/// The largest `.npmrc`, in bytes.
pub(super) const LARGEST_SETTINGS: usize = 64 << 10;
pub(super) const SETTINGS: &str = ".npmrc";

/// What npm gets.
pub(super) struct Packages {
    /// The written files, by their names in a folder of their own.
    pub(super) files: Vec<(&'static str, String)>,
}

impl Packages {
    /// What the app's files name; `None` if there is no package.json. `settings` is the app's
    /// `.npmrc`, and `registry` the operator's registry.
    ///
    /// # Errors
    /// A sentence with the file, the line, the value and the mend.
    pub(super) fn of(
        taken: &Taken,
        settings: Option<&[u8]>,
        registry: Option<&str>,
    ) -> Result<Option<Packages>, String> {
        let Some(bytes) = taken.content(Path::new(MANIFEST)) else { return Ok(None) };
        let manifest = package_json::parse(bytes).map_err(|problem| problem.told(MANIFEST))?;
        if !package_json::names_packages(&manifest) {
            return Ok(None);
        }
        check_settings(settings.unwrap_or_default())?;
        let mut files = vec![(MANIFEST, manifest.to_string())];
        let locks = LOCKS.iter().find_map(|name| Some((name, taken.content(Path::new(name))?)));
        if let Some((name, bytes)) = locks {
            let lock = package_lock::parse(bytes, &manifest, registry);
            let lock = lock.map_err(|problem| problem.told(name))?;
            files.push(("package-lock.json", lock.to_string()));
        }
        Ok(Some(Packages { files }))
    }

    /// Tells contents apart.
    pub(super) fn add_to(&self, digest: &mut Digest) {
        for (name, text) in &self.files {
            digest.add(name.as_bytes());
            digest.add(text.as_bytes());
        }
    }
}

/// The registry that the operator has set, in the words of npm.
pub(super) fn registry() -> Option<String> {
    let names = ["npm_config_registry", "NPM_CONFIG_REGISTRY"];
    names.iter().find_map(|name| std::env::var(name).ok()).filter(|text| Url::parse(text).is_ok())
}

/// SECURITY: npm does not read an app's `.npmrc`. One that names a registry is refused, because the
/// packages of another registry would come in place of those that are meant.
fn check_settings(bytes: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(bytes);
    let chooses = |line: &&str| {
        let key = line.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
        key.ends_with("registry") || key.starts_with("//") || key.contains("_auth")
    };
    let mut lines = text.lines().enumerate();
    match lines.find(|(_, line)| chooses(line)) {
        None => Ok(()),
        // A line may hold a password: it is not quoted.
        Some((at, _)) => Err(format!(
            "{SETTINGS}:{}: the line names a registry, which the operator does by the variable \
             npm_config_registry of the server; remove the line",
            at + 1
        )),
    }
}

/// Whether every package that npm has installed came from the registry, by the list that npm
/// writes. A package of the registry may itself name others by their addresses.
///
/// # Errors
/// A sentence with the address.
pub(super) fn check_installed(list: &[u8], registry: Option<&str>) -> Result<(), String> {
    let none = Value::Object(serde_json::Map::new());
    let parsed = package_lock::parse(list, &none, registry);
    parsed.map(drop).map_err(|problem| problem.told("the installed packages"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::stage::Source;

    fn packages(files: &[(&str, &str)], settings: &str) -> Result<Option<Packages>, String> {
        let sources = files
            .iter()
            .map(|(name, text)| Source { name: (*name).into(), content: text.as_bytes().to_vec() });
        Packages::of(&Taken::of(sources.collect()), Some(settings.as_bytes()), None)
    }

    #[test]
    fn npm_gets_what_was_understood_and_nothing_else() {
        let manifest = r#"{ "scripts": { "install": "x" }, "dependencies": { "hono": "4" } }"#;
        let lock = r#"{ "packages": { "node_modules/hono": { "version": "4.0.0", "bin": "x" } } }"#;
        let files = [("package-lock.json", lock), ("package.json", manifest), ("yarn.lock", "{")];
        let all = packages(&files, "save-exact=true").expect("sound").expect("named");
        let texts = all.files;
        let manifest = r#"{"dependencies":{"hono":"4"},"private":true}"#;
        assert_eq!(texts[0], ("package.json", manifest.to_owned()));
        assert_eq!((texts.len(), texts[1].0), (2, "package-lock.json"));
        assert!(!texts[1].1.contains("bin"));
        let both = [("npm-shrinkwrap.json", "{"), files[0], files[1]];
        assert!(packages(&both, "").err().expect("no JSON").starts_with("npm-shrinkwrap.json:1"));
        for none in [&[("a.js", "")][..], &[("package.json", "{\"type\": \"module\"}")]] {
            assert!(packages(none, "").is_ok_and(|none| none.is_none()));
        }
    }

    #[test]
    fn settings_that_choose_a_registry_are_refused_without_their_value() {
        let files = [("package.json", r#"{ "dependencies": { "hono": "4" } }"#)];
        for line in [
            "registry=https://secret.example/",
            " Registry = https://secret.example/",
            "@a:registry=https://secret.example/",
            "//secret.example/:_authToken=secret",
            "_auth=secret",
        ] {
            let why = packages(&files, &format!("save=true\n{line}")).err().expect(line);
            assert!(why.starts_with(".npmrc:2: ") && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn installed_packages_are_those_of_the_registry() {
        let list = |resolved: &str| {
            format!(
                "{{\"packages\":{{\"node_modules/a\":{{\"version\":\"1.0.0\",\"resolved\":{resolved:?}}}}}}}"
            )
        };
        let sound = list("https://registry.npmjs.org/a/-/a-1.0.0.tgz");
        assert_eq!(check_installed(sound.as_bytes(), None), Ok(()));
        assert!(check_installed(list("git+ssh://git@a.example/a.git").as_bytes(), None).is_err());
    }
}
