//! Hostile guests, by the rows of the catalogue that each test is named for.
//! Beside each attack a well-behaved app of the same server is asked, and must
//! answer as if nothing were.

mod advisories;
mod cache;
mod compile;
pub mod component;
mod cpu;
mod host_calls;
mod isolation;
mod many;
mod names;
mod streams;
pub mod work;

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::support::{BINARY, Client, PATIENCE, Server, guest, root};

/// The slowest answer that the victim may get.
const SLOWEST: Duration = Duration::from_secs(3);
/// An attack that goes on for longer has not been stopped.
const LONGEST: Duration = Duration::from_secs(120);
/// What each attacker may have of memory, unless a test says otherwise, and what
/// the server may take beside it while attacks go on, in MiB.
const MEMORY: usize = 16;
const BESIDE: usize = 24;

/// Another tenant beside an attack, and what the server itself is before it and
/// after.
pub struct Victim<'a> {
    server: &'a Server,
    threads: usize,
    descriptors: usize,
    /// What each attacker may have of memory, in MiB.
    memory: usize,
}

impl<'a> Victim<'a> {
    pub fn of(server: &'a Server) -> Victim<'a> {
        let mut victim = Victim { server, threads: 0, descriptors: 0, memory: MEMORY };
        // What was needed to start has ended when it answers.
        victim.is_well();
        victim.threads = of_process(server, "task");
        victim.descriptors = of_process(server, "fd");
        victim
    }

    /// Beside attackers that may have more memory.
    fn of_large(server: &'a Server, memory: usize) -> Victim<'a> {
        Victim { memory, ..Victim::of(server) }
    }

    pub fn is_well(&self) {
        let asked = Instant::now();
        let answer = ask(&mut self.server.connect(), "good.example", "/good/sayhello");
        assert_eq!(answer.text(), "Hello, world!\n");
        // Percentiles are for benchmarks; this is what no load of a test machine
        // explains.
        let took = asked.elapsed();
        assert!(took < SLOWEST, "the victim waited for {took:?}");
    }

    /// Attacks with some clients at once, and asks the victim meanwhile.
    pub fn beside(&self, clients: usize, attack: impl Fn() + Sync) {
        let before = memory_of(self.server, "VmRSS");
        forget_peak(self.server);
        std::thread::scope(|scope| {
            let attacks: Vec<_> = (0..clients).map(|_| scope.spawn(&attack)).collect();
            let deadline = Instant::now() + LONGEST;
            while attacks.iter().any(|attack| !attack.is_finished()) {
                self.is_well();
                assert!(Instant::now() < deadline, "the attack does not end");
            }
            for attack in attacks {
                attack.join().expect("what is expected of the attack");
            }
        });
        self.is_well();
        let most = before + ((clients * self.memory + BESIDE) << 10);
        let peak = memory_of(self.server, "VmHWM");
        assert!(peak <= most, "{peak} KiB of memory at most, {before} before");
        // A thread that writes logs while others are held up is there for some seconds.
        let deadline = Instant::now() + PATIENCE;
        while of_process(self.server, "task") > self.threads {
            assert!(Instant::now() < deadline, "there are more threads than before");
            std::thread::yield_now();
        }
        // The server takes a moment to see that the last clients have left; each
        // thread has a descriptor of its own for its pages.
        while of_process(self.server, "fd") > self.descriptors + self.threads {
            assert!(Instant::now() < deadline, "descriptors are left");
        }
    }
}

/// The threads (`task`) or descriptors (`fd`) of a server's process.
fn of_process(server: &Server, what: &str) -> usize {
    fs::read_dir(format!("/proc/{}/{what}", server.pid())).expect("Linux").count()
}

/// The memory of a server's process, in KiB: what is resident now (`VmRSS`), or
/// was at most (`VmHWM`).
fn memory_of(server: &Server, what: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a size");
    line.trim_matches(|byte: char| !byte.is_ascii_digit()).parse().expect("a number")
}

/// From now on the most is counted anew (proc(5), `clear_refs`).
fn forget_peak(server: &Server) {
    fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").expect("Linux");
}

/// Asks a host over a connection.
pub fn ask(client: &mut Client, host: &str, target: &str) -> crate::support::Answer {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
    client.read_answer().expect("an answer")
}

/// The victim: a tenant with the `hello` guest at `good.example`.
pub fn good_tenant() -> String {
    let app = guest("hello");
    format!(
        "[[tenant]]\nname = \"good\"\nhosts = [\"good.example\"]\n\
         [[tenant.route]]\npath = \"/good/*\"\napp = {app:?}\n"
    )
}

/// A tenant of bad apps: all other hosts are its own.
struct Bad<'a> {
    app: &'a str,
    /// Where it is mounted.
    at: &'a str,
    /// More of its limits, and of its routes.
    limits: &'a str,
    route: &'a str,
}

impl Bad<'_> {
    /// Starts a server with this tenant, whose limits are small, and a good one.
    fn start(&self) -> Server {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let Bad { app, at, limits, route } = self;
        let route = |path: &str| {
            format!("[[tenant.route]]\npath = \"{at}{path}\"\napp = {app:?}\n{route}\n")
        };
        let exact = if at.is_empty() { String::new() } else { route("") };
        let bad = format!(
            "[[tenant]]\nname = \"bad\"\nhosts = [\"*\"]\n[tenant.limits]\n\
             cpu = \"300ms\"\nmemory = \"{MEMORY}MiB\"\n{limits}\n{exact}{}",
            route("/*")
        );
        let number = NUMBER.fetch_add(1, Relaxed);
        let name = format!("hostile-{}-{number}.toml", std::process::id());
        let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&file, good_tenant() + &bad).expect("a file");
        let file = file.display().to_string();
        let mut command = Command::new(BINARY);
        Server::start_by(command.current_dir(root()), &["--config", &file])
    }
}

/// A server with a good tenant, and a bad app at `/bad`.
fn server(app: &str, limits: &str) -> Server {
    Bad { app, at: "/bad", limits, route: "" }.start()
}
