//! One logical line of a requirements file. Pure.

use super::marker;
use super::{Entry, Package};

/// Ends of archives from which a package would have to be built.
const SOURCES: [&str; 8] =
    [".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip", ".tar.zst", ".egg"];
/// The longest name, in bytes.
const LONGEST_NAME: usize = 128;
/// Algorithms of hashes, and the digits of each.
const HASHES: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];
/// The operators of versions, longer ones first.
pub(super) const OPERATORS: [&str; 8] = ["===", "==", "~=", "!=", "<=", ">=", "<", ">"];

const RUNS_CODE: &str = "installs from sources, which runs their code; name a package with a version, or a wheel of the \
     app's folder";
const NO_URL: &str = "is an address; name a package with a version, or put a wheel into the app's folder and write its path";
const NO_INDEX: &str = "chooses where packages come from, which the operator does by variables of the server, such as \
     UV_DEFAULT_INDEX; remove the line";

/// The part of a line before its comment.
pub(super) fn comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| *at == 0 || line[..*at].ends_with([' ', '\t']);
    let at = line.match_indices('#').find(begins).map_or(line.len(), |(at, _)| at);
    &line[..at]
}

/// What a line says; `None` where nothing follows from it.
///
/// # Errors
/// The line is refused: the reason and the mend.
pub(super) fn parse(line: &str) -> Result<Option<Entry>, String> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    if line.contains('$') {
        return Err("has a variable; write its value in its place".to_owned());
    }
    if line.starts_with('-') {
        return option(line);
    }
    let word = line.split([' ', '\t', ';', '[']).next().unwrap_or_default();
    let lower = word.to_ascii_lowercase();
    if word.contains(':') {
        return Err(NO_URL.to_owned());
    }
    if SOURCES.iter().any(|end| lower.ends_with(end)) {
        return Err(RUNS_CODE.to_owned());
    }
    if lower.ends_with(".whl") {
        let mut rest = Rest(&line[word.len()..]);
        let mut package = Package { extras: rest.extras()?, ..Package::default() };
        rest.tail(&mut package)?;
        return Ok(Some(Entry::Wheel(word.to_owned(), package)));
    }
    if word.starts_with(['.', '/', '~']) || word.contains(['/', '\\']) {
        return Err(RUNS_CODE.to_owned());
    }
    let mut rest = Rest(line);
    let name = rest.name()?.to_owned();
    let extras = rest.extras()?;
    if rest.take("@") {
        return Err(NO_URL.to_owned());
    }
    let mut package = Package { name, extras, versions: rest.versions()?, ..Package::default() };
    rest.tail(&mut package)?;
    Ok(Some(Entry::Package(package)))
}

/// A line that begins with a dash.
fn option(line: &str) -> Result<Option<Entry>, String> {
    let end = line.find([' ', '\t', '=']).unwrap_or(line.len());
    let (mut name, mut value) = (&line[..end], line[end..].trim_start_matches([' ', '\t', '=']));
    // A short option may have its value without a space: -rbase.txt.
    if !name.starts_with("--") && name.len() > 2 && line.is_char_boundary(2) {
        (name, value) = line.split_at(2);
    }
    let file = |constraint| {
        let path = value.trim().to_owned();
        match path.is_empty() {
            true => Err("names no file; write its path".to_owned()),
            false => Ok(Some(Entry::File { path, constraint })),
        }
    };
    match name {
        "-r" | "--requirement" | "--requirements" => file(false),
        "-c" | "--constraint" | "--constraints" => file(true),
        "--pre" if value.is_empty() => Ok(Some(Entry::Prereleases)),
        "--require-hashes" if value.is_empty() => Ok(Some(Entry::RequireHashes)),
        // Wheels are all that is ever taken.
        "--prefer-binary" | "--only-binary" => Ok(None),
        "-e" | "--editable" => Err(RUNS_CODE.to_owned()),
        "--no-binary"
        | "--config-settings"
        | "--config-setting"
        | "-C"
        | "--global-option"
        | "--install-option"
        | "--build-option"
        | "--no-build-isolation"
        | "--use-pep517"
        | "--no-use-pep517" => Err(RUNS_CODE.to_owned()),
        "-i"
        | "--index-url"
        | "--extra-index-url"
        | "--index"
        | "--default-index"
        | "-f"
        | "--find-links"
        | "--no-index"
        | "--trusted-host"
        | "--process-dependency-links"
        | "--proxy"
        | "--cert"
        | "--client-cert" => Err(NO_INDEX.to_owned()),
        _ => Err("is no option that is known here; remove the line".to_owned()),
    }
}

/// The rest of a line.
pub(super) struct Rest<'a>(pub(super) &'a str);

impl<'a> Rest<'a> {
    pub(super) fn skip(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    /// Takes a text if it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        self.skip();
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Takes the characters of a kind that come next.
    pub(super) fn run(&mut self, is_of: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !is_of(c)).unwrap_or(self.0.len());
        let (run, rest) = self.0.split_at(end);
        self.0 = rest;
        run
    }

    fn name(&mut self) -> Result<&'a str, String> {
        self.skip();
        let name = self.run(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let sound = is_end(name.chars().next()) && is_end(name.chars().next_back());
        match sound && name.len() <= LONGEST_NAME {
            true => Ok(name),
            false => Err("is no name with versions; write it like flask>=3".to_owned()),
        }
    }

    fn extras(&mut self) -> Result<Vec<String>, String> {
        let mut extras = Vec::new();
        if !self.take("[") {
            return Ok(extras);
        }
        while !self.take("]") {
            if !extras.is_empty() && !self.take(",") {
                return Err("has extras that do not end; write them like flask[async]".to_owned());
            }
            extras.push(self.name()?.to_owned());
        }
        Ok(extras)
    }

    fn versions(&mut self) -> Result<String, String> {
        let is_enclosed = self.take("(");
        let mut versions: Vec<String> = Vec::new();
        loop {
            let Some(operator) = OPERATORS.iter().find(|operator| self.take(operator)) else {
                if versions.is_empty() {
                    break;
                }
                return Err("has a comma without a version after it; remove the comma".to_owned());
            };
            self.skip();
            let is_of = |c: char| {
                c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '*' | '+' | '!' | '-')
            };
            let version = self.run(is_of);
            if !version.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                return Err(format!("has no version after {operator}; write it like flask>=3"));
            }
            versions.push(format!("{operator}{version}"));
            if !self.take(",") {
                break;
            }
        }
        match is_enclosed && !self.take(")") {
            true => Err("has a parenthesis that does not end; remove it".to_owned()),
            false => Ok(versions.join(",")),
        }
    }

    /// The marker and the hashes, which end a line.
    fn tail(&mut self, package: &mut Package) -> Result<(), String> {
        if self.take(";") {
            package.marker = marker::parse(self)?;
        }
        while self.take("--hash") {
            let is_apart = self.0.starts_with([' ', '\t']);
            if !self.take("=") && !is_apart {
                return Err("has a hash without a value; write --hash=sha256:...".to_owned());
            }
            self.skip();
            let hash = self.run(|c| c.is_ascii_alphanumeric() || c == ':');
            let sound = hash.split_once(':').is_some_and(|(algorithm, digits)| {
                let known = HASHES.iter().find(|(name, _)| *name == algorithm);
                known.is_some_and(|(_, length)| digits.len() == *length)
                    && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
            if !sound {
                return Err("has a hash that is none; write --hash=sha256:...".to_owned());
            }
            package.hashes.push(hash.to_ascii_lowercase());
        }
        self.skip();
        match self.0 {
            "" => Ok(()),
            rest if rest.starts_with('-') => {
                Err("has an option that is not known here; remove it".to_owned())
            }
            _ => Err("is no name with versions; write it like flask>=3".to_owned()),
        }
    }
}
