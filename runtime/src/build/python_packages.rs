//! The packages that an app in Python names, as files that are written for uv: nothing else of the
//! app's reaches it.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::digest::Digest;
use super::pyproject;
use super::requirements::{self, Package, Wanted};
use super::stage::Taken;

/// The files that name packages, the first that is there.
const REQUIREMENTS: &str = "requirements.txt";
const PYPROJECT: &str = "pyproject.toml";
/// Settings of uv beside an app, which are not read.
const SETTINGS: &str = "uv.toml";

/// Names of the written files and of the folder with wheels.
const WRITTEN: &str = "requirements.txt";
const CONSTRAINTS: &str = "constraints.txt";
const WHEELS: &str = "wheels";

/// What uv gets.
pub(super) struct Packages {
    /// The file of the app that names them.
    pub(super) named_in: &'static str,
    /// The written files, by their names in a folder of their own.
    pub(super) files: Vec<(String, Vec<u8>)>,
    /// The arguments that name them, for uv in that folder.
    pub(super) arguments: Vec<String>,
}

impl Packages {
    /// What the app's files name; `None` if no file names packages.
    ///
    /// # Errors
    /// A sentence with the file, the line, the value and the mend.
    pub(super) fn of(taken: &Taken, always: &str) -> Result<Option<Packages>, String> {
        if let Some(bytes) = taken.content(Path::new(SETTINGS)) {
            pyproject::check_settings(bytes).map_err(|problem| problem.told(SETTINGS))?;
        }
        if taken.content(Path::new(REQUIREMENTS)).is_some() {
            let wanted =
                requirements::collect(Path::new(REQUIREMENTS), |path| taken.content(path))?;
            return Packages::written(REQUIREMENTS, wanted, taken, always).map(Some);
        }
        let Some(bytes) = taken.content(Path::new(PYPROJECT)) else { return Ok(None) };
        let packages = pyproject::parse(bytes).map_err(|problem| problem.told(PYPROJECT))?;
        let Some(packages) = packages else { return Ok(None) };
        let wanted = Wanted { packages, ..Wanted::default() };
        Packages::written(PYPROJECT, wanted, taken, always).map(Some)
    }

    /// Tells contents apart.
    pub(super) fn add_to(&self, digest: &mut Digest) {
        for (name, content) in &self.files {
            digest.add(name.as_bytes());
            digest.add(content);
        }
        self.arguments.iter().for_each(|argument| digest.add(argument.as_bytes()));
    }

    fn written(
        named_in: &'static str,
        wanted: Wanted,
        taken: &Taken,
        always: &str,
    ) -> Result<Packages, String> {
        let Wanted { mut packages, constraints, wheels, prereleases, require_hashes } = wanted;
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (path, package) in wheels {
            let content = taken.content(&path).unwrap_or_default();
            let wrong = |why: String| format!("{}: {why}", path.display());
            let (name, package) = wheel(&path, content, package).map_err(wrong)?;
            let other = files.insert(format!("{WHEELS}/{name}"), content.to_vec());
            if other.is_some_and(|other| other != content) {
                return Err(wrong("another wheel has the same name; remove one".to_owned()));
            }
            packages.push(package);
        }
        let mut arguments = vec!["-r".to_owned(), WRITTEN.to_owned()];
        let mut lines: Vec<String> = packages.iter().map(Package::line).collect();
        match require_hashes {
            true => arguments.push("--require-hashes".to_owned()),
            false => lines.push(always.to_owned()),
        }
        if !files.is_empty() {
            arguments.extend(["--find-links".to_owned(), WHEELS.to_owned()]);
        }
        if !constraints.is_empty() {
            let lines: Vec<String> = constraints.iter().map(Package::line).collect();
            files.insert(CONSTRAINTS.to_owned(), text(&lines));
            arguments.extend(["-c".to_owned(), CONSTRAINTS.to_owned()]);
        }
        if prereleases {
            arguments.extend(["--prerelease".to_owned(), "allow".to_owned()]);
        }
        files.insert(WRITTEN.to_owned(), text(&lines));
        Ok(Packages { named_in, files: files.into_iter().collect(), arguments })
    }
}

fn text(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
}

/// A wheel's file name, and the wheel as a package of the index with its hash. SECURITY: of a wheel
/// that is named by a path, uv would follow the addresses of further packages.
fn wheel(path: &Path, content: &[u8], wanted: Package) -> Result<(String, Package), String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let known = |c: char| c.is_ascii_alphanumeric() || "._+!-".contains(c);
    let stem = name.get(..name.len().saturating_sub(".whl".len())).unwrap_or_default();
    let parts: Vec<&str> = stem.split('-').collect();
    let sound = (5..=6).contains(&parts.len())
        && name.chars().all(known)
        && parts.iter().all(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric()));
    if !sound {
        let mend = "name it like shop-1.0-py3-none-any.whl";
        return Err(format!("the name is none of a wheel; {mend}"));
    }
    let own = format!("sha256:{:x}", Sha256::digest(content));
    let is_own = |hash: &String| {
        *hash == own
            || *hash == format!("sha384:{:x}", Sha384::digest(content))
            || *hash == format!("sha512:{:x}", Sha512::digest(content))
    };
    if !wanted.hashes.is_empty() && !wanted.hashes.iter().any(is_own) {
        return Err(format!("the file has another hash; write --hash={own}"));
    }
    let versions = format!("=={}", parts[1].replace('_', "-"));
    let package = Package { name: parts[0].to_owned(), versions, hashes: vec![own], ..wanted };
    Ok((name.to_owned(), package))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::stage::Source;

    fn packages(files: &[(&str, &str)]) -> Result<Option<Packages>, String> {
        let sources = files
            .iter()
            .map(|(name, text)| Source { name: (*name).into(), content: text.as_bytes().to_vec() });
        Packages::of(&Taken::of(sources.collect()), "tzdata")
    }

    fn written(files: &[(&str, &str)], name: &str) -> String {
        let packages = packages(files).expect("all is sound").expect("packages are named");
        let file = packages.files.iter().find(|(file, _)| file == name).expect(name);
        String::from_utf8_lossy(&file.1).into_owned()
    }

    #[test]
    fn uv_gets_what_was_understood_and_nothing_else() {
        let files = [
            ("app.py", ""),
            ("requirements.txt", "# all\nflask ==3.1 # x\n-r more.txt\n-c bounds.txt\n--pre\n"),
            ("more.txt", "vendor/shop-1.0-py3-none-any.whl\n"),
            ("bounds.txt", "click<9"),
            ("vendor/shop-1.0-py3-none-any.whl", "wheel"),
            (
                "pyproject.toml",
                "[project]\ndependencies = [\"evil\"]\n[tool.uv.sources]\nevil = { path = \"/\" }",
            ),
        ];
        let hash = format!("{:x}", Sha256::digest(b"wheel"));
        let expected = format!("flask==3.1\nshop==1.0 --hash=sha256:{hash}\ntzdata\n");
        assert_eq!(written(&files, WRITTEN), expected);
        assert_eq!(written(&files, CONSTRAINTS), "click<9\n");
        assert_eq!(written(&files, "wheels/shop-1.0-py3-none-any.whl"), "wheel");
        let all = packages(&files).expect("sound").expect("named");
        assert_eq!(all.files.len(), 3);
        let arguments =
            "-r requirements.txt --find-links wheels -c constraints.txt --prerelease allow";
        assert_eq!(all.arguments.join(" "), arguments);
        let project = [("pyproject.toml", "[project]\ndependencies = [\"flask\"]")];
        assert_eq!(written(&project, WRITTEN), "flask\ntzdata\n");
        assert!(packages(&[("pyproject.toml", "[tool.x]")]).is_ok_and(|none| none.is_none()));
        assert!(packages(&[("app.py", "")]).is_ok_and(|none| none.is_none()));
    }

    #[test]
    fn wheels_and_settings_have_rules_of_their_own() {
        let hash = "0".repeat(64);
        let hashed = format!("./a-1-py3-none-any.whl --hash=sha256:{hash}");
        for (files, said) in [
            (
                &[("requirements.txt", "x.whl"), ("x.whl", "")][..],
                "x.whl: the name is none of a wheel",
            ),
            (
                &[("requirements.txt", hashed.as_str()), ("a-1-py3-none-any.whl", "")],
                "the file has another hash",
            ),
            (
                &[
                    ("requirements.txt", "a-1-py3-none-any.whl\nb/a-1-py3-none-any.whl"),
                    ("a-1-py3-none-any.whl", "1"),
                    ("b/a-1-py3-none-any.whl", "2"),
                ],
                "another wheel has the same name",
            ),
            (
                &[("requirements.txt", "a"), ("uv.toml", "index-url = \"x\"")],
                "uv.toml:1: \"index-url\"",
            ),
            (&[("requirements.txt", "-e .")], "requirements.txt:1: \"-e .\""),
            (
                &[("pyproject.toml", "[project]\ndependencies = [\"a @ git+x:y\"]")],
                "pyproject.toml:2",
            ),
        ] {
            let why = packages(files).err().expect(said);
            assert!(why.contains(said), "{why}");
        }
    }
}
