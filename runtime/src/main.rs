//! `myweb-run`: parse, run, print, exit.

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use myweb_run::cli::Cli;
use myweb_run::{Config, MyWeb};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let config = Config::from(Cli::parse());
    // Logging never blocks a request: what the reader of standard error does
    // not take is dropped.
    let (writer, _flushed_on_drop) = tracing_appender::non_blocking(stderr());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("MYWEB_LOG").unwrap_or_else(|_| "info".into()))
        .with_target(false)
        .with_ansi(stderr().is_terminal())
        .with_writer(writer)
        .init();
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("myweb-run: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the server")?;
    runtime.block_on(async {
        let stop = stop_signals().context("cannot listen for signals")?;
        let server = MyWeb::build(config)?;
        let routes = server.routes();
        let server = server.bind().await?;
        say(&format!("listening on http://{}", server.address()));
        if stderr().is_terminal() {
            print_routes(&routes);
        }
        server.serve(stop).await;
        anyhow::Ok(())
    })?;
    runtime.shutdown_background();
    Ok(())
}

/// Ready at the first Ctrl-C or SIGTERM; the second one ends the process.
fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (first, stop) = tokio::sync::oneshot::channel::<()>();
    let mut next = async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::spawn(async move {
        next().await;
        drop(first);
        next().await;
        #[allow(clippy::exit)] // At once is what a second signal asks for.
        std::process::exit(130);
    });
    Ok(async { drop(stop.await) })
}

fn print_routes(routes: &[(String, String)]) {
    let width = routes.iter().map(|(prefix, _)| prefix.len()).max().unwrap_or(0);
    for (prefix, what) in routes {
        say(&format!("  {prefix:width$}  {what}"));
    }
}

/// Writes a line to standard error. Nobody is left to be told if that fails.
fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
