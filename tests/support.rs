//! A server to test, and a client that hides nothing of what is sent.

pub mod origin;
pub mod process;
pub mod scripts;
pub mod tls;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Nothing that is tested takes this long; a test that waits longer failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

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

/// Where the servers of all tests keep compiled components, unless one says
/// otherwise: what a test before had compiled need not be compiled again.
fn keep_state(command: &mut Command) {
    if !command.get_envs().any(|(name, _)| name == "MYWEB_STATE") {
        command.env("MYWEB_STATE", PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("state"));
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
        self.log.lock().expect("no reader panicked").recv_timeout(PATIENCE).ok()
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
        let deadline = Instant::now() + PATIENCE;
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
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(status.expect("kill runs").success());
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

fn wait(child: &mut Child) -> ExitStatus {
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

/// What a connection is over: TCP, TLS, or a socket of the file system.
pub trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

/// One connection.
pub struct Client {
    stream: BufReader<Box<dyn Wire>>,
}

/// An answer as it was read from the wire.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The whole head, as it was sent.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header that is there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is there twice");
        value
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("text")
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client::over(stream)
    }

    /// A client of a connection whose reads have a timeout.
    pub fn over(stream: impl Wire + 'static) -> Client {
        Client { stream: BufReader::new(Box::new(stream)) }
    }

    /// Sends bytes; the server may have closed already.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Sends a request and reads its answer; the connection stays open.
    pub fn request(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{length}{headers}\r\n");
        self.send(head.as_bytes());
        self.send(body);
        self.read_answer_to(method).expect("an answer")
    }

    pub fn get(&mut self, target: &str) -> Answer {
        self.request("GET", target, "", b"")
    }

    /// Reads the next answer, or `None` if the server closed before it.
    pub fn read_answer(&mut self) -> Option<Answer> {
        self.read_answer_to("GET")
    }

    fn read_answer_to(&mut self, method: &str) -> Option<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if in_time(self.stream.read_line(&mut head))? == 0 {
                assert_eq!(head, "", "the server closed within a head");
                return None;
            }
        }
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).expect(&head);
        let mut answer = Answer { status, head, body: Vec::new() };
        let bodiless = method == "HEAD" || status == 204 || status == 304;
        let length =
            answer.header("content-length").map_or(0, |text| text.parse().expect("a length"));
        answer.body.resize(if bodiless { 0 } else { length }, 0);
        self.stream.read_exact(&mut answer.body).expect("a whole body");
        if answer.header("transfer-encoding").is_some() && !bodiless {
            answer.body = self.read_chunks();
        }
        Some(answer)
    }

    fn read_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let chunk = self.read_chunk();
            if chunk.is_empty() {
                return body;
            }
            body.extend(chunk);
        }
    }

    /// Reads the next head, not what follows.
    pub fn read_head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push_str(&self.read_line());
        }
        head
    }

    /// Reads the next line, with its end.
    pub fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        assert!(line.ends_with('\n'), "the server closed after {line:?}");
        line
    }

    /// Reads the next chunk of a body; the last is empty.
    pub fn read_chunk(&mut self) -> Vec<u8> {
        let line = self.read_line();
        let size = usize::from_str_radix(line.trim_end(), 16).expect("a size");
        let mut chunk = self.read(size + 2);
        chunk.truncate(size);
        chunk
    }

    /// Whether the server closes, with nothing more to read.
    pub fn is_closed(&mut self) -> bool {
        matches!(in_time(self.stream.read(&mut [0; 1])), Some(0) | None)
    }

    /// Reads so many bytes of what comes.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("so many bytes");
        bytes
    }

    /// Reads all that comes until the server closes or breaks off: how many bytes.
    pub fn read_to_end(&mut self) -> usize {
        self.read_all().len()
    }

    /// Reads all that comes until the server closes or breaks off.
    pub fn read_all(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        in_time(self.stream.read_to_end(&mut bytes));
        bytes
    }
}

/// What was read, or `None` if the server broke the connection off. That it
/// does nothing at all is never what a test waits for.
fn in_time<T>(read: std::io::Result<T>) -> Option<T> {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    let late = |error: &std::io::Error| matches!(error.kind(), WouldBlock | TimedOut);
    assert!(!read.as_ref().is_err_and(late), "the server did not answer and did not close");
    read.ok()
}

/// Waits until something holds.
pub fn wait_for(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it never holds");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
