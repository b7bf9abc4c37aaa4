//! SIGUSR2, SIGHUP and SIGTERM under load: a new process takes over, a new
//! certificate is loaded, the server stops, and no request is lost. Rows D6 and
//! D7 of the catalogue.

mod load;
mod manager;

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::support::process::pass;
use crate::support::tls::Authority;
use crate::support::{BINARY, Client, PATIENCE, Server, guest, test_guest, wait_for};
use load::Load;
use manager::Manager;

const HOST: &str = "a.example";

/// A server and the processes that took over from it, one after the other.
struct Chain {
    server: Server,
    /// The one that serves now.
    process: u32,
}

impl Chain {
    fn of(server: Server) -> Chain {
        let process = server.pid();
        Chain { server, process }
    }

    fn signal(&self, name: &str) {
        let process = self.process.to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &process]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Lets a new process take over, until the old one has ended.
    fn hand_over(&mut self) {
        let before = self.process;
        self.signal("USR2");
        let line = self.server.wait_for_log("serves now");
        let words = line.split_whitespace().skip_while(|word| *word != "process");
        self.process = words.skip(1).find_map(|word| word.parse().ok()).expect(&line);
        if before == self.server.pid() {
            assert_eq!(self.server.wait().code(), Some(0));
        } else {
            wait_for(|| !runs(before));
        }
    }

    /// Stops the one that serves.
    fn stop(&mut self) {
        self.signal("TERM");
        if self.process == self.server.pid() {
            assert_eq!(self.server.wait().code(), Some(0));
        } else {
            wait_for(|| !runs(self.process));
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        if self.process != self.server.pid() && runs(self.process) {
            let _ = Command::new("kill").args(["-KILL", &self.process.to_string()]).status();
        }
    }
}

/// Whether a process has not ended; one that nobody has waited for has.
fn runs(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

/// A server that listens with and without TLS, with what signs its certificates.
fn server(folder: &tempfile::TempDir) -> (Server, Authority) {
    let (authority, hello) = (Authority::new(), guest("hello"));
    authority.certify(folder.path(), "a", &[HOST]);
    let toml = format!(
        "listen = [\"127.0.0.1:0\", \"https://127.0.0.1:0\"]\n\
         [[tenant]]\nname = \"a\"\nhosts = [\"{HOST}\"]\ntls = {{ certificate = \"a.pem\" }}\n\
         [[tenant.route]]\npath = \"/*\"\napp = {hello:?}\nreuse = 1000\n"
    );
    fs::write(folder.path().join("myweb.toml"), toml).expect("a file");
    let mut command = Command::new(BINARY);
    (Server::start_at(command.current_dir(folder.path()), 2), authority)
}

/// The certificate that a host is shown.
fn shown(load: &Load) -> CertificateDer<'static> {
    let mut stream = load.authority.connect(load.encrypted, HOST, &[]);
    stream.conn.complete_io(&mut stream.sock).expect("a handshake");
    stream.conn.peer_certificates().expect("a certificate")[0].clone()
}

/// So many upgrades and so many new certificates under 2,000 requests a second,
/// and then a stop; at least so many are answered a second.
fn change_under_load(count: usize, rate: f64) {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, authority) = server(&folder);
    let mut chain = Chain::of(server);
    let load = Load::new(&chain.server, authority);
    load.beside(|| {
        for round in 0..count {
            chain.hand_over();
            let new = load.authority.certify(folder.path(), "a", &[HOST]);
            chain.signal("HUP");
            chain.server.wait_for_log("INFO reloaded");
            assert_eq!(shown(&load), new, "round {round}");
        }
        load.ends();
        chain.stop();
    });
    let told = load.told();
    println!("{count} upgrades and {count} certificates: {told}");
    assert!(told.lost.is_empty(), "{:?}", told.lost);
    assert!(told.rate() > rate, "{told}");
}

#[test]
fn d6_d7_upgrades_certificates_and_a_stop_under_load_lose_no_request() {
    // Beside other tests.
    change_under_load(5, 500.0);
}

#[test]
#[ignore = "takes minutes: with `cargo xtask test --long`"]
fn d6_d7_a_hundred_upgrades_and_certificates_under_load_lose_no_request() {
    change_under_load(100, 1_900.0);
}

/// A server is stopped under load, so many times.
fn stop_under_load(count: usize) {
    for _ in 0..count {
        let folder = tempfile::tempdir().expect("a folder");
        let (server, authority) = server(&folder);
        let mut chain = Chain::of(server);
        let load = Load::new(&chain.server, authority);
        load.beside(|| {
            wait_for(|| load.told().answered > 1_000);
            load.ends();
            chain.stop();
        });
        let told = load.told();
        assert!(told.lost.is_empty(), "{told}: {:?}", told.lost);
    }
}

#[test]
fn d6_a_stop_under_load_loses_no_request() {
    stop_under_load(3);
}

#[test]
#[ignore = "takes minutes: with `cargo xtask test --long`"]
fn d6_a_hundred_stops_under_load_lose_no_request() {
    stop_under_load(100);
}

#[test]
fn d6_what_waits_to_be_accepted_is_answered_before_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.sock");
    let unix = format!("unix:{}", path.display());
    for listen in ["127.0.0.1:0", &unix] {
        let arguments = ["--app", &guest("hello"), "--addr", listen];
        let mut server = Server::start_by(&mut Command::new(BINARY), &arguments);
        // While it stands still, clients connect and ask, and it is told to stop.
        server.signal("STOP");
        let mut clients: Vec<Client> = (0..100)
            .map(|_| match listen {
                "127.0.0.1:0" => server.connect(),
                _ => {
                    let stream = UnixStream::connect(&path).expect("a place");
                    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                    Client::over(stream)
                }
            })
            .collect();
        for client in &mut clients {
            client.send(b"GET /sayhello HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        server.signal("TERM");
        server.signal("CONT");
        for client in &mut clients {
            let answer = client.read_answer().expect("an answer");
            assert_eq!(answer.text(), "Hello, world!\n", "{listen}");
        }
        assert_eq!(server.wait().code(), Some(0));
    }
}

#[test]
fn d7_the_old_process_names_the_new_one_to_a_manager_that_believes_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut manager = Manager::new(&folder.path().join("notify"));
    let mut command = Command::new(BINARY);
    command.env("NOTIFY_SOCKET", &manager.path);
    let server = Server::start_by(&mut command, &["--app", &guest("hello")]);
    let mut chain = Chain::of(server);
    manager.main = chain.process;
    manager.wait_for("READY=1");
    for _ in 0..2 {
        chain.hand_over();
        manager.wait_for(&format!("MAINPID={}", chain.process));
        assert_eq!(manager.main, chain.process);
        assert_eq!(chain.server.get("/sayhello").text(), "Hello, world!\n");
    }
    assert_eq!(manager.refused, Vec::<String>::new());
    chain.stop();
}

#[test]
fn d7_a_new_process_that_fails_leaves_the_old_one() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(guest("hello"), folder.path().join("hello.wasm")).expect("a copy");
    let server = Server::start_in(folder.path(), &["--app", "hello.wasm"]);
    let mut client = server.connect();
    fs::write(folder.path().join("hello.wasm"), "nonsense").expect("a file");
    for _ in 0..3 {
        server.signal("USR2");
        server.wait_for_log("the new process does not serve, this one goes on");
        assert_eq!(client.get("/sayhello").text(), "Hello, world!\n");
        assert_eq!(server.get("/sayhello").text(), "Hello, world!\n");
    }
    fs::copy(guest("hello"), folder.path().join("hello.wasm")).expect("a copy");
    let mut chain = Chain::of(server);
    chain.hand_over();
    assert_eq!(chain.server.get("/sayhello").text(), "Hello, world!\n");
}

#[test]
fn d7_a_stop_while_a_new_process_starts_leaves_none() {
    let folder = tempfile::tempdir().expect("a folder");
    // A binary that starts like the old one, and never gets on.
    let binary = folder.path().join("myweb-run");
    fs::copy(BINARY, &binary).expect("a copy");
    let mut command = Command::new(&binary);
    let mut server = Server::start_by(&mut command, &["--app", &guest("hello")]);
    let pids = folder.path().join("pid");
    fs::remove_file(&binary).expect("the binary");
    fs::write(&binary, format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", pids.display()))
        .expect("a script");
    let made = Command::new("chmod").arg("755").arg(&binary).status();
    assert!(made.expect("chmod runs").success());
    server.signal("USR2");
    let started = || fs::read_to_string(&pids).ok()?.trim().parse::<u32>().ok();
    wait_for(|| started().is_some());
    assert_eq!(server.get("/sayhello").text(), "Hello, world!\n");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    wait_for(|| !started().is_some_and(runs));
}

#[test]
fn d6_long_requests_end_with_the_drain_limit() {
    let limits = ["--max-cpu", "60s", "--max-wall", "60s", "--drain", "1s"];
    let app = test_guest("misbehave");
    let mut server = Server::start(&[&["--app", &app], &limits[..]].concat());
    let mut long: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for (number, client) in long.iter_mut().enumerate() {
        let what = if number % 2 == 0 { "/loop" } else { "/sleep?ms=60000" };
        client.send(format!("GET {what} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        server.wait_for_log("began");
    }
    // One that says nothing, and one in the middle of a head.
    let silent = server.connect();
    let mut halfway = server.connect();
    halfway.send(b"GET / HTT");
    let began = Instant::now();
    server.signal("TERM");
    wait_for(|| std::net::TcpStream::connect(server.address).is_err());
    assert!(began.elapsed() < Duration::from_secs(1), "closed after {:?}", began.elapsed());
    assert_eq!(server.wait().code(), Some(0));
    let took = began.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(3), "{took:?}");
    drop((silent, halfway));
}

#[test]
fn d6_a_storm_of_sighup_is_no_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, authority) = server(&folder);
    let chain = Chain::of(server);
    let load = Load::new(&chain.server, authority);
    load.beside(|| {
        // A hundred a second.
        for _ in 0..200 {
            chain.signal("HUP");
            pass(Duration::from_millis(10));
        }
        load.ends();
    });
    let told = load.told();
    assert!(told.lost.is_empty(), "{told}: {:?}", told.lost);
    let new = load.authority.certify(folder.path(), "a", &[HOST]);
    chain.signal("HUP");
    wait_for(|| shown(&load) == new);
}
