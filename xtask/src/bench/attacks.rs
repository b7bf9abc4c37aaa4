//! `cargo xtask bench attacks`: a victim beside attacks on what the server itself
//! does: compression, heads, uploads, key-value data, slow clients.

#![allow(clippy::disallowed_methods, reason = "an attack keeps to its times")]

use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};

use super::http2_heads;
use super::open_loop::{connect, get};
use super::peers::Site;
use super::victim::{self, Attacker, Victim};

/// Requests a second that the victim gets, and fewer of those that sync a disk.
const RATE: u32 = 500;
const WRITES: u32 = 50;
/// A text that takes a quarter of a second to compress, in bytes.
const TEXT: usize = 20 << 20;
/// Pairs that the attacker of key-value data reads and writes.
const PAIRS: usize = 100_000;
/// Unfinished uploads announce this much, in bytes.
const UPLOAD: usize = 10 << 20;

/// An attack by so many clients, each a thread of its own.
struct Attack {
    name: &'static str,
    clients: usize,
    /// The server's limit of connections.
    places: usize,
    victim: Victim,
    client: fn(Client<'_>) -> Result<()>,
}

/// One client of an attack.
struct Client<'a> {
    number: usize,
    address: SocketAddr,
    stop: &'a AtomicBool,
    ready: &'a AtomicUsize,
    /// Whether the client attacked before; a connection that it lost is no new client.
    begun: &'a Cell<bool>,
}

const HELLO: Victim = Victim { host: "victim.example", path: "/sayhello", rate: RATE };

const ATTACKS: [Attack; 8] = [
    Attack {
        name: "64 Brotli downloads",
        clients: 64,
        places: 1_024,
        victim: HELLO,
        client: downloads,
    },
    Attack {
        name: "600 connections of heads",
        clients: 600,
        places: 1_024,
        victim: HELLO,
        client: heads,
    },
    Attack {
        name: "96 unfinished uploads",
        clients: 96,
        places: 1_024,
        victim: Victim { host: "attacker.example", path: "/sayhello", rate: RATE },
        client: uploads,
    },
    Attack {
        name: "64 get_many, a get",
        clients: 64,
        places: 1_024,
        victim: Victim { host: "data.example", path: "/get?key=n", rate: RATE },
        client: reads,
    },
    Attack {
        name: "64 set_many, a get",
        clients: 64,
        places: 1_024,
        victim: Victim { host: "data.example", path: "/get?key=n", rate: RATE },
        client: writes,
    },
    Attack {
        name: "64 set_many, a set",
        clients: 64,
        places: 1_024,
        victim: Victim { host: "data.example", path: "/set?key=n&value=1", rate: WRITES },
        client: writes,
    },
    Attack {
        name: "slow heads on 256 places",
        clients: 256,
        places: 256,
        victim: HELLO,
        client: slow_heads,
    },
    Attack {
        name: "slow readers on 256 places",
        clients: 256,
        places: 256,
        victim: HELLO,
        client: slow_readers,
    },
];

impl Attacker for Attack {
    fn name(&self) -> &'static str {
        self.name
    }

    fn clients(&self) -> usize {
        self.clients
    }

    fn run(&self, address: SocketAddr, stop: &AtomicBool, ready: &AtomicUsize) {
        thread::scope(|scope| {
            for number in 0..self.clients {
                scope.spawn(move || {
                    let begun = Cell::new(false);
                    while !stop.load(Relaxed) {
                        // A client whose connection the server ends comes again.
                        let client = Client { number, address, stop, ready, begun: &begun };
                        let _ = (self.client)(client);
                        thread::sleep(Duration::from_millis(50));
                    }
                });
            }
        });
    }
}

impl Client<'_> {
    /// The client attacks from now on.
    fn begins(&self) {
        if !self.begun.replace(true) {
            self.ready.fetch_add(1, Relaxed);
        }
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Relaxed)
    }

    /// A connection from an address of the network 127.0.2.0/24, which the victim's
    /// clients are not in.
    fn connect(&self) -> Result<TcpStream> {
        let host = u8::try_from(self.number % 200 + 1)?;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::new(127, 0, 2, host), 0).into())?;
        socket.connect_timeout(&self.address.into(), Duration::from_secs(2))?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.set_write_timeout(Some(Duration::from_secs(2)))?;
        Ok(stream)
    }

    /// Asks for a path again and again.
    fn asks(&self, host: &str, path: &str) -> Result<()> {
        let mut stream = connect(self.address)?;
        self.begins();
        while self.goes_on() {
            get(&mut stream, host, path)?;
        }
        Ok(())
    }
}

/// Takes a large text in Brotli, all of it, again and again.
fn downloads(client: Client<'_>) -> Result<()> {
    let mut stream = client.connect()?;
    let request = "GET /large.txt HTTP/1.1\r\nHost: files.example\r\nAccept-Encoding: br\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    client.begins();
    let mut buffer = vec![0; 256 << 10];
    while client.goes_on() {
        if stream.read(&mut buffer)? == 0 {
            bail!("the server closed");
        }
    }
    Ok(())
}

/// Opens streams whose heads are small on the wire and large in memory, and lets no
/// response end.
fn heads(client: Client<'_>) -> Result<()> {
    let mut stream = client.connect()?;
    stream.write_all(&http2_heads::opening("victim.example", "/sayhello"))?;
    client.begins();
    let mut buffer = [0; 4_096];
    while client.goes_on() {
        match stream.read(&mut buffer) {
            Ok(0) => bail!("the server closed"),
            Ok(_) => {}
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
    Ok(())
}

/// Uploads all but the end at once, and the rest at 700 bytes a second.
fn uploads(client: Client<'_>) -> Result<()> {
    let mut stream = client.connect()?;
    let head =
        format!("POST / HTTP/1.1\r\nHost: attacker.example\r\nContent-Length: {UPLOAD}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&vec![b'z'; UPLOAD * 9 / 10])?;
    client.begins();
    while client.goes_on() {
        stream.write_all(&[b'z'; 350])?;
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// Reads many pairs in each request.
fn reads(client: Client<'_>) -> Result<()> {
    client.asks("attacker-data.example", &format!("/get-many?from=0&to={}", PAIRS / 10))
}

/// Writes many pairs in each request.
fn writes(client: Client<'_>) -> Result<()> {
    client.asks("attacker-data.example", &format!("/fill?from=0&count={}&bytes=1", PAIRS / 100))
}

/// Sends a byte of a head every two seconds.
fn slow_heads(client: Client<'_>) -> Result<()> {
    let mut stream = client.connect()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: victim.example\r\nX-Slow: ")?;
    client.begins();
    while client.goes_on() {
        stream.write_all(b"x")?;
        thread::sleep(Duration::from_secs(2));
    }
    Ok(())
}

/// Reads a large response at two kilobytes a second.
fn slow_readers(client: Client<'_>) -> Result<()> {
    let mut stream = client.connect()?;
    stream.write_all(b"GET /large.txt HTTP/1.1\r\nHost: files.example\r\n\r\n")?;
    client.begins();
    let mut buffer = [0; 1_024];
    while client.goes_on() {
        if stream.read(&mut buffer)? == 0 {
            bail!("the server closed");
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// Measures the attacks whose names contain `only`, or all of them, and writes
/// `target/bench/attacks.json`.
///
/// # Errors
/// No attack has such a name, or a server does not start.
pub(crate) fn run(only: Option<&str>, older: Option<&Path>) -> Result<()> {
    let site = Site::new()?;
    let wanted = |attack: &&Attack| only.is_none_or(|only| attack.name.contains(only));
    if !ATTACKS.iter().any(|attack| wanted(&attack)) {
        let names: Vec<_> = ATTACKS.iter().map(|attack| attack.name).collect();
        bail!(
            "no attack has {:?} in its name; there are: {}",
            only.unwrap_or_default(),
            names.join("; ")
        );
    }
    let texts = site.folder.join("texts");
    fs::create_dir_all(&texts)?;
    fs::write(texts.join("large.txt"), text()).context("large.txt")?;
    victim::heading();
    let mut records = Vec::new();
    for attack in ATTACKS.iter().filter(wanted) {
        let servers = victim::servers(&site, older, &config(&site, attack.places))?;
        records.extend(victim::beside(&servers, attack, &attack.victim)?);
    }
    fs::write("target/bench/attacks.json", serde_json::to_string_pretty(&records)?)?;
    println!("\n{} Also in target/bench/attacks.json.", victim::LEGEND);
    Ok(())
}

/// Words in an order that repeats late: a compressor finds something, and not all.
fn text() -> String {
    let mut text = String::with_capacity(TEXT + 16);
    let mut state = 1_u32;
    while text.len() < TEXT {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(&format!("word{} ", state >> 18));
    }
    text
}

/// The tenants: a victim and its data, an attacker, the attacker's data, and files.
fn config(site: &Site, places: usize) -> String {
    let tenant = |name: &str, route: &str| {
        format!(
            "[[tenant]]\nname = \"{name}\"\nhosts = [\"{name}.example\"]\n\
             [[tenant.route]]\npath = \"/*\"\n{route}\n"
        )
    };
    let hello = format!("app = \"{}\"", site.guest("hello"));
    let data =
        format!("app = \"{}\"\ngrants = {{ keyvalue = [\"visits\"] }}", site.test_guest("store"));
    format!(
        "listen = [\"127.0.0.1:0\"]\nstate = \"attacks-state\"\n\
         limits = {{ connections = {places}, client-connections = {places} }}\n"
    ) + &tenant("victim", &hello)
        + &tenant("attacker", &hello)
        + &tenant("files", "static = \"texts\"")
        + &tenant("data", &data)
        + &tenant("attacker-data", &data)
}
