//! Row F11, of requests to other servers: tenants whose origins never answer leave
//! places for the connections of another.

use std::net::TcpListener;

use super::HELLO;
use crate::config::folder;
use crate::support::origin::Origin;
use crate::support::process::descriptors;
use crate::support::{Client, Server, test_guest, wait_for};

/// Connections that tenants share, as `capability/fetch/places.rs` has them.
const SHARED: usize = 1_536;

fn tenant(name: &str, granted: &str) -> String {
    let app = test_guest("wasi_http_02");
    format!(
        "[[tenant]]\nname = \"{name}\"\nhosts = [\"{name}\"]\n\
         [[tenant.route]]\npath = \"/*\"\napp = \"{app}\"\n\
         grants = {{ outbound = [\"{granted}\"] }}\n"
    )
}

fn get(client: &mut Client, host: &str, target: &str) {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
}

/// A server of so many tenants whose origin never answers, and of a victim.
fn beside(greedy: usize) {
    // Nobody accepts: what the system does not take up waits to be connected.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = silent.local_addr().map(|address| (silent, address)).expect("an address");
    let good = Origin::start(|conversation| {
        conversation.head();
        conversation.send(HELLO.replace("X-Kept: 1", "Connection: close").as_bytes());
    });
    let limits = "[limits]\nwall = \"10m\"\noutbound-time = \"5m\"\noutbound = 1000\n\
                  outbound-concurrency = 1000\n";
    let mut toml = limits.to_owned() + &tenant("victim", &good.grant());
    for number in 0..greedy {
        toml += &tenant(&format!("greedy{number}"), &format!("http://{}", silent.1));
    }
    let folder = folder(&toml);
    let server = Server::start_in(folder.path(), &[]);
    let mut clients = Vec::new();
    for number in 0..greedy {
        for _ in 0..5 {
            let mut client = server.connect();
            let target = format!("/fetch-many?count=60&to={}", silent.1);
            get(&mut client, &format!("greedy{number}"), &target);
            clients.push(client);
        }
    }
    // Each has its part.
    let taken = SHARED * greedy / (greedy + 5);
    wait_for(|| descriptors(&server) >= taken);
    let mut client = server.connect();
    for turn in 0..30 {
        get(&mut client, "victim", &format!("/fetch?to={}", good.authority()));
        let answer = client.read_answer().expect("an answer");
        assert!(answer.text().contains("hello\nwhole"), "{greedy}, {turn}: {}", answer.text());
    }
    drop(clients);
}

#[test]
fn f11_origins_that_never_answer_leave_places_for_another_tenants_connections() {
    for greedy in [4, 8, 16] {
        beside(greedy);
    }
}
