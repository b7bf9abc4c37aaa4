//! A tool that a build runs: the program with its arguments, and the paths that it may
//! use beside those of the system.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::tools::on_path;

/// A tool, and all that it may do.
pub(super) struct Tool {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(OsString, OsString)>,
    /// The working folder; if left out, an empty one.
    pub(super) folder: Option<PathBuf>,
    pub(super) read: Vec<PathBuf>,
    pub(super) execute: Vec<PathBuf>,
    pub(super) write: Vec<PathBuf>,
    /// Whether the tool fetches packages: then it reaches the internet, and has the
    /// operator's settings of package indexes and proxies.
    pub(super) fetches: bool,
    /// Whether the tool sets modes and times of files. Landlock does not restrict that, so
    /// only steps do so which have no code of apps.
    pub(super) installs: bool,
}

impl Tool {
    pub(super) fn new(program: impl Into<PathBuf>) -> Tool {
        let program = program.into();
        let execute = paths_of(&program);
        Tool {
            program,
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: None,
            read: Vec::new(),
            execute,
            write: Vec::new(),
            fetches: false,
            installs: false,
        }
    }

    pub(super) fn arg(mut self, argument: impl AsRef<OsStr>) -> Tool {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(super) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Tool {
        let arguments = arguments.into_iter().map(|argument| argument.as_ref().to_owned());
        self.arguments.extend(arguments);
        self
    }

    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Tool {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    pub(super) fn in_folder(mut self, folder: &Path) -> Tool {
        self.folder = Some(folder.to_owned());
        self
    }

    pub(super) fn reads(mut self, path: impl Into<PathBuf>) -> Tool {
        self.read.push(path.into());
        self
    }

    pub(super) fn executes(mut self, path: impl Into<PathBuf>) -> Tool {
        self.execute.push(path.into());
        self
    }

    /// The tool starts another program, with the libraries of that.
    pub(super) fn runs(mut self, program: &Path) -> Tool {
        self.execute.extend(paths_of(program));
        self
    }

    pub(super) fn writes(mut self, path: impl Into<PathBuf>) -> Tool {
        self.write.push(path.into());
        self
    }

    /// The tool installs files, and fetches none.
    pub(super) fn installs(mut self) -> Tool {
        self.installs = true;
        self
    }

    /// The tool fetches files, and installs them.
    pub(super) fn fetches(mut self) -> Tool {
        (self.fetches, self.installs) = (true, true);
        self
    }
}

/// Interpreters of scripts that are themselves scripts.
const MOST_INTERPRETERS: usize = 3;
/// The system reads as much of a script's first line.
const FIRST_LINE: u64 = 256;

/// The paths outside the system's own that a program needs: its file, its libraries, and
/// those of its interpreter. `~/.local/bin/uv` gets `~/.local/lib`, and no more of `~`.
pub(super) fn paths_of(program: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut next = Some(program.to_owned());
    for _ in 0..MOST_INTERPRETERS {
        let Some(program) = next else { break };
        paths.extend(paths_beside(&program));
        if let Ok(real) = fs::canonicalize(&program) {
            paths.extend(paths_beside(&real));
        }
        next = interpreter(&program);
    }
    paths
}

fn paths_beside(program: &Path) -> Vec<PathBuf> {
    let mut paths = vec![program.to_owned()];
    let Some(folder) = program.parent() else { return paths };
    let Some(prefix) = folder.parent() else { return paths };
    if folder.ends_with("bin") {
        let names = ["lib", "lib64", "libexec", "pyvenv.cfg"];
        paths.extend(names.map(|name| prefix.join(name)));
    }
    // Small scripts of pyenv and asdf, which find the program elsewhere below.
    if folder.ends_with("shims") {
        paths.push(prefix.to_owned());
    }
    paths
}

/// The program that runs a script, by the script's first line.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    File::open(script).ok()?.take(FIRST_LINE).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line).into_owned();
    let mut words = line.split_whitespace();
    let program = Path::new(words.next()?).to_owned();
    if !program.ends_with("env") {
        return Some(program);
    }
    on_path(words.find(|word| !word.starts_with('-'))?)
}

/// The environment of every tool: programs are found as by the server, and all files of
/// its own are in one folder.
pub(super) fn environment(folder: &Path) -> Vec<(OsString, OsString)> {
    let places = [
        ("HOME", "home"),
        ("TMPDIR", "tmp"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_CONFIG_HOME", "home/.config"),
        ("XDG_DATA_HOME", "data"),
        ("XDG_STATE_HOME", "state"),
    ];
    let places = places.map(|(name, place)| (name.into(), folder.join(place).into_os_string()));
    let path = env::var_os("PATH").unwrap_or_default();
    let own = [("PATH".into(), path), ("LANG".into(), "C.UTF-8".into())];
    places.into_iter().chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_needs_the_libraries_of_its_interpreter() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().join("python/bin/python3.11");
        let interpreter = folder.path().join("venv/bin/python3");
        let script = folder.path().join("venv/bin/pip");
        for file in [&real, &interpreter] {
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        }
        fs::write(&real, "").expect("a file");
        std::os::unix::fs::symlink(&real, &interpreter).expect("a link");
        fs::write(&script, format!("#!{} -I\nimport sys\n", interpreter.display()))
            .expect("a file");
        let paths = paths_of(&script);
        let real = fs::canonicalize(&real).expect("a path");
        let library = real.parent().and_then(Path::parent).expect("a prefix").join("lib");
        for path in [&script, &interpreter, &real, &library] {
            assert!(paths.contains(path), "{path:?} in {paths:?}");
        }
        let whole = |path: &PathBuf| folder.path().join("venv").starts_with(path);
        assert!(!paths.iter().any(whole), "{paths:?}");
    }
}
