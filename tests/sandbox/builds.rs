//! Whole builds: their tools run in the sandbox, one folder does not wait for another, and
//! nothing of a build stays when it is stopped.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use seccompiler::{SeccompAction, SeccompFilter, TargetArch, apply_filter};

use crate::support::scripts::component;
use crate::support::{BINARY, root, signal, wait, wait_for};

/// A command that builds the app of a folder.
fn build(folder: &Path, state: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["build", "--wsgi", "app:app", "-o", "out.wasm", "--state"]).arg(state);
    command.current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A state directory of its own, with the tools of all tests; `None` where they cannot be
/// installed.
fn state_with_tools() -> Option<tempfile::TempDir> {
    component(&["--wsgi", "plain/app:app"], "plain")?;
    let state = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(state.path().join("build")).expect("a folder");
    let tools = root().join("target/scripts/build/tools");
    std::os::unix::fs::symlink(tools, state.path().join("build/tools")).expect("a link");
    Some(state)
}

/// A folder with an app of this text.
fn app(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("app.py"), text).expect("a file");
    folder
}

const LOOPS: &str = "while True: pass\n";
const SOUND: &str = "def app(environ, start): pass\n";

/// Starts a build, and waits until its app is imported.
fn building(folder: &Path, state: &Path) -> Child {
    let mut child = build(folder, state).spawn().expect("the binary runs");
    let stderr = child.stderr.take().expect("a pipe");
    let line = BufReader::new(stderr).lines().map_while(Result::ok);
    let mut lines = line.filter(|line| line.contains("building app:app"));
    assert!(lines.next().is_some(), "no tool was started");
    child
}

/// The processes whose working folder is in another folder.
fn processes_in(folder: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir("/proc").expect("Linux").flatten();
    let places = all.filter_map(|entry| std::fs::read_link(entry.path().join("cwd")).ok());
    places.filter(|place| place.starts_with(folder)).collect()
}

#[test]
fn a_build_that_does_not_end_holds_up_no_other_folder_and_a_signal_ends_all_of_it() {
    let Some(state) = state_with_tools() else { return };
    let (endless, sound) = (app(LOOPS), app(SOUND));
    let mut first = building(endless.path(), state.path());
    wait_for(|| !processes_in(state.path()).is_empty());
    let second = build(sound.path(), state.path()).output().expect("the binary runs");
    assert!(second.status.success(), "{}", said(&second));
    assert!(first.try_wait().expect("a process").is_none(), "the first build has ended");
    signal(&first, "TERM");
    assert_eq!(wait(&mut first).code(), Some(1));
    wait_for(|| processes_in(state.path()).is_empty());
    let work = state.path().join("build/work");
    assert!(!endless.path().join("out.wasm").exists() && work.is_dir());
}

#[test]
fn a_folder_whose_packages_run_code_reaches_nothing_outside() {
    let Some(state) = state_with_tools() else { return };
    let outside = tempfile::tempdir().expect("a folder");
    let marker = outside.path().join("code-ran");
    let folder = app(SOUND);
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("a file");
    };
    write("requirements.txt", "-e .\n");
    write(
        "pyproject.toml",
        "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
         [project]\nname = \"innocent\"\nversion = \"1\"\n",
    );
    let backend = format!(
        "import os\ndef attack(*all):\n    try: open({marker:?}, 'w').write('x')\n    \
         except OSError: pass\n    raise Exception('ran with ' + str(dict(os.environ)))\n\
         get_requires_for_build_editable = build_editable = build_wheel = attack\n\
         prepare_metadata_for_build_editable = get_requires_for_build_wheel = attack\n"
    );
    write("backend.py", &backend);
    let output = build(folder.path(), state.path()).env("MYWEB_SECRET", "hunter2").output();
    let output = output.expect("the binary runs");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(!marker.exists(), "code ran outside a sandbox: {}", said(&output));
    assert!(!said(&output).contains("hunter2"), "{}", said(&output));
}

/// Runs a command where a system call fails with an error.
fn without(call: libc::c_long, error: libc::c_int, mut command: Command) -> Output {
    let run = move || {
        let machine = TargetArch::try_from(std::env::consts::ARCH).expect("a known machine");
        let fails = SeccompAction::Errno(error.unsigned_abs());
        let calls = BTreeMap::from([(call, Vec::new())]);
        let filter = SeccompFilter::new(calls, SeccompAction::Allow, fails, machine);
        let filter: seccompiler::BpfProgram = filter.and_then(TryInto::try_into).expect("a filter");
        apply_filter(&filter).expect("the system has seccomp");
        command.output().expect("the binary runs")
    };
    std::thread::spawn(run).join().expect("the thread ends")
}

#[test]
fn a_system_without_a_part_of_the_sandbox_builds_only_if_that_is_allowed() {
    let folder = app(SOUND);
    for (call, error, part) in [
        (libc::SYS_landlock_create_ruleset, libc::ENOSYS, "Landlock"),
        (libc::SYS_landlock_create_ruleset, libc::EOPNOTSUPP, "Landlock"),
        (libc::SYS_landlock_restrict_self, libc::EPERM, "Landlock"),
        (libc::SYS_seccomp, libc::EINVAL, "seccomp"),
    ] {
        let state = tempfile::tempdir().expect("a folder");
        // No tool is found, so an allowed build ends with that message.
        let command = |flags: &[&str]| {
            let mut command = build(folder.path(), state.path());
            command.args(flags).env("PATH", folder.path());
            command
        };
        let output = without(call, error, command(&[]));
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("this system lacks") && text.contains(part), "{text}");
        assert!(text.contains("--allow-unsandboxed-builds"), "{text}");
        let output = without(call, error, command(&["--allow-unsandboxed-builds"]));
        let text = said(&output);
        assert!(text.contains("runs without") && text.contains(part), "{text}");
        assert!(text.contains("python3 is not on PATH"), "{text}");
    }
}

#[test]
fn a_build_has_none_of_the_servers_environment_and_reads_no_other_file() {
    let Some(state) = state_with_tools() else { return };
    // Node, if it had the options, would fail before the app is read.
    let folder = app(SOUND);
    std::fs::write(folder.path().join("app.js"), "export const application = () => [200];\n")
        .expect("a file");
    let options = format!("--require {}/nothing.js", folder.path().display());
    for arguments in [&["--wsgi", "app:app"][..], &["app.js", "--engine", "quickjs"]] {
        let output = Command::new(BINARY)
            .args(["build", "-o", "out.wasm", "--state"])
            .arg(state.path())
            .args(arguments)
            .env("NODE_OPTIONS", &options)
            .env("PYTHONPATH", folder.path())
            .env("PYTHONSTARTUP", folder.path().join("nothing.py"))
            .current_dir(folder.path())
            .output()
            .expect("the binary runs");
        assert!(output.status.success(), "{}", said(&output));
    }
}
