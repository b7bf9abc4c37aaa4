//! Which of a folder's files a component may contain, by their names: the rules of the server, and
//! those of the app's own `.mywebignore`, in the syntax of gitignore.

use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::text::{Problem, decode};

/// The name of the file with an app's own rules.
pub(super) const FILE: &str = ".mywebignore";
/// The largest such file, in bytes, and its most lines. Each pattern costs time for each file.
pub(super) const LARGEST: usize = 64 << 10;
const MOST_LINES: usize = 1_000;
const LONGEST_LINE: usize = 1_000;

/// Folders that are never part of an app.
const NEVER: [&str; 4] = ["__pycache__", "node_modules", "venv", "site-packages"];
/// Ends of files that are no part of an app: components, files that are still written, logs.
const ENDS: [&str; 3] = ["wasm", "part", "log"];
/// Ends of files with keys and passwords, and of the server's databases.
const SECRET_ENDS: [&str; 13] = [
    "pem", "key", "p8", "p12", "pfx", "pkcs12", "jks", "keystore", "ppk", "kdb", "kdbx", "redb",
    "tfstate",
];
/// Files and folders with keys and passwords.
const SECRET_NAMES: [&str; 15] = [
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
    "secrets",
    "secrets.json",
    "secrets.toml",
    "secrets.yaml",
    "secrets.yml",
    "credentials",
    "credentials.json",
    "client_secret.json",
    "htpasswd",
];
/// Hidden files that are named when they are left out; other hidden files are left out silently.
const SECRET_HIDDEN: [&str; 12] = [
    ".npmrc",
    ".netrc",
    ".pypirc",
    ".git-credentials",
    ".htpasswd",
    ".pgpass",
    ".my.cnf",
    ".ssh",
    ".aws",
    ".gnupg",
    ".kube",
    ".docker",
];
/// Ends that editors and people add to the name of a copy.
const COPIES: [&str; 8] = [".bak", ".old", ".orig", ".save", ".swp", ".tmp", ".copy", ".backup"];

pub(super) const SECRET: &str = "may hold a secret";

/// Whether a file becomes part of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    /// Left out, as everybody expects.
    Left,
    /// Left out for safety, for this reason.
    Unsafe(&'static str),
}

/// The rules of one folder.
pub(super) struct Rules {
    own: Gitignore,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { own: Gitignore::empty() }
    }
}

impl Rules {
    /// Reads a `.mywebignore`.
    ///
    /// # Errors
    /// The file is too large, or has a line that is no pattern.
    pub(super) fn parse(bytes: &[u8]) -> Result<Rules, Problem> {
        let text = decode(bytes, LARGEST)?;
        let mut builder = GitignoreBuilder::new("");
        for (at, line) in text.lines().enumerate() {
            if at >= MOST_LINES || line.len() > LONGEST_LINE {
                let why = format!(
                    "the file has more than {MOST_LINES} lines, or a line of more than \
                     {LONGEST_LINE} bytes; shorten it"
                );
                return Err(Problem::new(at + 1, "", why));
            }
            builder
                .add_line(None, line)
                .map_err(|error| Problem::new(at + 1, line, format!("is no pattern: {error}")))?;
        }
        let own = builder.build().map_err(|error| {
            Problem::of_file(format!("the patterns are too large: {error}; write fewer"))
        })?;
        Ok(Rules { own })
    }

    /// Judges a file or folder by its path from the app's folder, where the folders above it are
    /// taken.
    pub(super) fn judge(&self, path: &Path, is_folder: bool) -> Verdict {
        let Some(name) = path.file_name() else { return Verdict::Taken };
        let Some(name) = name.to_str() else { return Verdict::Unsafe("its name is not UTF-8") };
        let ends = |ends: &[&str]| {
            Path::new(name).extension().is_some_and(|end| ends.iter().any(|one| end == *one))
        };
        if (is_folder && NEVER.contains(&name)) || (!is_folder && ends(&ENDS)) {
            return Verdict::Left;
        }
        match self.own.matched(path, is_folder) {
            Match::Ignore(_) => return Verdict::Left,
            Match::Whitelist(glob) if is_literal(glob.original()) => return Verdict::Taken,
            Match::Whitelist(_) | Match::None => {}
        }
        match (is_secret(name), name.starts_with('.')) {
            (true, _) => Verdict::Unsafe(SECRET),
            (false, true) => Verdict::Left,
            (false, false) => Verdict::Taken,
        }
    }

    /// Judges a file with all the folders above it.
    pub(super) fn judge_all(&self, path: &Path) -> Verdict {
        let above: Vec<&Path> = path.ancestors().skip(1).collect();
        let folders = above.into_iter().rev().filter(|path| !path.as_os_str().is_empty());
        let verdicts = folders.map(|path| self.judge(path, true));
        let first = verdicts.into_iter().find(|verdict| *verdict != Verdict::Taken);
        first.unwrap_or_else(|| self.judge(path, false))
    }
}

/// Whether a `.mywebignore` of these bytes lets a file in; `None` if the file is refused.
pub(crate) fn takes(bytes: &[u8], path: &Path) -> Option<bool> {
    let rules = Rules::parse(bytes).ok()?;
    Some(rules.judge_all(path) == Verdict::Taken)
}

/// Whether a pattern names a file without wildcards: only such a line lets a secret or a hidden
/// file in.
fn is_literal(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', '{', '\\'])
}

/// Whether a name is that of a secret, in any case and also as a copy: `KEY.PEM.bak`, `id_rsa~`.
fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let mut name = name.as_str();
    loop {
        let numbered = || {
            let (rest, number) = name.rsplit_once('.')?;
            number.bytes().all(|byte| byte.is_ascii_digit()).then_some(rest)
        };
        let shorter = name
            .strip_suffix('~')
            .or_else(|| COPIES.iter().find_map(|end| name.strip_suffix(end)))
            .or_else(numbered);
        match shorter.filter(|rest| !rest.is_empty()) {
            Some(rest) => name = rest,
            None => break,
        }
    }
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    SECRET_ENDS.contains(&end)
        || SECRET_NAMES.contains(&name)
        || SECRET_HIDDEN.contains(&name)
        || name.starts_with(".env")
        || name.trim_start_matches('.') == "secrets"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(ignore: &str, path: &str) -> Verdict {
        let rules = Rules::parse(ignore.as_bytes()).expect("a sound file");
        rules.judge_all(Path::new(path))
    }

    #[test]
    fn secrets_are_left_out_and_named_and_other_files_are_taken() {
        for path in [
            "key.pem",
            "KEY.PEM",
            "a/server.key",
            "key.pem.bak",
            "key.pem~",
            "key.pem.1",
            "key.pem.bak.2",
            ".env",
            ".env.local",
            ".envrc",
            ".ENV",
            "id_rsa",
            "id_ed25519",
            "a.p12",
            "a.pfx",
            "a.jks",
            "keyvalue.redb",
            "keyvalue.redb.old",
            "secrets/database",
            "a/secrets/b.txt",
            "Secrets/x",
            ".secrets/x",
            "credentials.json",
            "secrets.yml",
            ".npmrc",
            ".netrc",
            ".pypirc",
            ".ssh/id",
            "a.kdbx",
        ] {
            assert_eq!(judged("", path), Verdict::Unsafe(SECRET), "{path}");
        }
        for path in [
            "app.py",
            "templates/page.html",
            "data.sqlite3",
            "log",
            "key",
            "keys.py",
            "id_rsa.pub",
            "public.crt",
            "environment.py",
            "secret.py",
            "monkey.txt",
            "pem",
            "a.pem.py",
            "package.json",
        ] {
            assert_eq!(judged("", path), Verdict::Taken, "{path}");
        }
        for path in [
            "server.log",
            "app.wasm",
            "a.part",
            "js/node_modules/hono/index.js",
            ".git/config",
            "__pycache__/a.pyc",
            "venv/x",
            ".mywebignore",
            ".DS_Store",
        ] {
            assert_eq!(judged("", path), Verdict::Left, "{path}");
        }
    }

    #[test]
    fn an_app_leaves_out_more_and_lets_named_files_in() {
        let ignore = "# big\n!.*\n!*.key\n*.bin\n/build/\n!keep.bin\n!public.pem\n!.well-known/\n!certs/ca.pem\n!secret?\n";
        for (path, expected) in [
            ("a.bin", Verdict::Left),
            ("keep.bin", Verdict::Taken),
            ("build/a.py", Verdict::Left),
            ("a/build/a.py", Verdict::Taken),
            ("public.pem", Verdict::Taken),
            ("a/public.pem", Verdict::Taken),
            ("private.pem", Verdict::Unsafe(SECRET)),
            ("certs/ca.pem", Verdict::Taken),
            (".well-known/x", Verdict::Taken),
            (".well-known/.env", Verdict::Unsafe(SECRET)),
            (".env", Verdict::Unsafe(SECRET)),
            (".other", Verdict::Left),
            ("server.key", Verdict::Unsafe(SECRET)),
            ("secrets/x", Verdict::Unsafe(SECRET)),
            ("node_modules/x", Verdict::Left),
        ] {
            assert_eq!(judged(ignore, path), expected, "{path}");
        }
        assert_eq!(judged("!.env", ".env"), Verdict::Taken);
        assert_eq!(judged("!secrets/", "secrets/a"), Verdict::Taken);
        assert_eq!(judged("!secrets/", "secrets/a.key"), Verdict::Unsafe(SECRET));
        assert_eq!(
            judged("!public.pem\npublic.pem", "public.pem"),
            Verdict::Left,
            "the last line counts"
        );
        assert_eq!(judged("!node_modules/\n!a.wasm", "node_modules/a.wasm"), Verdict::Left);
    }

    #[test]
    fn patterns_are_bounded_and_mistakes_have_their_line() {
        let lines = "a\n".repeat(1_001);
        let line = "a".repeat(1_001);
        let large = format!("{}\n", "a".repeat(900)).repeat(100);
        let wide = format!("{{{}}}\n", vec!["a*b*c*"; 140].join(",")).repeat(60);
        for text in [lines.as_bytes(), line.as_bytes(), large.as_bytes(), b"\xff", b"a\0"] {
            assert!(Rules::parse(text).is_err());
        }
        // Either is an answer, and both come at once.
        let _ = Rules::parse(wide.as_bytes()).map(|rules| rules.judge_all(Path::new("abcabc")));
        let problem = Rules::parse(b"a\n[z-a]\n").err().expect("it is no pattern");
        assert_eq!((problem.line, problem.value.as_str()), (2, "[z-a]"));
    }
}
