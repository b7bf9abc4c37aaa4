//! E15: handshakes that do not end, that ask for what is not there, and that no
//! client should make.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::HandshakeKind;

use crate::support::process::pass;
use crate::support::tls::Authority;
use crate::support::{Client, PATIENCE, Server, guest, wait_for};

const HOST: &str = "a.example";

/// How much later than its time something may be seen to end.
const SLACK: Duration = Duration::from_secs(2);

/// A server whose only certificate is that of `a.example`.
fn server(more: &[&str]) -> (tempfile::TempDir, Server, Authority) {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    authority.certify(folder.path(), "a", &[HOST]);
    let toml = format!(
        "[[tenant]]\nname = \"a\"\nhosts = [\"{HOST}\"]\n\
         tls = {{ certificate = \"a.pem\" }}\n\
         [[tenant.route]]\npath = \"/*\"\napp = {:?}\n",
        guest("hello")
    );
    std::fs::write(folder.path().join("myweb.toml"), toml).expect("a file");
    let listen = ["--addr", "https://127.0.0.1:0"];
    let server = Server::start_in(folder.path(), &[&listen, more].concat());
    (folder, server, authority)
}

fn is_well(server: &Server, authority: &Authority) {
    let mut client = Client::over(authority.connect(server.address, HOST, &["http/1.1"]));
    client.send(b"GET /sayhello HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(client.read_answer().expect("an answer").text(), "Hello, world!\n");
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// What a client says first.
fn hello(server: &Server, authority: &Authority) -> Vec<u8> {
    let mut stream = authority.over(connect(server), HOST, &["http/1.1"]);
    let mut bytes = Vec::new();
    stream.conn.write_tls(&mut bytes).expect("a message");
    bytes
}

/// Whether the server ends a connection, whatever it says before.
fn ends(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest);
    let late = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    !read.is_err_and(|error| late(&error))
}

#[test]
fn e15_a_handshake_that_does_not_end_is_ended_after_5_seconds() {
    let (_folder, server, authority) = server(&[]);
    let hello = hello(&server, &authority);
    let began = Instant::now();
    // Nothing, a byte, a record's head, half a message, and half a handshake.
    let parts = [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00", &hello[..100], &hello];
    let clients: Vec<TcpStream> = parts
        .iter()
        .map(|part| {
            let mut stream = connect(&server);
            stream.write_all(part).expect("a part");
            stream
        })
        .collect();
    for (mut stream, part) in clients.into_iter().zip(parts) {
        assert!(ends(&mut stream), "after {} bytes", part.len());
        let took = began.elapsed();
        assert!(took > Duration::from_secs(4), "{took:?} after {} bytes", part.len());
        assert!(took < Duration::from_secs(5) + SLACK, "{took:?} after {} bytes", part.len());
    }
    is_well(&server, &authority);
}

#[test]
fn e15_a_message_of_a_byte_a_time_has_no_more_time() {
    let (_folder, server, authority) = server(&["--max-handshake-time", "1s"]);
    let hello = hello(&server, &authority);
    let began = Instant::now();
    let mut stream = connect(&server);
    for byte in hello.chunks(1) {
        if stream.write_all(byte).is_err() {
            break;
        }
        pass(Duration::from_millis(50));
    }
    let took = began.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(1) + SLACK, "{took:?}");
}

#[test]
fn e15_what_is_no_handshake_is_ended_at_once() {
    let (_folder, server, authority) = server(&["--max-handshake-time", "60s"]);
    let mut large = vec![0x16, 0x03, 0x01, 0xff, 0xff];
    large.extend([1; 70_000]);
    let http = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec();
    let alert = vec![0x15, 0x03, 0x01, 0, 2, 2, 40];
    let data = vec![0x17, 0x03, 0x03, 0, 3, 1, 2, 3];
    let sslv2 = vec![0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10];
    for bytes in [http, large, alert, data, sslv2, vec![0xff; 1_000]] {
        let mut stream = connect(&server);
        // It may have been ended before all is sent.
        let _ = stream.write_all(&bytes);
        assert!(ends(&mut stream), "{:?}", &bytes[..7]);
    }
    is_well(&server, &authority);
}

#[test]
fn e15_hosts_without_a_certificate_or_that_are_none_are_refused() {
    let (_folder, server, authority) = server(&[]);
    let hello = hello(&server, &authority);
    let at = hello.windows(HOST.len()).position(|part| part == HOST.as_bytes()).expect("a host");
    // The last has a certificate: the message is as good as any.
    for (host, ends_at_once) in [
        (&b"b.example"[..], true),
        (b".example.", true),
        (b"a\0example", true),
        (b"a..xample", true),
        (b"........ ", true),
        (b"\xff\xfe\xfd\xfcample", true),
        (b"127.0.0.1", true),
        (b"a example", true),
        (b"*.example", true),
        (b"A.EXAMPLE", false),
    ] {
        let mut changed = hello.clone();
        changed[at..at + HOST.len()].copy_from_slice(host);
        let mut stream = connect(&server);
        stream.write_all(&changed).expect("a message");
        let mut kind = [0; 1];
        stream.read_exact(&mut kind).expect("an alert, or a handshake");
        // Records: 21 is an alert, 22 a handshake (RFC 8446 section 5.1).
        let shown = String::from_utf8_lossy(host);
        assert_eq!(kind[0], if ends_at_once { 21 } else { 22 }, "{shown}");
        assert!(!ends_at_once || ends(&mut stream), "{shown}");
    }
    is_well(&server, &authority);
}

#[test]
fn e15_the_protocol_is_the_one_that_was_agreed_on() {
    let (_folder, server, authority) = server(&[]);
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["h3", "h2", "spdy/3"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let mut stream = authority.connect(server.address, HOST, offered);
        stream.conn.complete_io(&mut stream.sock).expect("a handshake");
        let protocol = stream.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name));
        assert_eq!(protocol.as_deref(), agreed, "{offered:?}");
    }
    let mut stream = authority.connect(server.address, HOST, &["spdy/3", "http/1.0"]);
    let refused = stream.conn.complete_io(&mut stream.sock);
    assert!(refused.is_err_and(|error| error.to_string().contains("NoApplicationProtocol")));
    // What was not agreed on is not spoken.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut stream = Client::over(authority.connect(server.address, HOST, &["http/1.1"]));
    stream.send(preface);
    assert_eq!(stream.read_answer().map(|answer| answer.status), Some(505));
    let mut stream = authority.connect(server.address, HOST, &["h2"]);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").expect("a request");
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    assert!(!said.starts_with(b"HTTP/"), "{said:?}");
    // Without any, the first bytes tell.
    let mut stream = authority.connect(server.address, HOST, &[]);
    stream.write_all(preface).expect("a preface");
    let mut head = [0; 9];
    stream.read_exact(&mut head).expect("SETTINGS");
    assert_eq!(head[3], 4, "{head:?}");
    is_well(&server, &authority);
}

#[test]
fn e15_a_session_goes_on_and_never_with_early_data() {
    let (_folder, server, authority) = server(&[]);
    let mut config = authority.config(&["http/1.1"]);
    config.enable_early_data = true;
    let config = Arc::new(config);
    let ask = || {
        let mut stream = authority.resume(connect(&server), HOST, config.clone());
        let early = stream.conn.early_data().is_some();
        stream
            .write_all(b"GET /sayhello HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
            .expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        assert!(answer.ends_with(b"Hello, world!\n"));
        (early, stream.conn.handshake_kind())
    };
    assert_eq!(ask(), (false, Some(HandshakeKind::Full)));
    assert_eq!(ask(), (false, Some(HandshakeKind::Resumed)));
}

#[test]
fn e15_a_connection_is_not_negotiated_again() {
    let (_folder, server, authority) = server(&["--max-header-time", "1s"]);
    let address = server.address.to_string();
    let arguments =
        ["30", "openssl", "s_client", "-tls1_2", "-connect", &address, "-servername", HOST];
    let mut child = Command::new("timeout")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl");
    let mut stdin = child.stdin.take().expect("a pipe");
    // `R` at the start of a line asks for it; the server does not answer that.
    stdin.write_all(b"R\n").expect("a line");
    let output = child.wait_with_output().expect("an end");
    drop(stdin);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("RENEGOTIATING") && !output.status.success(), "{said}");
    assert!(said.contains("no renegotiation") || said.contains("unexpected eof"), "{said}");
    is_well(&server, &authority);
}

#[test]
fn e15_handshakes_without_number_leave_nothing() {
    let (_folder, server, authority) = server(&[]);
    is_well(&server, &authority);
    let before = crate::support::process::descriptors(&server);
    let hello = hello(&server, &authority);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    // The server has signed before it sees that nobody is there.
                    let mut stream = connect(&server);
                    stream.write_all(&hello).expect("a message");
                    let _ = stream.read(&mut [0; 1]);
                }
            });
        }
        for _ in 0..20 {
            is_well(&server, &authority);
        }
    });
    wait_for(|| crate::support::process::descriptors(&server) <= before);
}
