//! `myweb-run`: parse, run, print, exit.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;

use anyhow::Context;
use myweb_run::build::{build, stop_children};
use myweb_run::cli::Invocation;
use myweb_run::config::json_schema;
use myweb_run::{
    Checked, Compilation, Control, Handover, Logs, MyWeb, REFUSED, Source, Stop, this_program,
};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Gives memory back once it is not used for a while, from wherever in the heap;
/// the system's keeps what many connections at the same time have taken
/// (docs/architecture.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let result = match Invocation::parse() {
        Invocation::Serve(source) => serve(source),
        Invocation::Check(source) => check(source),
        Invocation::Routes(source) => routes(source),
        Invocation::Schema => {
            print(&json_schema());
            Ok(())
        }
        Invocation::Compile(compilation) => return compile(&compilation),
        Invocation::Build { recipe, state, output } => {
            // Its progress, and what it warns of.
            let ansi = stderr().is_terminal();
            let log = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(ansi);
            log.with_writer(stderr).init();
            let built = build(&recipe, state.as_deref(), &output);
            built.map(|()| say(&format!("built {}", output.display()))).map_err(anyhow::Error::msg)
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("myweb-run: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(source: Source) -> anyhow::Result<()> {
    let logs = Logs::start().context("cannot start a thread")?;
    let log = logs.to_stderr();
    let level = log_level()?;
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(stderr().is_terminal())
        .with_writer(move || log.clone())
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the server")?;
    runtime.block_on(async {
        let mut stop = pin!(stop_signals().context("cannot listen for signals")?);
        // Apps are built and compiled, which takes its time.
        let (tell, loaded) = oneshot::channel();
        let runtime = Handle::current();
        let loader = std::thread::spawn(move || {
            let _entered = runtime.enter();
            // Nobody waits for it any more once the server is stopped.
            let _ = tell.send(MyWeb::build_with_logs(source, logs, compiler()));
        });
        let server = tokio::select! {
            // A thread that has said its last word is gone before the first request is served.
            loaded = loaded => {
                let _ = loader.join();
                loaded.context("the load failed")??
            }
            () = &mut stop => {
                stop_children();
                return Ok(());
            }
        };
        let routes = server.routes();
        let server = server.bind().await?;
        obey_signals(server.control()).context("cannot listen for signals")?;
        let handover = server.handover().context("cannot pass the listeners on")?;
        let handed_over = handed_over(handover).context("cannot listen for signals")?;
        // Now it can be told what to do.
        for address in server.shown() {
            say(&format!("listening on {address}"));
        }
        if stderr().is_terminal() {
            say(table(&routes).trim_end());
        }
        server
            .serve(async {
                tokio::select! {
                    () = stop => Stop::Ended,
                    () = handed_over => Stop::HandedOver,
                }
            })
            .await;
        anyhow::Ok(())
    })?;
    runtime.shutdown_background();
    Ok(())
}

fn check(source: Source) -> anyhow::Result<()> {
    let Checked { routes, warnings } = MyWeb::check(source, compiler())?;
    warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let count: usize = routes.iter().map(|(_, routes)| routes.len()).sum();
    print(&format!("valid: {} tenants, {count} routes\n", routes.len()));
    Ok(())
}

fn routes(source: Source) -> anyhow::Result<()> {
    print(&table(&MyWeb::check(source, compiler())?.routes));
    Ok(())
}

/// What compiles apart: this program.
fn compiler() -> Option<PathBuf> {
    this_program()
}

/// Compiles for a server; what it says goes to the server alone.
fn compile(compilation: &Compilation) -> ExitCode {
    let (code, said) = match myweb_run::compile(compilation) {
        Ok(compiled) => (ExitCode::SUCCESS, compiled),
        Err(why) => (ExitCode::from(REFUSED), why.into_bytes()),
    };
    match stdout().write_all(&said) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Each tenant, with its routes below it.
fn table(tenants: &[(String, Vec<[String; 3]>)]) -> String {
    let mut table = String::new();
    for (tenant, routes) in tenants {
        let width =
            |column: usize| routes.iter().map(|route| route[column].len()).max().unwrap_or(0);
        let (methods, paths) = (width(0), width(1));
        table.push_str(&format!("{tenant}\n"));
        for [method, path, what] in routes {
            table.push_str(&format!("  {method:methods$}  {path:paths$}  {what}\n"));
        }
    }
    table
}

/// What is logged, by `MYWEB_LOG`.
fn log_level() -> anyhow::Result<tracing::Level> {
    match std::env::var("MYWEB_LOG").unwrap_or_default().as_str() {
        "error" => Ok(tracing::Level::ERROR),
        "warn" => Ok(tracing::Level::WARN),
        "" | "info" => Ok(tracing::Level::INFO),
        "debug" => Ok(tracing::Level::DEBUG),
        other => anyhow::bail!("MYWEB_LOG={other}: write error, warn, info or debug"),
    }
}

/// SIGHUP loads what has changed, SIGUSR1 opens the logs again.
fn obey_signals(control: Control) -> std::io::Result<()> {
    let mut reload = signal(SignalKind::hangup())?;
    let mut reopen = signal(SignalKind::user_defined1())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = reload.recv() => control.reload().await,
                Some(()) = reopen.recv() => control.reopen_logs(),
                else => return,
            }
        }
    });
    Ok(())
}

/// Ready once a new process serves in place of this one, started on SIGUSR2.
fn handed_over(handover: Handover) -> std::io::Result<impl Future<Output = ()>> {
    let mut upgrade = signal(SignalKind::user_defined2())?;
    Ok(async move {
        while upgrade.recv().await.is_some() {
            match handover.start().await {
                Ok(process) => {
                    tracing::info!("process {process} serves now; this one ends");
                    return;
                }
                Err(why) => {
                    tracing::error!("the new process does not serve, this one goes on: {why}");
                }
            }
        }
    })
}

/// Ready at the first Ctrl-C or SIGTERM; the second one ends the process.
fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (first, stop) = oneshot::channel::<()>();
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

/// Writes a line to standard error, at once: one of the log's does not come
/// between it and its end. Nobody is left to be told if that fails.
fn say(line: &str) {
    let _ = stderr().write_all(format!("{line}\n").as_bytes());
}

/// Writes to standard output.
fn print(text: &str) {
    let _ = stdout().write_all(text.as_bytes());
}
