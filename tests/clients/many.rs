//! E6 and D8: many connections, that come and go, and more than there are
//! descriptors.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use crate::support::process::{cpu, descriptors, limit_descriptors, pass};
use crate::support::{BINARY, Client, Server, connect_from, guest, test_guest, wait_for};

const GET: &[u8] = b"GET /sayhello HTTP/1.1\r\nHost: a\r\n\r\n";

fn client_from(from: [u8; 4], server: &Server) -> Client {
    Client::over(connect_from(from, server.address))
}

/// Asks for what is well-behaved, at a rate, while something else goes on. Every
/// request must be answered; returns how many were.
fn beside(server: &Server, attack: impl FnOnce()) -> usize {
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let victim = scope.spawn(|| {
            let mut client = server.connect();
            let mut due = Instant::now();
            while !stop.load(Relaxed) {
                assert_eq!(client.get("/sayhello").text(), "Hello, world!\n");
                assert_eq!(server.get("/sayhello?name=you").text(), "Hello, you!\n");
                answered.fetch_add(2, Relaxed);
                due += Duration::from_millis(10);
                pass(due.saturating_duration_since(Instant::now()));
            }
        });
        attack();
        stop.store(true, Relaxed);
        victim.join().expect("every request is answered");
    });
    answered.into_inner()
}

#[test]
fn e6_an_address_has_so_many_connections_and_no_more() {
    let server = Server::start(&["--app", &guest("hello"), "--max-client-connections", "3"]);
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/sayhello").status, 200);
    }
    assert!(server.connect().is_closed(), "one too many");
    assert_eq!(client_from([127, 0, 0, 2], &server).get("/sayhello").status, 200);
    clients.pop();
    wait_for(|| {
        let mut client = server.connect();
        client.send(GET);
        client.read_answer().is_some()
    });
}

#[test]
fn e6_connections_beyond_all_places_wait() {
    let limits = ["--max-connections", "2", "--max-cpu", "60s", "--max-wall", "60s"];
    let server = Server::start(&[&["--app", &test_guest("misbehave")], &limits[..]].concat());
    let mut clients: Vec<Client> = (0..2).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(b"GET /loop HTTP/1.1\r\nHost: a\r\n\r\n");
        server.wait_for_log("began");
    }
    let mut third = server.connect();
    third.send(b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    clients.pop();
    assert_eq!(third.read_answer().map(|answer| answer.status), Some(200));
}

#[test]
fn e6_quiet_connections_of_who_has_most_make_room_where_places_are_short() {
    let server = Server::start(&["--app", &guest("hello"), "--max-connections", "4"]);
    let mut good = client_from([127, 0, 0, 2], &server);
    assert_eq!(good.get("/sayhello").status, 200);
    let mut many: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    assert_eq!(many[0].get("/sayhello").status, 200);
    // All places are taken: by an idle connection, and by those that never asked.
    let mut next = client_from([127, 0, 0, 3], &server);
    assert_eq!(next.get("/sayhello").status, 200);
    assert!(many[1].is_closed(), "the longest quiet of the address that has most");
    assert_eq!(good.get("/sayhello").status, 200, "longer quiet, but the only one of its own");
}

/// What a client does that does not mean well.
fn come_and_go(number: usize, address: SocketAddr) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    let socket = socket2::SockRef::from(&stream);
    match number % 6 {
        0 => {}
        // The end is a reset.
        1 => drop(socket.set_linger(Some(Duration::ZERO))),
        2 => {
            let _ = stream.write_all(GET);
        }
        3 => {
            let _ = socket.set_linger(Some(Duration::ZERO));
            let _ = stream.write_all(GET);
        }
        4 => {
            let _ = stream.write_all(GET);
            let _ = stream.shutdown(Shutdown::Write);
        }
        _ => {
            let _ = stream.write_all(b"GET / HT");
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

#[test]
fn e6_connections_that_come_and_go_and_break_off_leave_nothing() {
    let server = Server::start(&["--app", &guest("hello"), "--reuse", "1000"]);
    assert_eq!(server.get("/sayhello").status, 200);
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("Linux").count();
    let before = descriptors(&server);
    // A thousand a second.
    let answered = beside(&server, || {
        let began = Instant::now();
        for number in 0..3_000 {
            come_and_go(number, server.address);
            let due = began + Duration::from_millis(number as u64);
            pass(due.saturating_duration_since(Instant::now()));
        }
    });
    assert!(answered > 100, "the victim was served {answered} times");
    wait_for(|| descriptors(&server) <= before);
    let tasks =
        || std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("Linux").count();
    wait_for(|| tasks() <= threads);
}

/// A folder with files that changed long ago, so that they may be kept in memory.
fn files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["known.txt", "new.txt", "other.txt"] {
        let path = folder.path().join(name);
        std::fs::write(&path, name).expect("a file");
        let file = std::fs::File::options().write(true).open(&path).expect("the file");
        file.set_modified(SystemTime::now() - Duration::from_secs(3_600)).expect("a time");
    }
    folder
}

#[test]
fn d8_more_connections_than_descriptors_are_no_load_and_no_harm() {
    let folder = files();
    let mut command = Command::new("prlimit");
    command.args(["--nofile=256:256", BINARY]).current_dir(folder.path());
    let app = format!("/app={}", guest("hello"));
    let limits = ["--max-header-time", "60s"];
    let arguments = [&["--static", ".", "--app", &app], &limits[..]].concat();
    let server = Server::start_by(&mut command, &arguments);
    // Of another address than the flood: those of who has most make room.
    let mut client = client_from([127, 0, 0, 2], &server);
    assert_eq!(client.get("/known.txt").text(), "known.txt");
    let flood: Vec<TcpStream> =
        (0..3_000).filter_map(|_| TcpStream::connect(server.address).ok()).collect();
    // All places are taken, with descriptors left for what goes on.
    wait_for(|| descriptors(&server) > 144);
    let (used, began) = (cpu(&server), Instant::now());
    pass(Duration::from_secs(1));
    let share = cpu(&server).saturating_sub(used).as_secs_f64() / began.elapsed().as_secs_f64();
    assert!(share < 0.2, "{share} of a core");
    for path in ["/known.txt", "/new.txt", "/app/sayhello"] {
        assert_eq!(client.get(path).status, 200, "{path}");
    }
    let waiting = flood.len();
    drop(flood);
    let began = Instant::now();
    assert_eq!(server.get("/other.txt").text(), "other.txt");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1) + PAUSE, "{took:?} after {waiting} connections");
}

/// How much later something may be on a machine that does other things, too.
const PAUSE: Duration = Duration::from_secs(2);

#[test]
fn d8_without_descriptors_running_requests_and_files_go_on() {
    let folder = files();
    let app = format!("/app={}", guest("hello"));
    let server = Server::start_in(folder.path(), &["--static", ".", "--app", &app]);
    let mut client = server.connect();
    assert_eq!(client.get("/known.txt").text(), "known.txt");
    assert_eq!(client.get("/app/sayhello").status, 200);
    limit_descriptors(&server, descriptors(&server));
    // One is left at most, and these take it.
    let mut waiting: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    waiting.iter_mut().for_each(|client| client.send(GET));
    let line = server.wait_for_log("cannot accept connections");
    assert!(line.contains("Too many open files"), "{line}");
    let (used, began) = (cpu(&server), Instant::now());
    // What is in memory is looked at again after a moment: that takes a descriptor.
    while began.elapsed() < Duration::from_secs(1) {
        for (path, text) in [("/known.txt", "known.txt"), ("/new.txt", "new.txt")] {
            assert_eq!(client.get(path).text(), text);
        }
        assert_eq!(client.get("/app/sayhello").status, 200);
        pass(Duration::from_millis(50));
    }
    let share = cpu(&server).saturating_sub(used).as_secs_f64() / began.elapsed().as_secs_f64();
    assert!(share < 0.2, "{share} of a core");
    limit_descriptors(&server, 1_000);
    let began = Instant::now();
    for client in &mut waiting {
        assert_eq!(client.read_answer().map(|answer| answer.status), Some(404));
    }
    assert!(began.elapsed() < Duration::from_secs(1) + PAUSE, "{:?}", began.elapsed());
    let said = server.log_so_far();
    assert!(!said.iter().any(|line| line.contains("cannot accept")), "told once: {said:?}");
}
