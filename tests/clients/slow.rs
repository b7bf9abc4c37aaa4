//! E1 to E4: connections on which nothing happens, or too little.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::process::{descriptors, memory, pass};
use crate::support::tls::Authority;
use crate::support::{BINARY, Client, PATIENCE, Server, root, test_guest, wait_for};

/// How much later than its time something may be seen to end.
const SLACK: Duration = Duration::from_secs(2);

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

#[test]
fn the_times_that_are_tested_shortened_are_those_of_the_rows() {
    let help = std::process::Command::new(BINARY).arg("--help").output().expect("the help");
    let help = String::from_utf8(help.stdout).expect("text");
    for (flag, default) in [
        ("--max-header-time", "10s"),
        ("--max-idle-time", "60s"),
        ("--max-send-time", "30s"),
        ("--max-handshake-time", "5s"),
        ("--min-transfer-rate", "500B"),
        ("--max-header-count", "100"),
        ("--max-client-connections", "2000"),
    ] {
        let said = help.split_once(&format!("{flag} ")).map(|(_, rest)| rest).expect(flag);
        let said = said.split_once("[default: ").and_then(|(_, rest)| rest.split_once(']'));
        assert_eq!(said.map(|(value, _)| value), Some(default), "{flag}");
    }
}

#[test]
fn e1_a_connection_that_sends_next_to_nothing_is_closed_within_ten_seconds() {
    let server = Server::start(&["--app", &test_guest("echo")]);
    let parts = ["", "G", "PRI", "PRI * HTTP/2.0\r\n\r\nSM", "\r\n", "\r\n\r\n", "P", "GET / HT"];
    let began = Instant::now();
    let clients: Vec<Client> = parts
        .iter()
        .map(|part| {
            let mut client = server.connect();
            client.send(part.as_bytes());
            client
        })
        .collect();
    for (mut client, part) in clients.into_iter().zip(parts) {
        assert!(client.is_closed(), "{part:?}");
        let took = began.elapsed();
        assert!(took > seconds(9) && took < seconds(10) + SLACK, "{part:?}: {took:?}");
    }
}

#[test]
fn e1_the_same_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    authority.certify(folder.path(), "a", &["a.example"]);
    let tls = ["--tls", "a.pem,a.pem", "--max-header-time", "500ms"];
    let app = test_guest("echo");
    let server = Server::start_in(folder.path(), &[&["--app", &app], &tls[..]].concat());
    let began = Instant::now();
    for protocols in [&["h2"][..], &["http/1.1"], &[]] {
        for part in ["", "PRI * HT"] {
            let mut client = authority.connect(server.address, "a.example", protocols);
            client.write_all(part.as_bytes()).expect("a part");
            client.flush().expect("a handshake");
            client.conn.complete_io(&mut client.sock).expect("a handshake");
            let mut rest = Vec::new();
            // What HTTP/2 servers say first may come before.
            let _ = client.read_to_end(&mut rest);
        }
    }
    assert!(began.elapsed() < 6 * (Duration::from_millis(500) + SLACK), "{:?}", began.elapsed());
}

#[test]
fn e2_a_slow_head_is_not_waited_for() {
    let server = Server::start(&["--app", &test_guest("echo"), "--max-header-time", "1s"]);
    // The first head of a connection, and one behind another request.
    for before in [false, true] {
        let began = Instant::now();
        let mut stream = connect(&server);
        if before {
            let mut client = Client::over(stream.try_clone().expect("a handle"));
            assert_eq!(client.get("/").status, 200);
        }
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".iter().chain(std::iter::repeat(&b'x'));
        for byte in head {
            if stream.write_all(&[*byte]).is_err() || began.elapsed() > PATIENCE {
                break;
            }
            pass(Duration::from_millis(20));
        }
        let took = began.elapsed();
        assert!(took > Duration::from_millis(900) && took < seconds(1) + SLACK, "{took:?}");
    }
}

#[test]
fn e2_each_head_has_its_own_time() {
    let server = Server::start(&["--app", &test_guest("echo"), "--max-header-time", "1s"]);
    let mut stream = connect(&server);
    let mut client = Client::over(stream.try_clone().expect("a handle"));
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (first, last) = request.split_at(10);
    // There is never a moment without a begun head.
    stream.write_all(first).expect("a part");
    for _ in 0..15 {
        pass(Duration::from_millis(100));
        stream.write_all(&[last, first].concat()).expect("the rest, and a part");
        assert_eq!(client.read_answer().map(|answer| answer.status), Some(200));
    }
}

#[test]
fn e2_an_idle_connection_is_closed() {
    let server = Server::start(&["--app", &test_guest("echo"), "--max-idle-time", "500ms"]);
    let began = Instant::now();
    let mut idle = server.connect();
    assert_eq!(idle.get("/").status, 200);
    assert!(idle.is_closed(), "a connection without a next request");
    let took = began.elapsed();
    assert!(took > Duration::from_millis(400) && took < SLACK, "{took:?}");
}

/// Sends a body of so many bytes ten times a second, and tells the status of the
/// answer and when it came.
fn send_slowly(server: &Server, head: &str, piece: &[u8], pieces: usize) -> (u16, Duration) {
    let began = Instant::now();
    let mut stream = connect(server);
    stream.write_all(head.as_bytes()).expect("a head");
    let mut client = Client::over(stream.try_clone().expect("a handle"));
    let reading = std::thread::spawn(move || {
        let answer = client.read_answer().expect("an answer");
        let took = began.elapsed();
        assert!(answer.status == 200 || client.is_closed(), "it stays open");
        (answer.status, took)
    });
    for _ in 0..pieces {
        if reading.is_finished() || stream.write_all(piece).is_err() {
            break;
        }
        pass(Duration::from_millis(100));
    }
    reading.join().expect("an answer")
}

#[test]
fn e3_a_body_slower_than_500_bytes_a_second_is_408_after_5_seconds() {
    let server = Server::start(&["--app", &test_guest("echo")]);
    let length = |length| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    std::thread::scope(|scope| {
        for (head, piece, pieces) in [
            (length(100_000), &b"xxxxxxxxxx"[..], 1_000),
            (length(100_000), b"", 1_000),
            (chunked.to_owned(), b"1\r\nx\r\n", 1_000),
            // A chunk's size in endless zeros, and an endless extension.
            (chunked.to_owned(), b"0", 1_000),
            (chunked.to_owned() + "1;", b"xxxxxxxxxx", 1_000),
        ] {
            let server = &server;
            scope.spawn(move || {
                let (status, took) = send_slowly(server, &head, piece, pieces);
                assert!([400, 408].contains(&status), "{status}");
                assert!(status == 400 || took > seconds(5), "{piece:?}: {took:?}");
                assert!(took < seconds(7) + SLACK, "{piece:?}: {took:?}");
            });
        }
        // Slow, but not too slow.
        scope.spawn(|| {
            let (status, took) = send_slowly(&server, &length(7_000), &[b'x'; 100], 70);
            assert!(status == 200 && took > seconds(6), "{status} after {took:?}");
        });
    });
}

#[test]
fn e3_a_body_that_nobody_reads_is_not_waited_for() {
    let server = Server::start(&["--static", "html"]);
    let mut client = server.connect();
    client.send(b"POST /index.html HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nx");
    let answer = client.read_answer().expect("an answer");
    assert_eq!(answer.status, 405);
    assert!(client.is_closed());
}

/// A folder with a file that no socket's buffers hold.
fn large_file() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("large.bin"), vec![7; 50 << 20]).expect("a file");
    folder
}

const GET_LARGE: &[u8] = b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn e4_an_answer_that_nobody_takes_is_given_up() {
    let folder = large_file();
    let server = Server::start_in(folder.path(), &["--static", ".", "--max-send-time", "1s"]);
    let before = descriptors(&server);
    // What a first request leaves, such as the code that it needs, is nobody's.
    assert_eq!(server.get("/large.bin").status, 200);
    let kept = memory(&server);
    let began = Instant::now();
    let clients: Vec<TcpStream> = (0..30)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(GET_LARGE).expect("a request");
            stream
        })
        .collect();
    wait_for(|| descriptors(&server) > before + 30);
    pass(Duration::from_millis(500));
    let most = memory(&server);
    assert!(most < kept + 30 * (192 << 10), "{kept} bytes of memory grew to {most}");
    wait_for(|| descriptors(&server) <= before);
    let took = began.elapsed();
    assert!(took > seconds(1) && took < seconds(2) + SLACK, "{took:?}");
    for mut stream in clients {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < 50 << 20, "it was given up");
    }
}

#[test]
fn e4_an_answer_that_is_taken_too_slowly_is_given_up() {
    let folder = large_file();
    let limits = ["--max-send-time", "2s", "--min-transfer-rate", "8MiB"];
    let server = Server::start_in(folder.path(), &[&["--static", "."], &limits[..]].concat());
    // A megabyte a second, and sixteen.
    for (pause, whole) in [(100, false), (6, true)] {
        let mut stream = connect(&server);
        let began = Instant::now();
        stream.write_all(GET_LARGE).expect("a request");
        let (mut piece, mut taken) = (vec![0; 100 << 10], 0);
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            taken += count;
            if taken >= 50 << 20 {
                break;
            }
            pass(Duration::from_millis(pause));
        }
        let took = began.elapsed();
        assert_eq!(taken >= 50 << 20, whole, "{taken} bytes in {took:?}");
        assert!(whole || took < seconds(12), "{took:?}");
    }
}

#[test]
fn e4_a_client_on_a_slow_line_gets_what_it_asks_for() {
    let folder = large_file();
    let server = Server::start_in(folder.path(), &["--static", "."]);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.set_recv_buffer_size(64 << 10).expect("a small buffer");
    socket.connect(&server.address.into()).expect("the server accepts");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(GET_LARGE).expect("a request");
    // 20,000 bytes a second: it takes much longer than what the system keeps.
    let (began, mut piece) = (Instant::now(), [0; 2_000]);
    while began.elapsed() < seconds(12) {
        stream.read_exact(&mut piece).expect("it goes on");
        pass(Duration::from_millis(100));
    }
}

#[test]
fn e4_the_same_over_tls() {
    let folder = large_file();
    let authority = Authority::new();
    authority.certify(folder.path(), "a", &["a.example"]);
    let tls = ["--tls", "a.pem,a.pem", "--max-send-time", "1s", "--static", "."];
    let server = Server::start_in(folder.path(), &tls);
    let before = descriptors(&server);
    let mut client = authority.connect(server.address, "a.example", &["http/1.1"]);
    client.write_all(GET_LARGE).expect("a request");
    client.conn.complete_io(&mut client.sock).expect("a handshake");
    wait_for(|| descriptors(&server) > before);
    let began = Instant::now();
    wait_for(|| descriptors(&server) <= before);
    assert!(began.elapsed() < seconds(2) + SLACK, "{:?}", began.elapsed());
}

#[test]
fn e4_answers_that_nobody_takes_are_their_tenants_memory() {
    let limits = ["--max-tenant-memory", "64MiB", "--max-memory", "32MiB"];
    let app = test_guest("misbehave");
    let server = Server::start_in(&root(), &[&["--app", &app], &limits[..]].concat());
    let before = memory(&server);
    let ask = || {
        let mut client = server.connect();
        client.send(b"GET /huge?mib=12 HTTP/1.1\r\nHost: a\r\n\r\n");
        let status = client.read(12);
        (status, client)
    };
    let mut clients = Vec::new();
    let refused = loop {
        match ask() {
            (status, client) if status == b"HTTP/1.1 200" => clients.push(client),
            (status, _) => break status,
        }
        assert!(clients.len() < 10, "more is kept than the tenant may have");
    };
    // 507: there is no memory for the guest either.
    assert!([b"HTTP/1.1 503", b"HTTP/1.1 507"].contains(&&refused[..].try_into().expect("12")));
    let now = memory(&server);
    assert!(now < before + (128 << 20), "{before} bytes of memory grew to {now}");
    drop(clients);
    wait_for(|| server.get("/huge?mib=12").status == 200);
}
