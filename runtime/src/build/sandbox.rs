//! The sandbox in which the tools of builds run: what it allows, as arguments of the
//! hidden subcommand `sandbox` of this program. That process restricts itself, and then
//! replaces itself by the tool.

mod capabilities;
mod descriptors;
mod enter;
mod limits;
mod paths;
mod syscalls;
mod system;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

pub use enter::{FAILED, enter};

/// What a tool may do.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// Print the parts of the sandbox that this system lacks, and run no tool.
    #[arg(long)]
    pub probe: bool,
    /// Run the tool also where the system lacks a part of the sandbox.
    #[arg(long)]
    pub allow_missing: bool,
    /// Allow connections over the internet.
    #[arg(long)]
    pub network: bool,
    /// Allow changes of modes and times of files.
    #[arg(long)]
    pub attributes: bool,
    /// The process that must still be the parent.
    #[arg(long)]
    pub parent: Option<u32>,
    /// A descriptor that stays open for the tool.
    #[arg(long)]
    pub keep: Vec<i32>,
    /// A file or a folder to read.
    #[arg(long)]
    pub read: Vec<PathBuf>,
    /// A file or a folder to read and to execute.
    #[arg(long)]
    pub execute: Vec<PathBuf>,
    /// A file or a folder to read and to write.
    #[arg(long)]
    pub write: Vec<PathBuf>,
    /// CPU time of each process, in seconds.
    #[arg(long)]
    pub cpu: Option<u64>,
    /// Private writable memory of each process, in bytes.
    #[arg(long)]
    pub memory: Option<u64>,
    /// Size of each file that is written, in bytes.
    #[arg(long)]
    pub file_size: Option<u64>,
    /// Open files of each process.
    #[arg(long)]
    pub open_files: Option<u64>,
    /// Processes and threads of the user.
    #[arg(long)]
    pub processes: Option<u64>,
    /// The tool, as a path, and its arguments.
    #[arg(last = true)]
    pub tool: Vec<OsString>,
}

impl Sandbox {
    /// The arguments of the subcommand that describe this sandbox.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let flags = [
            (self.probe, "--probe"),
            (self.allow_missing, "--allow-missing"),
            (self.network, "--network"),
            (self.attributes, "--attributes"),
        ];
        arguments.extend(flags.iter().filter(|(set, _)| *set).map(|(_, name)| (*name).into()));
        let numbers = [
            ("--parent", self.parent.map(u64::from)),
            ("--cpu", self.cpu),
            ("--memory", self.memory),
            ("--file-size", self.file_size),
            ("--open-files", self.open_files),
            ("--processes", self.processes),
        ];
        for (name, number) in numbers {
            let Some(number) = number else { continue };
            arguments.extend([name.into(), number.to_string().into()]);
        }
        for descriptor in &self.keep {
            arguments.extend(["--keep".into(), descriptor.to_string().into()]);
        }
        for (name, paths) in
            [("--read", &self.read), ("--execute", &self.execute), ("--write", &self.write)]
        {
            for path in paths {
                arguments.extend([name.into(), path.clone().into_os_string()]);
            }
        }
        if !self.tool.is_empty() {
            arguments.push("--".into());
            arguments.extend(self.tool.iter().cloned());
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        sandbox: Sandbox,
    }

    #[test]
    fn sandbox_is_the_same_after_its_arguments_are_parsed() {
        let sandbox = Sandbox {
            network: true,
            parent: Some(7),
            keep: vec![5],
            read: vec!["/a b".into(), "/c".into()],
            execute: vec!["/usr".into()],
            write: vec!["/work".into()],
            cpu: Some(1),
            memory: Some(2),
            file_size: Some(3),
            open_files: Some(4),
            processes: Some(5),
            tool: vec!["/bin/sh".into(), "-c".into(), "--probe".into()],
            ..Sandbox::default()
        };
        let arguments = [vec!["sandbox".into()], sandbox.arguments()].concat();
        let parsed = Command::try_parse_from(arguments).expect("valid arguments");
        assert_eq!(parsed.sandbox, sandbox);
    }
}
