//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::config::{Config, Mount};
use crate::limits::Limits;
use crate::units::{Bytes, Span};

/// Serves WebAssembly handlers and static files.
///
/// A handler is a component with one function, `application(env)`. Every request
/// runs in a sandbox of its own, within limits.
#[derive(Debug, Parser)]
#[command(name = "myweb-run", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// Serve a component at PREFIX and below, by default at /. Repeatable.
    #[arg(long = "app", value_name = "[PREFIX=]FILE", value_parser = mount)]
    apps: Vec<Mount>,
    /// Serve every NAME.wasm in DIR at /NAME and below.
    #[arg(long, value_name = "DIR", env = "MYWEB_HANDLERS")]
    handlers: Option<PathBuf>,
    /// Serve the files in DIR, by default at /. Repeatable. Without it, ./html is
    /// served if it is there: at / in front of the apps, and at /static/.
    #[arg(long = "static", value_name = "[PREFIX=]DIR", value_parser = mount)]
    statics: Vec<Mount>,
    /// Let the apps read and send the files in DIR.
    #[arg(long, value_name = "DIR", env = "MYWEB_FILES")]
    files: Option<PathBuf>,
    /// Listen here; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", env = "MYWEB_ADDR", default_value = "127.0.0.1:7788")]
    addr: String,
    /// Let an instance serve N requests, one after the other. 1 is a fresh
    /// instance for every request; more is faster, and isolates requests of the
    /// same app less.
    #[arg(long, value_name = "N", env = "MYWEB_REUSE", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..))]
    reuse: u32,
    /// Load changed components while serving; a broken one leaves the old one.
    #[arg(long, env = "MYWEB_WATCH")]
    watch: bool,
    #[command(flatten)]
    limits: LimitFlags,
}

const EXAMPLES: &str = "\
Examples:
  myweb-run --app guests/hello.wasm                 one app at /, ./html in front of it
  myweb-run --app /blog=blog.wasm --app /=site.wasm --static /assets=public
  myweb-run --handlers guests                       every NAME.wasm at /NAME
  myweb-run --app hello.wasm --watch                reload when it is built again

Sizes are written 512, 64KiB, 10MiB; durations 250ms, 10s, 2m.";

/// The bounds that are enforced.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitFlags {
    /// CPU time a request (then 504).
    #[arg(long, value_name = "TIME", env = "MYWEB_MAX_CPU")]
    max_cpu: Option<Span>,
    /// Time to the answer (then 504).
    #[arg(long, value_name = "TIME", env = "MYWEB_MAX_WALL")]
    max_wall: Option<Span>,
    /// Memory an instance (then 507).
    #[arg(long, value_name = "SIZE", env = "MYWEB_MAX_MEMORY")]
    max_memory: Option<Bytes>,
    /// A request's body (then 413).
    #[arg(long, value_name = "SIZE", env = "MYWEB_MAX_BODY")]
    max_body: Option<Bytes>,
    /// The body of an app's answer (then 502).
    #[arg(long, value_name = "SIZE", env = "MYWEB_MAX_RESPONSE")]
    max_response: Option<Bytes>,
    /// All headers of a request (then 431).
    #[arg(long, value_name = "SIZE", env = "MYWEB_MAX_HEADERS")]
    max_headers: Option<Bytes>,
    /// The number of a request's headers (then 431).
    #[arg(long, value_name = "N", env = "MYWEB_MAX_HEADER_COUNT",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_header_count: Option<u32>,
    /// Time for a request's headers, and between two requests (then closed).
    #[arg(long, value_name = "TIME", env = "MYWEB_MAX_HEADER_TIME")]
    max_header_time: Option<Span>,
    /// Time for a request's body (then 408).
    #[arg(long, value_name = "TIME", env = "MYWEB_MAX_BODY_TIME")]
    max_body_time: Option<Span>,
    /// A request's target (then 414).
    #[arg(long, value_name = "SIZE", env = "MYWEB_MAX_URI")]
    max_uri: Option<Bytes>,
    /// What a request may log; the rest is counted.
    #[arg(long, value_name = "SIZE", env = "MYWEB_MAX_LOG")]
    max_log: Option<Bytes>,
    /// Requests that run at the same time.
    #[arg(long, value_name = "N", env = "MYWEB_MAX_CONCURRENCY",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_concurrency: Option<u32>,
    /// Requests that wait for a place (then 503).
    #[arg(long, value_name = "N", env = "MYWEB_MAX_QUEUE",
          value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    max_queue: Option<u32>,
    /// Time that they wait (then 503).
    #[arg(long, value_name = "TIME", env = "MYWEB_MAX_QUEUE_TIME")]
    max_queue_time: Option<Span>,
    /// Instances at the same time: the pool (then 503).
    #[arg(long, value_name = "N", env = "MYWEB_INSTANCES",
          value_parser = clap::value_parser!(u32).range(1..=30_000))]
    instances: Option<u32>,
    /// Time for running requests to end when the server stops.
    #[arg(long, value_name = "TIME", env = "MYWEB_DRAIN")]
    drain: Option<Span>,
}

/// `PREFIX=PATH`, or a path alone for `/`.
fn mount(text: &str) -> Result<Mount, String> {
    let (prefix, path) = match text.split_once('=') {
        Some((prefix, path)) if prefix.starts_with('/') => (prefix, path),
        _ => ("/", text),
    };
    if path.is_empty() {
        return Err("the path is empty".to_owned());
    }
    Ok(Mount::new(prefix, path))
}

impl From<Cli> for Config {
    fn from(cli: Cli) -> Config {
        Config {
            listen: cli.addr,
            apps: cli.apps,
            handlers: cli.handlers,
            statics: cli.statics,
            files: cli.files,
            reuse: cli.reuse,
            watch: cli.watch,
            limits: cli.limits.into(),
        }
    }
}

impl From<LimitFlags> for Limits {
    fn from(flags: LimitFlags) -> Limits {
        let default = Limits::default();
        let bytes = |flag: Option<Bytes>, default| flag.map_or(default, |bytes| bytes.0);
        let span = |flag: Option<Span>, default| flag.map_or(default, |span| span.0);
        let count = |flag: Option<u32>, default| flag.map_or(default, |count| count as usize);
        Limits {
            cpu: span(flags.max_cpu, default.cpu),
            wall: span(flags.max_wall, default.wall),
            memory: bytes(flags.max_memory, default.memory),
            body: bytes(flags.max_body, default.body),
            response: bytes(flags.max_response, default.response),
            headers: bytes(flags.max_headers, default.headers),
            header_count: count(flags.max_header_count, default.header_count),
            header_time: span(flags.max_header_time, default.header_time),
            body_time: span(flags.max_body_time, default.body_time),
            uri: bytes(flags.max_uri, default.uri),
            log: bytes(flags.max_log, default.log),
            concurrency: count(flags.max_concurrency, default.concurrency),
            queue: count(flags.max_queue, default.queue),
            queue_time: span(flags.max_queue_time, default.queue_time),
            instances: flags.instances.unwrap_or(default.instances),
            drain: span(flags.drain, default.drain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_a_path_with_or_without_a_prefix() {
        for (text, expected) in [
            ("a.wasm", Some(Mount::new("/", "a.wasm"))),
            ("/blog=a.wasm", Some(Mount::new("/blog", "a.wasm"))),
            ("/abs/a.wasm", Some(Mount::new("/", "/abs/a.wasm"))),
            ("a=b.wasm", Some(Mount::new("/", "a=b.wasm"))),
            ("/blog=", None),
            ("", None),
        ] {
            assert_eq!(mount(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
