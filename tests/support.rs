//! A server to test.

mod client;
pub mod origin;
pub mod process;
pub mod scripts;
pub mod tls;

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub use client::{Answer, Client, Wire, connect_from};

/// Nothing that is tested takes this long; a test that waits longer failed.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The same for what may wait for a build, which may install its tools first and
/// waits for the builds of other tests.
pub const BUILD_PATIENCE: Duration = Duration::from_secs(1_200);

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_myweb-run");

/// The workspace's folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

/// The component of a guest that is shown.
pub fn guest(name: &str) -> String {
    root().join("guests").join(format!("{name}.wasm")).display().to_string()
}

/// The component of a guest that only tests use.
pub fn test_guest(name: &str) -> String {
    let built = root().join("target/wasm32-wasip2/guest").join(format!("{name}.wasm"));
    built.display().to_string()
}

/// The blocks of code of a page, by language.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).expect("a page");
    let fence = format!("```{language}\n");
    let starts = text.split(&fence).skip(1);
    starts.map(|rest| rest.split("```").next().unwrap_or(rest).to_owned()).collect()
}

/// Where the servers of all tests keep data and compiled components, unless one says
/// otherwise: what a test before had compiled need not be compiled again.
fn keep_state(command: &mut Command) {
    let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for (name, folder) in [("XDG_CACHE_HOME", "caches"), ("XDG_STATE_HOME", "states")] {
        if !command.get_envs().any(|(set, _)| set == name) {
            command.env(name, kept.join(folder));
        }
    }
}

/// Of a server without TCP.
const NO_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The real binary on a port that it picked, ended when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// Where it says that it listens.
    pub listening: Vec<String>,
    /// What it warned of before.
    pub warnings: Vec<String>,
    log: Mutex<Receiver<String>>,
}

impl Server {
    /// Starts in the workspace's folder, where `html` is.
    pub fn start(arguments: &[&str]) -> Server {
        Server::start_in(&root(), arguments)
    }

    /// Starts in a folder and waits until the server listens.
    pub fn start_in(directory: &std::path::Path, arguments: &[&str]) -> Server {
        Server::start_by(Command::new(BINARY).current_dir(directory), arguments)
    }

    /// Starts by a command that ends with the binary.
    pub fn start_by(command: &mut Command, arguments: &[&str]) -> Server {
        let here = ["--addr", "127.0.0.1:0"];
        let here = if arguments.contains(&"--addr") { &[][..] } else { &here[..] };
        Server::start_at(command.args(here).args(arguments), 1)
    }

    /// Starts a command whose standard output is piped, and hands that out.
    pub fn start_with_stdout(command: &mut Command) -> (Server, ChildStdout) {
        let mut server = Server::start_at(command, 1);
        let stdout = server.child.stdout.take().expect("standard output is piped");
        (server, stdout)
    }

    /// Starts a command whose arguments or file name so many listeners; the
    /// server's address is that of the first over TCP.
    pub fn start_at(command: &mut Command, listeners: usize) -> Server {
        keep_state(command);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the server starts");
        let stderr = child.stderr.take().expect("standard error is piped");
        let (sender, log) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut server = Server {
            child,
            address: NO_ADDRESS,
            listening: Vec::new(),
            warnings: Vec::new(),
            log: Mutex::new(log),
        };
        while server.listening.len() < listeners {
            let line = server.next_line().expect("the server says where it listens");
            match line.strip_prefix("listening on ") {
                Some(address) => server.listening.push(address.to_owned()),
                None => {
                    assert!(line.contains(" WARN ") || line.contains(" INFO "), "{line}");
                    server.warnings.extend(Some(line).filter(|line| line.contains(" WARN ")));
                }
            }
        }
        let mut tcp = server.listening.iter().filter_map(|line| line.split_once("://"));
        server.address = tcp.find_map(|(_, text)| text.parse().ok()).unwrap_or(NO_ADDRESS);
        server
    }

    /// The next line of the log.
    fn next_line(&self) -> Option<String> {
        self.log.lock().expect("no reader panicked").recv_timeout(BUILD_PATIENCE).ok()
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends a request of its own connection.
    pub fn request(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
        self.connect().request(method, target, headers, body)
    }

    pub fn get(&self, target: &str) -> Answer {
        self.request("GET", target, "", b"")
    }

    /// Waits for a line of the log that contains a text.
    pub fn wait_for_log(&self, text: &str) -> String {
        let deadline = Instant::now() + BUILD_PATIENCE;
        let log = self.log.lock().expect("no reader panicked");
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = log.recv_timeout(left).unwrap_or_else(|_| panic!("no line has {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// The lines of the log that nobody has waited for yet.
    pub fn log_so_far(&self) -> Vec<String> {
        self.log.lock().expect("no reader panicked").try_iter().collect()
    }

    /// The lines of the log until it ends.
    pub fn log_to_end(&self) -> Vec<String> {
        self.log.lock().expect("no reader panicked").iter().collect()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits until the process has ended.
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process.
pub fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let status = Command::new("kill").args([&format!("-{name}"), &pid]).status();
    assert!(status.expect("kill runs").success());
}

/// Waits until a process has ended.
pub fn wait(child: &mut Child) -> ExitStatus {
    wait_for_end(child, PATIENCE)
}

fn wait_for_end(child: &mut Child, patience: Duration) -> ExitStatus {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("the process can be asked") {
            return status;
        }
        assert!(Instant::now() < deadline, "the process did not end");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Runs the binary to its end: exit code and standard error.
pub fn run(directory: &std::path::Path, arguments: &[&str]) -> (Option<i32>, String) {
    run_for(directory, arguments, PATIENCE)
}

/// The same for what may take longer.
pub fn run_for(
    directory: &std::path::Path,
    arguments: &[&str],
    patience: Duration,
) -> (Option<i32>, String) {
    let mut command = Command::new(BINARY);
    keep_state(&mut command);
    command.args(arguments).current_dir(directory);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the server starts");
    let status = wait_for_end(&mut child, patience);
    let output = child.wait_with_output().expect("the output can be read");
    let text = [output.stdout, output.stderr].concat();
    (status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// An address that nobody else is given: each has a host of its own.
pub fn nobodys_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let host = Ipv4Addr::new(127, 0, 66, NEXT.fetch_add(1, Relaxed));
    let bound = TcpListener::bind((host, 0)).expect("a port");
    bound.local_addr().expect("an address")
}

/// Waits until something holds.
pub fn wait_for(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + BUILD_PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it never holds");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
