//! Where a server listens: TCP of both versions, sockets of the file system, and
//! sockets that it was started with.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use command_fds::{CommandFdExt, FdMapping};

use crate::support::{BINARY, Client, PATIENCE, Server, guest, run, test_guest, wait_for};

/// A client of a socket of the file system.
fn client(path: &Path) -> Client {
    let stream = UnixStream::connect(path).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    Client::over(stream)
}

/// The command of a server whose file names these listeners.
fn command(folder: &Path, listen: &[&str]) -> Command {
    let app = test_guest("echo");
    let toml = format!(
        "listen = {listen:?}\n[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n\
         [[tenant.route]]\npath = \"/*\"\napp = {app:?}\n"
    );
    fs::write(folder.join("myweb.toml"), toml).expect("a file");
    let mut command = Command::new(BINARY);
    command.current_dir(folder);
    command
}

fn server_at(folder: &Path, listen: &[&str]) -> Server {
    Server::start_at(&mut command(folder, listen), listen.len())
}

fn remote(client: &mut Client) -> String {
    let answer = client.get("/");
    let echoed: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    let variables = echoed["env"].as_array().expect("variables");
    let remote = variables.iter().find(|pair| pair[0] == "REMOTE_ADDR").expect("an address");
    remote[1].as_str().expect("text").to_owned()
}

#[test]
fn all_listeners_of_a_file_are_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.sock");
    let unix = format!("unix:{}", path.display());
    let listen = ["127.0.0.1:0", &unix, "[::1]:0", "http://127.0.0.2:0"];
    let server = server_at(folder.path(), &listen);
    let addresses = server.listening.iter().filter_map(|line| line.strip_prefix("http://"));
    let addresses: Vec<SocketAddr> = addresses.map(|line| line.parse().expect(line)).collect();
    for (address, seen) in addresses.into_iter().zip(["127.0.0.1", "::1", "127.0.0.1"]) {
        assert_eq!(remote(&mut Client::connect(address)), seen, "{address}");
    }
    // Nobody names a client of a socket of the file system.
    assert_eq!(remote(&mut client(&path)), "0.0.0.0");
}

#[test]
fn all_addresses_of_ipv6_are_those_of_ipv4_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_at(folder.path(), &["[::]:0"]);
    let port = server.address.port();
    for (address, seen) in [("127.0.0.1", "127.0.0.1"), ("::1", "::1")] {
        let address = SocketAddr::new(address.parse().expect("an address"), port);
        assert_eq!(remote(&mut Client::connect(address)), seen);
    }
    drop(server);
    // Unless those have a listener of their own, in whatever order.
    let (v4, v6) = (format!("0.0.0.0:{port}"), format!("[::]:{port}"));
    for listen in [[v4.as_str(), v6.as_str()], [v6.as_str(), v4.as_str()]] {
        let server = server_at(folder.path(), &listen);
        for address in ["127.0.0.1", "::1"] {
            let address = SocketAddr::new(address.parse().expect("an address"), port);
            assert_eq!(remote(&mut Client::connect(address)), address.ip().to_string());
        }
        assert_eq!(server.listening.len(), 2);
    }
}

#[test]
fn a_socket_of_the_file_system_is_for_its_user_and_group() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.sock");
    let listen = format!("unix:{}", path.display());
    // Whatever new files are like.
    for mask in ["000", "022", "077"] {
        let script = format!("umask {mask}; exec \"$0\" \"$@\"");
        let arguments = ["-c", &script, BINARY, "--app", &guest("hello"), "--addr", &listen];
        let mut server = Server::start_at(Command::new("sh").args(arguments), 1);
        let mode = fs::metadata(&path).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o660, "{mask}");
        assert_eq!(client(&path).get("/sayhello").text(), "Hello, world!\n");
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0));
        assert!(!path.exists(), "it is removed with its server");
    }
}

#[test]
fn a_socket_that_was_left_is_replaced_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.sock");
    let listen = format!("unix:{}", path.display());
    let arguments = ["--app", &guest("hello"), "--addr", &listen];
    // Two that are killed leave it behind.
    for _ in 0..2 {
        let server = Server::start_by(&mut Command::new(BINARY), &arguments);
        assert_eq!(client(&path).get("/sayhello").text(), "Hello, world!\n");
        drop(server);
        assert!(path.exists());
    }
    let server = Server::start_by(&mut Command::new(BINARY), &arguments);
    let (code, output) = run(folder.path(), &arguments);
    assert_eq!(code, Some(1));
    assert!(output.contains("another server listens there"), "{output}");
    assert_eq!(client(&path).get("/sayhello").text(), "Hello, world!\n");
    drop(server);
    // One that accepts nothing is there, too.
    fs::remove_file(&path).expect("the socket");
    let other = UnixListener::bind(&path).expect("a socket");
    socket2::SockRef::from(&other).listen(0).expect("a short queue");
    let waiting: Vec<UnixStream> =
        (0..1).map(|_| UnixStream::connect(&path).expect("a place")).collect();
    let (code, output) = run(folder.path(), &arguments);
    assert_eq!((code, waiting.len()), (Some(1), 1), "{output}");
    assert!(output.contains("another server listens there"), "{output}");
    drop(other);
    fs::remove_file(&path).expect("the socket");
    // What is no socket is not removed.
    fs::write(&path, "of somebody").expect("a file");
    let (code, output) = run(folder.path(), &arguments);
    assert_eq!(code, Some(1));
    assert!(output.contains("a file that is no socket; choose another path"), "{output}");
    assert_eq!(fs::read_to_string(&path).expect("the file"), "of somebody");
    let (_, output) = run(folder.path(), &["--app", &guest("hello"), "--addr", "unix:none/a.sock"]);
    assert!(output.contains("no such file or directory"), "{output}");
}

/// A command that passes sockets on as systemd does.
fn activated(folder: &Path, listen: &[&str], sockets: &[&dyn AsFd], announced: &str) -> Command {
    let mut command = command(folder, listen);
    let mappings = sockets.iter().zip(3..).map(|(socket, child_fd)| FdMapping {
        parent_fd: socket.as_fd().try_clone_to_owned().expect("a handle"),
        child_fd,
    });
    command.fd_mappings(mappings.collect()).expect("each once");
    command.env("LISTEN_FDS", announced);
    command
}

#[test]
fn systemd_passes_sockets_and_hears_that_the_server_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let notify = folder.path().join("notify");
    let notified = UnixDatagram::bind(&notify).expect("a socket");
    notified.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let path = folder.path().join("a.sock");
    let unix = UnixListener::bind(&path).expect("a socket");
    let mut command = activated(folder.path(), &["systemd"], &[&tcp, &unix], "2");
    let mut server = Server::start_at(command.env("NOTIFY_SOCKET", &notify), 2);
    let mut heard = [0; 200];
    let count = notified.recv(&mut heard).expect("a notice");
    let heard = String::from_utf8_lossy(&heard[..count]).into_owned();
    assert!(heard.contains("READY=1"), "{heard}");
    assert!(heard.contains(&format!("MAINPID={}", server.pid())), "{heard}");
    let address = tcp.local_addr().expect("an address");
    assert_eq!(remote(&mut Client::connect(address)), "127.0.0.1");
    assert_eq!(client(&path).get("/").status, 200);
    // They stay systemd's: what comes while no server runs waits for the next.
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let (mut early, mut early_unix) = (Client::connect(address), client(&path));
    early.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    early_unix.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut command = activated(folder.path(), &["systemd"], &[&tcp, &unix], "2");
    let _server = Server::start_at(&mut command, 2);
    for mut client in [early, early_unix] {
        assert_eq!(client.read_answer().map(|answer| answer.status), Some(200));
    }
}

#[test]
fn sockets_that_are_named_are_taken_by_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
    let (first, second) = (first.expect("a socket"), second.expect("a socket"));
    let named = first.local_addr().expect("an address").to_string();
    // What nobody names is what `systemd` stands for, wherever that is written.
    let listen = ["systemd", named.as_str()];
    let mut command = activated(folder.path(), &listen, &[&first, &second], "2");
    let server = Server::start_at(&mut command, 2);
    let other = second.local_addr().expect("an address");
    assert_eq!(server.listening, [format!("http://{other}"), format!("http://{named}")]);
    for socket in [&first, &second] {
        let mut client = Client::connect(socket.local_addr().expect("an address"));
        assert_eq!(client.get("/").status, 200);
    }
}

#[test]
fn sockets_that_were_not_passed_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let connected = UnixStream::pair().expect("sockets").0;
    let file = fs::File::open("/dev/null").expect("a file");
    let said = |listen: &[&str], sockets: &[&dyn AsFd], announced: &str| {
        let mut command = activated(folder.path(), listen, sockets, announced);
        let output = command.output().expect("an end");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("text")
    };
    for (sockets, announced, why) in [
        (&[][..], "1", "descriptor 3 is no listening socket; a socket unit needs ListenStream="),
        (&[&tcp as &dyn AsFd][..], "2", "LISTEN_FDS=2: descriptor 4 is no listening socket"),
        (&[&connected as &dyn AsFd][..], "1", "descriptor 3 is no listening socket"),
        (&[&file as &dyn AsFd][..], "1", "descriptor 3 is no listening socket"),
        (&[&tcp as &dyn AsFd][..], "0", "no sockets were passed"),
        (&[&tcp as &dyn AsFd][..], "x", "LISTEN_FDS=x: write a number from 0 to 1000"),
        (&[&tcp as &dyn AsFd][..], "-1", "LISTEN_FDS=-1: write a number"),
        (&[&tcp as &dyn AsFd][..], "2000000000", "LISTEN_FDS=2000000000: write a number"),
    ] {
        let output = said(&["systemd"], sockets, announced);
        assert!(output.contains(why), "{announced}: {output}");
        assert_eq!(output.lines().count(), 1, "{output}");
    }
    // Who names an address gets it, whatever else is announced.
    let mut command = activated(folder.path(), &["127.0.0.1:0"], &[&connected], "2");
    assert_eq!(Server::start_at(&mut command, 1).get("/").status, 200);
    // What another process was to get is none of ours.
    let mut command = activated(folder.path(), &["systemd"], &[&tcp], "1");
    let output = command.env("LISTEN_PID", "1").output().expect("an end");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no sockets were passed"));
}

#[test]
fn a_new_process_takes_over_a_socket_of_the_file_system() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.sock");
    let listen = format!("unix:{}", path.display());
    let mut server = server_at(folder.path(), &[&listen, "127.0.0.1:0"]);
    let mut before = client(&path);
    assert_eq!(before.get("/").status, 200);
    server.signal("USR2");
    let line = server.wait_for_log("serves now");
    let words = line.split_whitespace().skip_while(|word| *word != "process");
    let new: u32 = words.skip(1).find_map(|word| word.parse().ok()).expect(&line);
    // A connection that is open may ask once more, and is then closed.
    let last = before.get("/");
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert_eq!(server.wait().code(), Some(0));
    assert!(path.exists(), "it is the new one's");
    assert_eq!(client(&path).get("/").status, 200);
    assert_eq!(server.get("/").status, 200);
    assert!(Command::new("kill").arg(new.to_string()).status().expect("kill runs").success());
    wait_for(|| UnixStream::connect(&path).is_err());
}
