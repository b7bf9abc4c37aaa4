//! A server process on the first core, and what it uses.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::peers::{Address, Peer};

/// A running server; killed when dropped, with the workers that it has started.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

/// What a process has used so far.
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
    pub(crate) descriptors: usize,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resident = self.resident as f64 / f64::from(1 << 20);
        write!(f, "{resident:.1} MiB resident, {} descriptors", self.descriptors)
    }
}

impl Server {
    /// Starts a peer on the first core and waits until it listens.
    pub(crate) fn start(peer: &Peer) -> Result<Server> {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).args(&peer.command);
        Server::spawn(command, peer)
    }

    /// Starts a peer on all cores and waits until it listens.
    pub(crate) fn start_on_all_cores(peer: &Peer) -> Result<Server> {
        let (program, arguments) = peer.command.split_first().context("a command")?;
        let mut command = Command::new(program);
        command.args(arguments);
        Server::spawn(command, peer)
    }

    fn spawn(mut command: Command, peer: &Peer) -> Result<Server> {
        let mut child = command
            .current_dir(&peer.directory)
            // One that holds its workers, too.
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| peer.command.join(" "))?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let stderr = child.stderr.take().context("standard error is piped")?;
        let address = match peer.address {
            Address::OnStdout => announced(stdout)?,
            Address::OnStderr => announced(stderr)?,
            Address::Fixed(port) => answering(port)?,
        };
        Ok(Server { child, url: format!("http://{address}{}", peer.path) })
    }

    /// Stops it, and waits for its end: it may have something to write.
    pub(crate) fn stop(mut self) -> Result<()> {
        Command::new("kill").arg(self.id().to_string()).status()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends the server and the workers that it has started, at once.
    pub(crate) fn kill(&self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let address = self.url.trim_start_matches("http://").split('/').next();
        address.context("an address")?.parse().with_context(|| self.url.clone())
    }

    /// What is resident of it, without its workers, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        resident(self.id())
    }

    /// What it and its workers use; CPU time to the nanosecond, from every thread's
    /// schedstat.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let mut usage = Usage { cpu: Duration::ZERO, resident: 0, descriptors: 0 };
        let mut left = vec![self.child.id()];
        while let Some(id) = left.pop() {
            let process = format!("/proc/{id}");
            let mut nanos = 0;
            for task in fs::read_dir(format!("{process}/task"))? {
                let task = task?.path();
                let text = fs::read_to_string(task.join("schedstat"))?;
                nanos += text.split_whitespace().next().context("schedstat")?.parse::<u64>()?;
                let children = fs::read_to_string(task.join("children"))?;
                left.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            }
            usage.cpu += Duration::from_nanos(nanos);
            usage.resident += resident(id)?;
            usage.descriptors += fs::read_dir(format!("{process}/fd"))?.count();
        }
        Ok(usage)
    }
}

/// What is resident of a process, in bytes.
fn resident(id: u32) -> Result<u64> {
    let statm = fs::read_to_string(format!("/proc/{id}/statm"))?;
    let pages: u64 = statm.split_whitespace().nth(1).context("statm")?.parse()?;
    Ok(pages * 4096)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

/// The address in the first line that has one; what follows is read and dropped,
/// so that the server can go on writing.
fn announced(output: impl Read + Send + 'static) -> Result<String> {
    let mut lines = BufReader::new(output).lines();
    let mut said = Vec::new();
    let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let address =
            line.split_once("://").map(|(_, after)| after.trim_end_matches('/').to_owned());
        said.push(line);
        address
    });
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    address.with_context(|| format!("the server ended before it listened: {}", said.join("; ")))
}

/// Waits until a port is listened on.
fn answering(port: u16) -> Result<String> {
    let address = format!("127.0.0.1:{port}");
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(&address).is_err() {
        if Instant::now() > deadline {
            bail!("nothing listens on {address}");
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    Ok(address)
}
