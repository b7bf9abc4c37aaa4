//! Faults that ask the host for what it must not give.

use myweb::{Env, Response};

#[cfg(not(target_arch = "wasm32"))]
pub fn answer(_: &str, _: &Env) -> Option<Response> {
    None
}

#[cfg(target_arch = "wasm32")]
pub fn answer(path: &str, env: &Env) -> Option<Response> {
    use wasip2::clocks::monotonic_clock::{now, subscribe_duration};
    use wasip2::io::poll::poll;

    let number = |name| env.query(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let text = match path {
        "/random" => wasip2::random::random::get_random_bytes(number("bytes")).len().to_string(),
        "/insecure-random" => {
            wasip2::random::insecure::get_insecure_random_bytes(number("bytes")).len().to_string()
        }
        "/trap" => {
            let called: u64 = (0..number("calls")).map(|_| now()).sum();
            std::hint::black_box(called);
            core::arch::wasm32::unreachable()
        }
        "/leak" => {
            (0..1_000_000).for_each(|_| std::mem::forget(subscribe_duration(1)));
            "leaked".to_owned()
        }
        "/wait-for-ever" => {
            subscribe_duration(u64::MAX).block();
            "waited".to_owned()
        }
        "/poll-nothing" => poll(&[]).len().to_string(),
        "/poll-many" => {
            let one = subscribe_duration(0);
            poll(&vec![&one; 100_000]).len().to_string()
        }
        "/now" => {
            let before = now();
            std::hint::black_box((0..100_000).map(std::hint::black_box).sum::<u64>());
            (now() - before).to_string()
        }
        "/time" => wasip2::clocks::wall_clock::now().nanoseconds.to_string(),
        "/write" => {
            let bytes = vec![b'x'; usize::try_from(number("kib")).unwrap_or(0) << 10];
            match wasip2::cli::stdout::get_stdout().write(&bytes) {
                Ok(()) => "written".to_owned(),
                Err(error) => error.to_string(),
            }
        }
        "/surroundings" => surroundings(),
        _ => return None,
    };
    Some(Response::new(200).with_body(text + "\n"))
}

/// All that can be found around the guest; "nothing" is what there should be.
#[cfg(target_arch = "wasm32")]
fn surroundings() -> String {
    use std::fs::{File, read_dir};

    let mut found: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
    found.extend(std::env::args());
    for path in ["/", ".", "..", "/proc", "/etc", "/tmp"] {
        found.extend(read_dir(path).map(|_| path.to_owned()));
    }
    for path in ["/etc/passwd", "/proc/self/environ", "../Cargo.toml", "pic.jpg", "/dev/null"] {
        found.extend(File::open(path).map(|_| path.to_owned()));
    }
    found.extend(std::net::TcpStream::connect("127.0.0.1:22").map(|_| "a socket".to_owned()));
    let local = "127.0.0.1:9".parse::<std::net::SocketAddr>();
    found.extend(local.ok().and_then(|to| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").ok()?;
        socket.send_to(b"x", to).map(|_| "a datagram".to_owned()).ok()
    }));
    found.extend(wasip2::filesystem::preopens::get_directories().into_iter().map(|(_, name)| name));
    if found.is_empty() { "nothing".to_owned() } else { found.join(" ") }
}
