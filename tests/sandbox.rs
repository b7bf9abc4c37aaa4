//! The sandbox of builds: what a tool reaches, what it may use, and when it ends.

mod builds;

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::support::{BINARY, root, wait_for};

/// The Python of this machine, and the folder of its library.
fn python() -> (PathBuf, PathBuf) {
    let ask = "import sys, os; print(os.path.realpath(sys.executable)); print(sys.base_prefix)";
    let output = Command::new("python3").args(["-I", "-c", ask]).output().expect("Python runs");
    let text = String::from_utf8(output.stdout).expect("paths");
    let mut lines = text.lines().map(PathBuf::from);
    let (program, prefix) = (lines.next().expect("a path"), lines.next().expect("a path"));
    (program, prefix.join("lib"))
}

/// Runs a script of Python in a sandbox that may write to one folder.
fn run_python(folder: &Path, flags: &[&str], arguments: &[&str]) -> Output {
    let (program, library) = python();
    Command::new(BINARY)
        .arg("sandbox")
        .args(flags)
        .arg("--write")
        .arg(folder)
        .args(["--execute".as_ref(), program.as_os_str()])
        .args(["--execute".as_ref(), library.as_os_str()])
        .args(["--read".as_ref(), root().join("tests/tools").as_os_str()])
        .arg("--")
        .arg(&program)
        .arg("-I")
        .args(arguments)
        .env_clear()
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

/// What a step without network may do, of all that `escape.py` tries.
const ALLOWED: [&str; 1] = ["unix pair of streams"];
/// What a step that fetches packages may do. Modes and times are those of files that the
/// user may change anyway.
const ALLOWED_WITH_NETWORK: [&str; 6] =
    ["change a mode", "change a time", "TCP", "TCP over IPv6", "UDP", "unix pair of streams"];

#[test]
fn a_tool_reaches_nothing_outside_its_sandbox() {
    for (flags, allowed) in
        [(&[][..], &ALLOWED[..]), (&["--network", "--attributes"], &ALLOWED_WITH_NETWORK)]
    {
        let outside = tempfile::tempdir().expect("a folder");
        let inside = tempfile::tempdir().expect("a folder");
        let secret = outside.path().join("key");
        std::fs::write(&secret, "secret").expect("a file");
        let socket = outside.path().join("socket");
        let _others = UnixDatagram::bind(&socket).expect("a socket");
        let aim = json!({
            "secret": secret, "socket": socket, "parent": std::process::id(),
            "home": std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned()),
        });
        let script = root().join("tests/tools/escape.py").display().to_string();
        let output = run_python(inside.path(), flags, &[&script, &aim.to_string()]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{errors}");
        let results: Vec<_> = said.lines().filter_map(|line| line.split_once(": ")).collect();
        assert!(results.len() > 60, "{said}");
        for (attempt, result) in results {
            let expected = allowed.contains(&attempt);
            assert_eq!(result == "allowed", expected, "{flags:?}: {attempt}: {result}");
            let refused = ["EPERM", "EACCES", "ENOSYS", "EXDEV", "allowed"];
            assert!(refused.contains(&result), "{flags:?}: {attempt}: {result}");
        }
        assert_eq!(std::fs::read_to_string(&secret).expect("a file"), "secret");
        assert_eq!(std::fs::read_dir(outside.path()).expect("a folder").count(), 2);
    }
}

#[test]
fn a_tool_gets_no_more_memory_files_or_cpu_time_than_its_limits() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = |flags: &[&str], text: &str| {
        let output = run_python(folder.path(), flags, &["-c", text]);
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let grows = "a = []\nwhile True: a.append(bytearray(1 << 24))";
    let (status, errors) = said(&["--memory", "268435456"], grows);
    assert!(!status.success() && errors.contains("MemoryError"), "{errors}");
    let fills = "f = open('f', 'wb')\nwhile True: f.write(bytes(1 << 20))";
    let (status, errors) = said(&["--file-size", "4194304"], fills);
    assert!(!status.success() && errors.contains("File too large"), "{errors}");
    let opens = "a = []\nwhile True: a.append(open('/dev/null'))";
    let (status, errors) = said(&["--open-files", "32"], opens);
    assert!(!status.success() && errors.contains("Too many open files"), "{errors}");
    let (status, errors) = said(&["--cpu", "1"], "while True: pass");
    assert!(!status.success() && status.code().is_none(), "{status} {errors}");
}

#[test]
fn a_tool_has_no_descriptor_of_the_server_and_ends_with_its_parent() {
    let folder = tempfile::tempdir().expect("a folder");
    // The shell opens a file as systemd opens sockets: programs inherit it.
    let text = format!(
        "exec 7<{}/Cargo.toml; {BINARY} sandbox --write . --parent $$ -- /bin/sh -c \
         'echo $$; cat <&7; exec sleep 1000' & wait",
        root().display()
    );
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &text]).current_dir(folder.path()).stdout(Stdio::piped());
    let mut shell = shell.stderr(Stdio::piped()).spawn().expect("a shell");
    let stdout = shell.stdout.take().expect("a pipe");
    let mut stdout = std::io::BufReader::new(stdout);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("a line");
    let stat = format!("/proc/{}/stat", line.trim());
    let is_gone = || {
        let stat = std::fs::read_to_string(&stat).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    assert!(!is_gone(), "{line}");
    let mut stderr = std::io::BufReader::new(shell.stderr.take().expect("a pipe"));
    let mut error = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut error).expect("a line");
    assert!(error.contains("7"), "the descriptor is closed: {error}");
    shell.kill().expect("a process");
    shell.wait().expect("a process");
    wait_for(is_gone);
}
