//! Requirements of Python: a file's lines, parsed and written again in a normal form, so that no
//! tool ever reads text that was not understood here. Pure.

mod line;
mod marker;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::text::{Problem, decode, inside};
use line::comment;

/// The largest requirements file, in bytes.
const LARGEST: usize = 1 << 20;
/// The longest logical line, in bytes.
const LONGEST: usize = 64 << 10;
/// The most requirements of an app in all its files.
const MOST: usize = 10_000;
/// The most files that `-r` and `-c` may name, and how deep.
const MOST_FILES: usize = 64;
const DEEPEST: usize = 16;

/// One accepted line of a requirements file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A name with versions, extras, a marker and hashes.
    Package(Package),
    /// A wheel among the app's files, by its path from the file that names it.
    Wheel(String, Package),
    /// Another file of requirements, or of constraints.
    File {
        /// The path from the file that names it.
        path: String,
        /// Whether the file holds constraints.
        constraint: bool,
    },
    /// `--pre`.
    Prereleases,
    /// `--require-hashes`.
    RequireHashes,
}

/// A package of the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// The name as written; empty for a wheel, whose file name has it.
    pub name: String,
    /// The extras, without brackets.
    pub extras: Vec<String>,
    /// The version specifiers, such as `>=1,<2`.
    pub versions: String,
    /// The marker in normal form; empty for none.
    pub marker: String,
    /// The hashes, such as `sha256:...`.
    pub hashes: Vec<String>,
}

impl Package {
    /// The line of a requirements file in normal form.
    pub fn line(&self) -> String {
        let Package { name, extras, versions, marker, hashes } = self;
        let mut line = name.clone();
        if !extras.is_empty() {
            line += &format!("[{}]", extras.join(","));
        }
        line += versions;
        if !marker.is_empty() {
            line += &format!(" ; {marker}");
        }
        for hash in hashes {
            line += &format!(" --hash={hash}");
        }
        line
    }
}

/// The entries of a requirements file, each with its line.
///
/// # Errors
/// A line is refused: it may run code, reach elsewhere, or is not understood.
pub fn parse(bytes: &[u8]) -> Result<Vec<(usize, Entry)>, Problem> {
    let mut entries = Vec::new();
    for (number, line) in logical_lines(decode(bytes, LARGEST)?)? {
        let parsed = line::parse(&line).map_err(|why| Problem::new(number, &line, why))?;
        entries.extend(parsed.map(|entry| (number, entry)));
    }
    Ok(entries)
}

/// One requirement without options, as pyproject.toml has it.
///
/// # Errors
/// The requirement is refused.
pub fn parse_one(text: &str) -> Result<Package, String> {
    match line::parse(text)? {
        Some(Entry::Package(package)) if package.hashes.is_empty() => Ok(package),
        _ => Err("is no name with versions; write it like flask>=3".to_owned()),
    }
}

/// Joins lines that end with a backslash. The number is that of the first line.
fn logical_lines(text: &str) -> Result<Vec<(usize, String)>, Problem> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (at, raw) in text.lines().enumerate() {
        let is_comment = raw.trim_start().starts_with('#');
        let continued = raw.strip_suffix('\\').filter(|_| !is_comment);
        let part = continued.unwrap_or(raw);
        let code = comment(part);
        if continued.is_some() && code.len() != part.len() {
            let why = "has a comment that ends with a backslash, which hides the next line; \
                       remove the backslash";
            return Err(Problem::new(at + 1, raw, why));
        }
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, line)) => *line += code,
            None => lines.push((at + 1, code.to_owned())),
        }
        if let Some((number, line)) = lines.last().filter(|(_, line)| line.len() > LONGEST) {
            return Err(Problem::new(
                *number,
                line,
                format!("has more than {LONGEST} bytes; shorten it"),
            ));
        }
        goes_on = continued.is_some();
    }
    match lines.last().filter(|_| goes_on) {
        Some((number, line)) => Err(Problem::new(
            *number,
            line,
            "goes on after the end of the file; remove the backslash",
        )),
        None => Ok(lines),
    }
}

/// All that an app's requirements name, with the files that they include.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Packages to install.
    pub packages: Vec<Package>,
    /// Bounds on versions.
    pub constraints: Vec<Package>,
    /// Paths of wheels from the app's folder, and how each is wanted.
    pub wheels: Vec<(PathBuf, Package)>,
    /// Whether versions before a release may be taken.
    pub prereleases: bool,
    /// Whether every package must have a hash.
    pub require_hashes: bool,
}

/// Collects what a file names, and the files that it includes.
///
/// # Errors
/// A sentence with the file, the line, the value and the mend.
pub fn collect<'a>(
    first: &Path,
    read: impl Fn(&Path) -> Option<&'a [u8]>,
) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    let mut seen = BTreeSet::new();
    let mut count = 0;
    let mut left = vec![(first.to_owned(), false, 0)];
    while let Some((path, constraint, depth)) = left.pop() {
        if !seen.insert((path.clone(), constraint)) {
            continue;
        }
        let file = path.display().to_string();
        if seen.len() > MOST_FILES || depth > DEEPEST {
            return Err(format!(
                "{file}: the requirements include more than {MOST_FILES} files, or files more than \
                 {DEEPEST} deep; put them together"
            ));
        }
        let bytes = read(&path).ok_or_else(|| format!("{file}: no such file of the app"))?;
        let entries = parse(bytes).map_err(|problem| problem.told(&file))?;
        count += entries.len();
        if count > MOST {
            return Err(format!("{file}: the app has more than {MOST} requirements; name fewer"));
        }
        let from = path.parent().unwrap_or(Path::new(""));
        for (line, entry) in entries {
            let wrong = |value: &str, why: &str| Problem::new(line, value, why).told(&file);
            let found = |named: &str| {
                let path = inside(from, named).map_err(|why| wrong(named, &why))?;
                match read(&path) {
                    Some(_) => Ok(path),
                    None => Err(wrong(named, "is no file of the app; check the path")),
                }
            };
            match entry {
                Entry::Package(package) if constraint => wanted.constraints.push(package),
                Entry::Package(package) => wanted.packages.push(package),
                Entry::Wheel(path, _) if constraint => {
                    return Err(wrong(
                        &path,
                        "is a wheel, which is no constraint; move the line to requirements.txt",
                    ));
                }
                Entry::Wheel(path, package) => wanted.wheels.push((found(&path)?, package)),
                Entry::File { path, constraint: named } => {
                    left.push((found(&path)?, constraint || named, depth + 1));
                }
                Entry::Prereleases => wanted.prereleases = true,
                Entry::RequireHashes => wanted.require_hashes = true,
            }
        }
    }
    Ok(wanted)
}
