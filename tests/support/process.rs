//! What a server's process uses.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Server;

/// The descriptors of a process.
pub fn descriptors(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("Linux").count()
}

/// Resident memory in bytes.
pub fn memory(server: &Server) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{}/statm", server.pid())).expect("Linux");
    let pages: u64 = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("pages");
    pages * 4096
}

/// The CPU time that all threads have used.
pub fn cpu(server: &Server) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("Linux");
    let used = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(used.sum())
}

/// Changes how many descriptors a running process may have.
pub fn limit_descriptors(server: &Server, most: usize) {
    let (pid, most) = (server.pid().to_string(), format!("--nofile={most}:"));
    let status = Command::new("prlimit").args(["--pid", &pid, &most]).status();
    assert!(status.expect("prlimit runs").success());
}

/// From now on this process may have as many descriptors as the system allows.
pub fn raise_descriptors() {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).expect("descriptors");
}

/// Lets a time pass that is itself what is tested.
pub fn pass(time: Duration) {
    let until = std::time::Instant::now() + time;
    while let Some(left) = until.checked_duration_since(std::time::Instant::now()) {
        std::thread::park_timeout(left);
    }
}
