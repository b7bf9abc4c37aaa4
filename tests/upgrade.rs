//! SIGUSR2: a new process takes over, and no request is lost.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::support::{BINARY, Client, PATIENCE, Server, guest, root, wait_for};

/// Asks again and again, on connections that stay open, until told to stop; each
/// request must be answered.
fn ask(address: SocketAddr, stop: &AtomicBool, answered: &AtomicUsize) {
    let mut client = Client::connect(address);
    while !stop.load(Relaxed) {
        let answer = client.get("/sayhello");
        assert_eq!(answer.text(), "Hello, world!\n");
        answered.fetch_add(1, Relaxed);
        if answer.header("connection") == Some("close") {
            client = Client::connect(address);
        }
    }
}

/// Lets a new process take over and returns its id, once the old one has ended.
fn hand_over(server: &mut Server, process: u32) -> u32 {
    assert!(Command::new("kill").args(["-USR2", &process.to_string()]).status().is_ok());
    let line = server.wait_for_log("serves now");
    let words = line.split_whitespace().skip_while(|word| *word != "process");
    let id = words.skip(1).find_map(|word| word.parse().ok()).expect(&line);
    if process == server.pid() {
        assert_eq!(server.wait().code(), Some(0));
    } else {
        wait_for(|| !fs::exists(format!("/proc/{process}/fd")).unwrap_or(false));
    }
    id
}

fn upgrades(count: usize) {
    let mut server = Server::start(&["--app", &guest("hello"), "--reuse", "1000"]);
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let address = server.address;
    let last = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..4).map(|_| scope.spawn(|| ask(address, &stop, &answered))).collect();
        let mut process = server.pid();
        for _ in 0..count {
            let before = answered.load(Relaxed);
            process = hand_over(&mut server, process);
            wait_for(|| answered.load(Relaxed) > before || asking.iter().any(|a| a.is_finished()));
        }
        stop.store(true, Relaxed);
        for thread in asking {
            thread.join().expect("every request is answered");
        }
        process
    });
    println!("{} requests during {count} upgrades", answered.load(Relaxed));
    assert!(Command::new("kill").arg(last.to_string()).status().is_ok());
}

#[test]
fn a_new_process_takes_over_and_no_request_is_lost() {
    upgrades(3);
}

#[test]
#[ignore = "takes minutes: with `cargo xtask test --long`"]
fn a_hundred_upgrades_lose_no_request() {
    upgrades(100);
}

#[test]
fn a_new_process_that_fails_leaves_the_old_one() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(guest("hello"), folder.path().join("hello.wasm")).expect("a copy");
    let server = Server::start_in(folder.path(), &["--app", "hello.wasm"]);
    fs::write(folder.path().join("hello.wasm"), "nonsense").expect("a file");
    server.signal("USR2");
    server.wait_for_log("the new process does not serve, this one goes on");
    assert_eq!(server.get("/sayhello").text(), "Hello, world!\n");
}

#[test]
fn a_socket_of_the_file_system_is_listened_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.sock");
    let listen = format!("unix:{}", path.display());
    for _ in 0..2 {
        // The second server finds what the first has left.
        let mut child = Command::new(BINARY)
            .args(["--app", &guest("hello"), "--addr", &listen])
            .current_dir(root())
            .spawn()
            .expect("the server starts");
        wait_for(|| UnixStream::connect(&path).is_ok());
        let mut stream = UnixStream::connect(&path).expect("the server accepts");
        stream
            .write_all(b"GET /sayhello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.ends_with("Hello, world!\n"), "{answer}");
        child.kill().expect("it runs");
        child.wait().expect("an end");
    }
}

#[test]
fn systemd_passes_sockets_and_hears_that_the_server_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let notified = UnixDatagram::bind(&path).expect("a socket");
    notified.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // Python passes a socket on as systemd does.
    let script = "import os, socket, sys\n\
        s = socket.create_server(('127.0.0.1', 0))\n\
        print(s.getsockname()[1], flush=True)\n\
        os.dup2(s.fileno(), 3); os.set_inheritable(3, True)\n\
        os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n\
        os.execv(sys.argv[1], sys.argv[1:])\n";
    let mut child = Command::new("python3")
        .args(["-c", script, BINARY, "--app", &guest("hello"), "--addr", "systemd"])
        .env("NOTIFY_SOCKET", &path)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3");
    let mut port = [0; 16];
    let count = child.stdout.as_mut().expect("a pipe").read(&mut port).expect("a port");
    let port: u16 = str::from_utf8(&port[..count]).expect("text").trim().parse().expect("a port");
    let mut heard = [0; 200];
    let count = notified.recv(&mut heard).expect("a notice");
    let heard = String::from_utf8_lossy(&heard[..count]).into_owned();
    assert!(heard.contains("READY=1") && heard.contains(&format!("MAINPID={}", child.id())));
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    assert_eq!(client.get("/sayhello").text(), "Hello, world!\n");
    child.kill().expect("it runs");
    child.wait().expect("an end");
}
