//! The packages that pyproject.toml names, and settings of uv that would choose where packages
//! come from. Pure.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::requirements::{Package, parse_one};
use super::text::{Problem, decode};

/// The largest pyproject.toml or uv.toml, in bytes.
const LARGEST: usize = 1 << 20;

/// Keys of `[tool.uv]` that change nothing of what is installed here.
const HARMLESS: [&str; 16] = [
    "build-backend",
    "cache-keys",
    "compile-bytecode",
    "conflicts",
    "default-groups",
    "dependency-groups",
    "dev-dependencies",
    "environments",
    "link-mode",
    "managed",
    "package",
    "preview",
    "python-downloads",
    "python-preference",
    "required-environments",
    "required-version",
];

/// The packages of `[project]`; `None` if there is no such table.
///
/// # Errors
/// The file is no TOML, or has a value that is refused.
pub fn parse(bytes: &[u8]) -> Result<Option<Vec<Package>>, Problem> {
    let file = File::new(bytes)?;
    let table = file.table()?;
    let Some(project) = table.get("project") else { return Ok(None) };
    let Some(project) = project.get_ref().as_table() else {
        return Err(file.wrong(project, "is no table; write [project]"));
    };
    for dynamic in
        project.get("dynamic").and_then(|list| list.get_ref().as_array()).into_iter().flatten()
    {
        if dynamic.get_ref().as_str() == Some("dependencies") {
            let why = "says that code computes the dependencies; list them in [project]";
            return Err(file.wrong(dynamic, why));
        }
    }
    let tool = table.get("tool").and_then(|tool| tool.get_ref().as_table());
    if let Some(uv) = tool.and_then(|tool| tool.get("uv")).and_then(|uv| uv.get_ref().as_table()) {
        file.only_harmless(uv, "tool.uv.")?;
    }
    let Some(list) = project.get("dependencies") else { return Ok(Some(Vec::new())) };
    let Some(list) = list.get_ref().as_array() else {
        return Err(file.wrong(list, "is no list; write dependencies = [\"flask>=3\"]"));
    };
    let packages = list.iter().map(|item| {
        let text = item.get_ref().as_str();
        let text = text.ok_or_else(|| file.wrong(item, "is no text; write \"flask>=3\""))?;
        parse_one(text).map_err(|why| Problem::new(file.line(item), text, why))
    });
    packages.collect::<Result<Vec<Package>, Problem>>().map(Some)
}

/// Checks a uv.toml, which is not read by the build: nothing of importance may be in it.
///
/// # Errors
/// The file is no TOML, or has a key that chooses where packages come from.
pub fn check_settings(bytes: &[u8]) -> Result<(), Problem> {
    let file = File::new(bytes)?;
    file.only_harmless(&file.table()?, "")
}

/// A text of TOML.
struct File<'a> {
    text: &'a str,
}

impl<'a> File<'a> {
    fn new(bytes: &'a [u8]) -> Result<File<'a>, Problem> {
        Ok(File { text: decode(bytes, LARGEST)? })
    }

    fn table(&self) -> Result<DeTable<'a>, Problem> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let line = error.span().map_or(0, |span| self.line_at(span.start));
            Problem::new(line, "", format!("no TOML: {}", error.message()))
        })?;
        Ok(table.into_inner())
    }

    fn only_harmless(&self, table: &DeTable<'_>, prefix: &str) -> Result<(), Problem> {
        let is_empty = |value: &DeValue<'_>| {
            value.as_table().is_some_and(DeTable::is_empty)
                || value.as_array().is_some_and(|list| list.is_empty())
        };
        for (key, value) in table {
            if HARMLESS.contains(&&**key.get_ref()) || is_empty(value.get_ref()) {
                continue;
            }
            let name = format!("{prefix}{}", key.get_ref());
            let why = "is refused, because it may choose where packages come from, which the \
                       operator does by variables of the server, such as UV_DEFAULT_INDEX; remove it";
            return Err(Problem::new(self.line_at(key.span().start), &name, why));
        }
        Ok(())
    }

    fn wrong(&self, value: &Spanned<DeValue<'_>>, why: &str) -> Problem {
        let text = self.text.get(value.span()).unwrap_or_default();
        Problem::new(self.line(value), text, why)
    }

    fn line(&self, value: &Spanned<DeValue<'_>>) -> usize {
        self.line_at(value.span().start)
    }

    fn line_at(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Option<Vec<String>>, String> {
        let parsed = parse(text.as_bytes()).map_err(|problem| problem.told("pyproject.toml"))?;
        Ok(parsed.map(|packages| packages.iter().map(Package::line).collect()))
    }

    #[test]
    fn the_dependencies_of_a_project_are_read() {
        let all = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        for (text, expected) in [
            ("[tool.black]\nline-length = 3\n", None),
            ("[build-system]\nrequires = [\"evil\"]\n", None),
            ("[project]\nname = \"a\"\n", all(&[])),
            (
                "[project]\ndependencies = [\"flask>=3\", 'a[b]; os_name == \"x\"']",
                all(&["flask>=3", "a[b] ; os_name == \"x\""]),
            ),
            (
                "[project]\ndynamic = [\"version\"]\ndependencies = [\"a\"]\n[build-system]\nrequires = [\"x\"]",
                all(&["a"]),
            ),
            ("[project]\noptional-dependencies = { x = [\"y @ https://a.example\"] }\n", all(&[])),
            ("[project]\n[tool.uv]\npackage = false\nsources = {}\nindex = []\n", all(&[])),
        ] {
            assert_eq!(names(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn sources_indexes_and_what_computes_dependencies_are_refused() {
        for (text, said) in [
            (
                "[project]\ndynamic = [\n\"dependencies\"]",
                "pyproject.toml:3: \"\\\"dependencies\\\"\" says",
            ),
            (
                "[project]\ndependencies = [\n\"a @ file:///x\"]",
                "pyproject.toml:3: \"a @ file:///x\" is an address",
            ),
            ("[project]\ndependencies = [\"-e .\"]", "installs from sources"),
            ("[project]\ndependencies = [\"-r a.txt\"]", "is no name with versions"),
            ("[project]\ndependencies = [\"./x.whl\"]", "is no name with versions"),
            ("[project]\ndependencies = [\"--pre\"]", "is no name with versions"),
            ("[project]\ndependencies = [\"a\\n-e .\"]", "is no name with versions"),
            ("[project]\ndependencies = [3]", "is no text"),
            ("[project]\ndependencies = \"a\"", "is no list"),
            ("project = 3", "is no table"),
            (
                "[project]\n[tool.uv.sources]\na = { path = \"..\" }",
                "\"tool.uv.sources\" is refused",
            ),
            (
                "[project]\n[[tool.uv.index]]\nurl = \"https://a.example\"",
                "\"tool.uv.index\" is refused",
            ),
            ("[project]\n[tool.uv]\nextra-index-url = [\"x\"]", "\"tool.uv.extra-index-url\""),
            ("[project]\n[tool.uv]\nfind-links = [\"/x\"]", "\"tool.uv.find-links\""),
            (
                "[project]\n[tool.uv]\noverride-dependencies = [\"x\"]",
                "\"tool.uv.override-dependencies\"",
            ),
            ("[project]\n[tool.uv.workspace]\nmembers = [\"*\"]", "\"tool.uv.workspace\""),
            ("[project]\n[tool.uv.pip]\nno-binary = [\"x\"]", "\"tool.uv.pip\""),
            ("[project\n", "no TOML"),
        ] {
            let why = names(text).expect_err(text);
            assert!(why.contains(said), "{text}: {why}");
        }
        assert!(check_settings(b"index-url = \"https://a.example\"").is_err());
        assert!(check_settings(b"link-mode = \"copy\"").is_ok());
    }
}
