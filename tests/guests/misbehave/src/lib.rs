//! Does everything that a handler must not do; the path selects the fault.

use myweb::{Env, Response, handler};
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

mod wasi;

/// How often this instance was called: says whether it is fresh.
static CALLS: AtomicU32 = AtomicU32::new(0);

#[handler]
#[allow(clippy::print_stdout, clippy::print_stderr, clippy::exit)]
fn application(env: Env) -> Response {
    let ok = || Response::new(200).with_body("ok\n");
    let number = |name| env.query(name).and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    match env.path() {
        "/ok" => ok(),
        "/calls" => {
            let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
            Response::new(200).with_body(format!("{calls}\n"))
        }
        "/loop" => {
            println!("began");
            loop {
                black_box(0);
            }
        }
        "/spin" => {
            let rounds = number("millions") * 1_000_000;
            let sum = (0..rounds).fold(0, |sum, round| black_box(sum ^ round));
            Response::new(200).with_body(format!("{sum}\n"))
        }
        "/fill" => {
            // `memory.fill`: nothing in it asks whether it goes on for too long.
            let mut memory = vec![0u8; number("mib") << 20];
            black_box(&mut memory).fill(1);
            Response::new(200).with_body(format!("{}\n", black_box(memory)[0]))
        }
        "/fill-loop" => {
            // First so long that it is one of the long ones.
            (0..50_000_000).for_each(|round| _ = black_box(round));
            let mut memory = Vec::with_capacity(number("mib") << 20);
            println!("fills");
            memory.resize(number("mib") << 20, 1u8);
            black_box(&mut memory);
            loop {
                black_box(0);
            }
        }
        "/nap-fill" => {
            #[allow(clippy::disallowed_methods)] // It is long after it has waited.
            std::thread::sleep(std::time::Duration::from_millis(1));
            black_box(&mut vec![0u8; number("mib") << 20]).fill(1);
            ok()
        }
        "/sleep" => {
            println!("began");
            #[allow(clippy::disallowed_methods)] // A guest that waits is what is tested.
            std::thread::sleep(std::time::Duration::from_millis(number("ms") as u64));
            ok()
        }
        "/panic" => panic!("the guest panicked on purpose"),
        "/exit" => std::process::exit(3),
        "/recurse" => Response::new(200).with_body(recurse(0).to_string()),
        "/allocate" => {
            let mut kept = Vec::new();
            loop {
                kept.push(black_box(vec![1u8; 1 << 20]));
            }
        }
        "/hold" => {
            let kept = black_box(vec![1u8; number("mib") << 20]);
            println!("holds {} bytes", kept.len());
            #[allow(clippy::disallowed_methods)] // Its memory is what is tested.
            std::thread::sleep(std::time::Duration::from_secs(60));
            ok()
        }
        "/grow" => Response::new(200).with_body(grow().to_string()),
        "/status" => Response::new(number("code") as u16).with_body("body\n"),
        "/header" => {
            let value = env.query("value").unwrap_or_default();
            ok().with_header(env.query("name").unwrap_or_default(), value)
        }
        "/many-headers" => (0..number("count"))
            .fold(ok(), |response, n| response.with_header(format!("x-{n}"), "1")),
        "/huge" => Response::new(200).with_body(vec![b'x'; number("mib") << 20]),
        "/print" => {
            println!("{}", env.query("text").unwrap_or_default());
            eprintln!("{}", env.query("text").unwrap_or_default());
            ok()
        }
        "/flood" => {
            (0..number("lines")).for_each(|line| println!("line {line} of a flood"));
            ok()
        }
        "/unending" => {
            (0..number("kib")).for_each(|_| print!("{}", "x".repeat(1024)));
            ok()
        }
        "/unending-for-ever" => loop {
            print!("{}", "x".repeat(1024));
        },
        "/long-value" => ok().with_header("x", "x".repeat(number("kib") << 10)),
        "/long-name" => ok().with_header("x".repeat(number("kib") << 10), "1"),
        "/file" => myweb::files::send(env.query("path").unwrap_or_default()),
        "/read" => match myweb::files::read(env.query("path").unwrap_or_default()) {
            Ok(bytes) => Response::new(200).with_body(bytes),
            Err(error) => Response::new(404).with_body(format!("{error}\n")),
        },
        "/fail" => myweb::IntoResponse::into_response(myweb::Error::internal("a secret cause")),
        path => wasi::answer(path, &env).unwrap_or(Response::new(404)),
    }
}

#[allow(unconditional_recursion)]
fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth) + 1)) + 1
}

/// Grows the memory until it is refused, then goes on.
fn grow() -> usize {
    #[cfg(target_arch = "wasm32")]
    return (0..).take_while(|_| core::arch::wasm32::memory_grow(0, 1) != usize::MAX).count();
    #[cfg(not(target_arch = "wasm32"))]
    return 0;
}
