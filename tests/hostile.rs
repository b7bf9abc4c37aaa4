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
mod streams;

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Server, guest};

/// The slowest answer that the victim may get.
const SLOWEST: Duration = Duration::from_secs(3);
/// An attack that goes on for longer has not been stopped.
const LONGEST: Duration = Duration::from_secs(120);

/// What the victim and the server itself are before and after an attack.
struct Victim<'a> {
    server: &'a Server,
    threads: usize,
    descriptors: usize,
}

impl<'a> Victim<'a> {
    fn of(server: &'a Server) -> Victim<'a> {
        let mut victim = Victim { server, threads: 0, descriptors: 0 };
        // What was needed to start has ended when it answers.
        victim.is_well();
        victim.threads = of_process(server, "task");
        victim.descriptors = of_process(server, "fd");
        victim
    }

    fn is_well(&self) {
        let asked = Instant::now();
        assert_eq!(self.server.get("/good/sayhello").text(), "Hello, world!\n");
        // Percentiles are for benchmarks; this is what no load of a test machine
        // explains.
        let took = asked.elapsed();
        assert!(took < SLOWEST, "the victim waited for {took:?}");
    }

    /// Attacks with some clients at once, and asks the victim meanwhile.
    fn beside(&self, clients: usize, attack: impl Fn() + Sync) {
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
        assert_eq!(of_process(self.server, "task"), self.threads, "no thread more, none less");
        // The server takes a moment to see that the last clients have left; each
        // thread has a descriptor of its own for its pages.
        let deadline = Instant::now() + PATIENCE;
        while of_process(self.server, "fd") > self.descriptors + self.threads {
            assert!(Instant::now() < deadline, "descriptors are left");
        }
    }
}

/// The threads (`task`) or descriptors (`fd`) of a server's process.
fn of_process(server: &Server, what: &str) -> usize {
    fs::read_dir(format!("/proc/{}/{what}", server.pid())).expect("Linux").count()
}

/// A server with a good app, and a bad one at `/bad`, whose limits are small.
fn server(bad: &str, more: &[&str]) -> Server {
    let good = format!("/good={}", guest("hello"));
    let bad = format!("/bad={bad}");
    let limits = ["--max-cpu", "100ms", "--max-memory", "16MiB"];
    Server::start(&[&["--app", &good, "--app", &bad], &limits[..], more].concat())
}
