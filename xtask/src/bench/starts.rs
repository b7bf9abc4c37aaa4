//! How soon a server answers when what it serves was compiled before: from its
//! start, and the first answer of an app that is loaded, medians.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::peers::Peer;
use super::process::Server;

/// Starts of each; the first, which compiles, is not counted.
const STARTS: usize = 7;

/// Prints a line for each peer.
pub(super) fn show(peers: &[Peer]) -> Result<()> {
    println!("\n{:26}{:>24}{:>24}", "", "start to answer, ms", "first when loaded, ms");
    for peer in peers {
        let mut pairs = Vec::new();
        for _ in 0..=STARTS {
            pairs.push(start(peer)?);
        }
        let median = |figure: fn(&(Duration, Duration)) -> Duration| {
            let mut figures: Vec<Duration> = pairs.iter().skip(1).map(figure).collect();
            figures.sort();
            figures.get(STARTS / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
        };
        let (whole, first) = (median(|pair| pair.0), median(|pair| pair.1));
        println!("{:26}{whole:>24.1}{first:>24.2}", peer.name);
    }
    Ok(())
}

/// The time from the start to the first answer, and what of it the request took.
fn start(peer: &Peer) -> Result<(Duration, Duration)> {
    let begun = Instant::now();
    let server = Server::start_on_all_cores(peer)?;
    let mut client = TcpStream::connect(server.address()?)?;
    client.set_read_timeout(Some(Duration::from_secs(60)))?;
    let asked = Instant::now();
    let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", peer.path);
    client.write_all(request.as_bytes())?;
    let mut head = [0; 12];
    client.read_exact(&mut head).context("there is no answer")?;
    if !head.ends_with(b"200") {
        bail!("{} answered {:?}", peer.name, String::from_utf8_lossy(&head));
    }
    Ok((begun.elapsed(), asked.elapsed()))
}
