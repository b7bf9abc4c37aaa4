//! The folder where builds happen, and one build in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use command_fds::CommandFdExt;

use super::command::{self, Bounds, Ended, tasks_of_user};
use super::digest::Digest;
use super::lock::Lock;
use super::sandbox::Sandbox;
use super::tool::{self, Tool};
use super::{operator, wrong};
use crate::state::{self, State};
use crate::wasm::this_program;

/// Where builds happen.
pub(super) struct Place {
    /// `build` in the state directory, absolute.
    pub(super) root: PathBuf,
}

/// Bounds of one run of a tool. Its processes together may take as much CPU time as two.
const BOUNDS: Bounds = Bounds {
    time: Duration::from_secs(600),
    idle: Some(Duration::from_secs(60)),
    cpu: Duration::from_secs(2 * CPU_OF_PROCESS),
    memory: 4 << 30,
    tasks: 1024,
    output: 16 << 20,
    disk: 4 << 30,
};
/// CPU time of each process, in seconds.
const CPU_OF_PROCESS: u64 = 120;
/// Private writable memory of each process, in bytes.
const MEMORY_OF_PROCESS: u64 = 4 << 30;
/// A file that a tool writes, in bytes.
const LARGEST_FILE: u64 = 512 << 20;
/// Open files of each process.
const OPEN_FILES: u64 = 4096;
/// The working folder of a tool, which has nothing in it or below.
const HERE: &str = "here";
/// Builds of all folders at the same time: at least these, and two for each core.
const LEAST_BUILDS: usize = 8;

impl Place {
    /// SECURITY: its programs are run, so it is the server's own.
    pub(super) fn open(state: Option<&Path>) -> Result<Place, String> {
        let state = state.map(Path::to_owned).or_else(state::default_path);
        let state = state.ok_or("there is no directory of caches; name one with --state DIR")?;
        let root = State::open(&state)?.folder("build")?;
        for folder in ["components", "locks", "packages", "places", "tools", "work"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(|error| wrong(&folder, &error))?;
        }
        let root = fs::canonicalize(&root).map_err(|error| wrong(&root, &error))?;
        Ok(Place { root })
    }

    /// Waits until no other process builds the same folder, and then for one of the places
    /// that all builds have. So a folder has one place at most, and whoever builds many
    /// apps of one folder waits for himself.
    pub(super) fn build(&self, folder: &Path) -> Result<Build<'_>, String> {
        let mut digest = Digest::default();
        digest.add(folder.as_os_str().as_encoded_bytes());
        let name = digest.name();
        let lock = self.root.join("locks").join(&name);
        let of_folder = Lock::take(&lock, "another process builds this app");
        let of_folder = of_folder.map_err(|error| wrong(&lock, &error))?;
        let work = self.root.join("work").join(&name);
        Ok(Build { place: self, of_folder, of_all: None, work, allow_missing: false })
    }
}

/// One build. Its working folder is emptied when it ends.
pub(super) struct Build<'a> {
    pub(super) place: &'a Place,
    of_folder: Lock,
    of_all: Option<Lock>,
    /// A folder of this build alone.
    pub(super) work: PathBuf,
    allow_missing: bool,
}

impl Build<'_> {
    /// Waits for a place among all builds, and makes the working folder.
    ///
    /// # Errors
    /// The system has no sandbox, and `allow_unsandboxed` is not set: a sentence.
    pub(super) fn start(&mut self, allow_unsandboxed: bool) -> Result<(), String> {
        let missing = missing_parts()?;
        self.allow_missing = allows(&missing, allow_unsandboxed)?;
        if self.allow_missing {
            tracing::warn!("this build runs without {}", missing.join(" and "));
        }
        let places = self.place.root.join("places");
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let taken = Lock::take_one_of(&places, LEAST_BUILDS.max(2 * cores));
        self.of_all = Some(taken.map_err(|error| wrong(&places, &error))?);
        empty(&self.work).map_err(|error| wrong(&self.work, &error))
    }

    /// Runs a tool in a sandbox to its end. The tool holds the locks of the build, too: if
    /// this process is killed before, nobody else builds the folder until the tool has
    /// ended. `lock` is one more that it holds.
    pub(super) fn run(&self, tool: &Tool, lock: Option<&Lock>) -> Result<Ended, String> {
        let own = self.work.join("own");
        empty(&own).map_err(|error| wrong(&own, &error))?;
        for name in ["home/.config", "tmp", "cache", "data", "state", HERE] {
            let folder = own.join(name);
            fs::create_dir_all(&folder).map_err(|error| wrong(&folder, &error))?;
        }
        let ended = self.run_with(tool, lock, &own);
        // The operator's settings are for one run.
        let _ = fs::remove_dir_all(&own);
        ended
    }

    fn run_with(&self, tool: &Tool, lock: Option<&Lock>, own: &Path) -> Result<Ended, String> {
        let program = this_program().ok_or("the program of the server is not known")?;
        let locks = [Some(&self.of_folder), self.of_all.as_ref(), lock];
        let shared: Result<Vec<_>, _> = locks.iter().flatten().map(|lock| lock.share()).collect();
        let shared = shared.map_err(|error| wrong(&self.work, &error))?;
        let mut sandbox = self.sandbox(tool, own);
        sandbox.keep = shared.iter().map(std::os::fd::AsRawFd::as_raw_fd).collect();
        let mut environment = tool::environment(own);
        let mut bounds = BOUNDS;
        if tool.fetches {
            // It waits for the network.
            bounds.idle = None;
            environment.extend(operator::environment(&own.join("home")));
            sandbox.read.extend(operator::files(&tool.program));
        }
        let here = own.join(HERE);
        let mut command = Command::new(program);
        command
            .arg("sandbox")
            .args(sandbox.arguments())
            .env_clear()
            .envs(environment)
            .envs(tool.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(tool.folder.as_deref().unwrap_or(&here))
            .preserved_fds(shared);
        let name = tool.program.file_name().unwrap_or_default().to_string_lossy();
        command::run(&mut command, &name, &bounds, &sandbox.write)
    }

    fn sandbox(&self, tool: &Tool, own: &Path) -> Sandbox {
        let mut write = tool.write.clone();
        write.push(own.to_owned());
        Sandbox {
            allow_missing: self.allow_missing,
            network: tool.fetches,
            attributes: tool.installs,
            parent: Some(std::process::id()),
            read: tool.read.clone(),
            execute: tool.execute.clone(),
            write,
            cpu: Some(CPU_OF_PROCESS),
            memory: Some(MEMORY_OF_PROCESS),
            file_size: Some(LARGEST_FILE),
            open_files: Some(OPEN_FILES),
            // The system counts all that the user runs, the server's threads, too.
            processes: Some(tasks_of_user() + BOUNDS.tasks as u64),
            tool: [vec![tool.program.clone().into_os_string()], tool.arguments.clone()].concat(),
            ..Sandbox::default()
        }
    }
}

impl Drop for Build<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.work);
    }
}

/// Makes a folder with nothing in it.
pub(super) fn empty(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(folder)
}

/// The parts of the sandbox that this system lacks, by a process that tries all of them.
fn missing_parts() -> Result<Vec<String>, String> {
    let program = this_program().ok_or("the program of the server is not known")?;
    let probe = Sandbox { probe: true, ..Sandbox::default() };
    let mut command = Command::new(program);
    command.arg("sandbox").args(probe.arguments()).env_clear().current_dir("/");
    let ended = command::run(&mut command, "the probe of the sandbox", &BOUNDS, &[])?;
    if !ended.ok {
        return Err(format!("the probe of the sandbox failed: {}", ended.said));
    }
    Ok(ended.said.lines().map(str::to_owned).collect())
}

/// Whether a build runs without these parts of the sandbox.
///
/// # Errors
/// Some are missing, and the operator does not allow that: a sentence with the mend.
fn allows(missing: &[String], allow_unsandboxed: bool) -> Result<bool, String> {
    match missing {
        [] => Ok(false),
        _ if allow_unsandboxed => Ok(true),
        missing => Err(format!(
            "builds run in a sandbox, for which this system lacks {}; build on another \
             machine, or allow builds of folders that you trust with \
             --allow-unsandboxed-builds",
            missing.join(" and ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_a_part_of_the_sandbox_needs_the_operators_leave() {
        for (missing, allowed, expected) in [
            (&[][..], false, Ok(false)),
            (&[], true, Ok(false)),
            (&["Landlock"], true, Ok(true)),
            (&["Landlock"], false, Err("lacks Landlock;")),
            (&["Landlock", "seccomp"], false, Err("lacks Landlock and seccomp;")),
        ] {
            let missing: Vec<String> = missing.iter().map(|name| (*name).to_owned()).collect();
            match (allows(&missing, allowed), expected) {
                (Err(why), Err(part)) => {
                    assert!(why.contains(part) && why.contains("--allow-unsandboxed-builds"));
                }
                (found, expected) => assert_eq!(found.ok(), expected.ok(), "{missing:?}"),
            }
        }
    }
}
