//! F6 and F7: bodies of requests that do not end, of one client beside others of
//! the same tenant.

use std::net::TcpStream;

use crate::http2::{DATA, END_HEADERS, Frames, HEADERS, WINDOW_UPDATE, post};
use crate::support::{Answer, Client, Server, connect_from, test_guest, wait_for};

/// The bytes of a body that its length announces.
const ANNOUNCED: usize = 10 << 20;

/// A tenant with 64 MiB: unfinished uploads may have 32 of them, those of one
/// network 16.
fn server(more: &[&str]) -> Server {
    let limits = ["--max-tenant-memory", "64MiB", "--max-memory", "16MiB"];
    Server::start(&[&["--app", &test_guest("misbehave")], &limits[..], more].concat())
}

fn stream(server: &Server, network: u8) -> TcpStream {
    connect_from([127, 0, 2, network], server.address)
}

fn client(server: &Server, network: u8) -> Client {
    Client::over(stream(server, network))
}

/// An upload of which so many bytes arrive, and the rest does not.
fn begin(server: &Server, network: u8, bytes: usize) -> Client {
    let mut client = client(server, network);
    let head = format!("POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: {ANNOUNCED}\r\n\r\n");
    client.send(head.as_bytes());
    client.send(&vec![b'z'; bytes]);
    client
}

/// Asserts that clients of another network are served, with and without bodies.
fn others_are_served(server: &Server, network: u8) {
    for _ in 0..20 {
        assert_eq!(client(server, network).get("/ok").status, 200);
        let body = vec![b'x'; 1 << 20];
        assert_eq!(client(server, network).request("POST", "/ok", "", &body).status, 200);
    }
}

#[test]
fn f7_unfinished_uploads_of_one_client_leave_room_for_others() {
    let server = server(&[]);
    // Together they would have twice what the tenant has.
    let uploads: Vec<Client> = (0..60).map(|_| begin(&server, 1, 2 << 20)).collect();
    server.wait_for_log("unfinished uploads of the client's network have");
    others_are_served(&server, 2);
    drop(uploads);
    let body = vec![b'x'; ANNOUNCED];
    wait_for(|| client(&server, 1).request("POST", "/ok", "", &body).status == 200);
}

#[test]
fn f7_unfinished_uploads_of_many_clients_leave_half_of_the_memory() {
    let server = server(&[]);
    let uploads: Vec<Client> =
        (0..120).map(|number| begin(&server, 10 + number % 100, 1 << 20)).collect();
    server.wait_for_log("unfinished uploads of the");
    for _ in 0..20 {
        assert_eq!(client(&server, 2).get("/fill?mib=8").status, 200);
    }
    drop(uploads);
}

#[test]
fn f7_an_upload_that_is_refused_may_come_again() {
    let server = server(&[]);
    let mut uploads: Vec<Client> = (0..60).map(|_| begin(&server, 1, 2 << 20)).collect();
    // Those that had room are 408 for what did not come.
    let answers: Vec<Answer> =
        uploads.iter_mut().map(|upload| upload.read_answer().expect("an answer")).collect();
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(refused.len() > 20, "{} of 60", refused.len());
    assert!(refused.iter().all(|answer| answer.header("retry-after") == Some("1")));
    drop(uploads);
    let body = vec![b'x'; 2 << 20];
    wait_for(|| client(&server, 1).request("POST", "/ok", "", &body).status == 200);
}

#[test]
fn f7_unfinished_uploads_over_http2_have_the_same_share() {
    let server = server(&[]);
    let begin = |_| {
        let mut frames = Frames::over(Box::new(stream(&server, 1)));
        // The window of the connection has 64 KiB until the server says otherwise.
        while frames.next().is_some_and(|(kind, ..)| kind != WINDOW_UPDATE) {}
        for n in 0..8 {
            frames.frame(HEADERS, END_HEADERS, 2 * n + 1, &post("/ok"));
            // No window is larger before the server's settings are acknowledged.
            for _ in 0..3 {
                frames.frame(DATA, 0, 2 * n + 1, &[b'z'; 16 << 10]);
            }
        }
        frames
    };
    let uploads: Vec<Frames> = (0..90).map(begin).collect();
    server.wait_for_log("unfinished uploads of the client's network have");
    others_are_served(&server, 2);
    drop(uploads);
}

#[test]
fn f7_unfinished_uploads_never_end_idle_instances() {
    let guest = test_guest("misbehave");
    let limits = "limits = { tenant-memory = \"64MiB\", memory = \"128MiB\" }";
    let toml = format!(
        "[[tenant]]\nname = \"a\"\nhosts = [\"a\"]\n{limits}\n[[tenant.route]]\npath = \"/*\"\n\
         app = \"{guest}\"\nreuse = 1000\n"
    );
    let folder = crate::config::folder(&toml);
    let server = Server::start_in(folder.path(), &[]);
    let ask = |path: &str| {
        let mut client = client(&server, 2);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        client.read_answer().expect("an answer").text().to_owned()
    };
    assert_eq!(ask("/fill?mib=50"), "1\n");
    let uploads: Vec<Client> = (0..40).map(|_| begin(&server, 1, 1 << 20)).collect();
    server.wait_for_log("the tenant has");
    assert_eq!(ask("/fill?mib=1"), "1\n");
    drop(uploads);
    server.signal("TERM");
    let totals = server.wait_for_log("bytes of memory an instance");
    assert!(totals.contains(" 1 instances"), "{totals}");
}

#[test]
fn f7_bodies_of_requests_that_wait_for_a_place_count_as_unfinished() {
    let server = server(&["--max-concurrency", "1", "--max-queue", "100", "--max-wall", "60s"]);
    let mut running = client(&server, 3);
    running.send(b"GET /hold?mib=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    server.wait_for_log("holds");
    let body = vec![b'z'; 1 << 20];
    let wait = |_| {
        let mut waiting = client(&server, 1);
        let head =
            format!("POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        waiting.send(head.as_bytes());
        waiting.send(&body);
        waiting
    };
    let waiting: Vec<Client> = (0..40).map(wait).collect();
    server.wait_for_log("unfinished uploads of the client's network have");
    drop(waiting);
}
