//! `myweb-run`: parse, run, print, exit.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use myweb_run::build::{FAILED, Recipe, Sandbox, build, enter, stop_builds};
use myweb_run::cli::Invocation;
use myweb_run::config::{json_schema, private_files};
use myweb_run::{
    Checked, Compilation, Control, Handover, Logs, MyWeb, REFUSED, Source, Stop, this_program,
};
use myweb_run::{EventLog, event_fields, for_terminal, indented, one_line};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Gives memory back once it is not used for a while, from wherever in the heap;
/// the system's keeps what many connections at the same time have taken
/// (docs/architecture.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Tasks that a thread polls before it looks for what came over its connections.
const EVENTS: u32 = 16;

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
        Invocation::Sandbox(sandbox) => return run_in_sandbox(&sandbox),
        Invocation::Build { recipe, state, output } => {
            let built = build_until_stopped(&recipe, state, output);
            built.map(|output| say(&format!("built {}", output.display())))
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
    let log = EventLog::new(logs.to_stderr());
    let level = log_level()?;
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(stderr().is_terminal())
        .fmt_fields(event_fields())
        .with_writer(log)
        .init();
    std::panic::set_hook(Box::new(report_panic));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(EVENTS)
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
                stop_builds();
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
        stop_builds();
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

/// Builds a component; a signal ends the tools and then this process.
fn build_until_stopped(
    recipe: &Recipe,
    state: Option<PathBuf>,
    output: PathBuf,
) -> anyhow::Result<PathBuf> {
    // Its progress, and what it warns of.
    let ansi = stderr().is_terminal();
    let log = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(ansi);
    log.fmt_fields(event_fields()).with_writer(stderr).init();
    let private = private_files(&recipe.folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start a thread")?;
    runtime.block_on(async {
        let stop = stop_signals().context("cannot listen for signals")?;
        let (tell, built) = oneshot::channel();
        let recipe = recipe.clone();
        std::thread::spawn(move || {
            let built = build(&recipe, state.as_deref(), &private, &output).map(|()| output);
            // Nobody waits for it any more once the process is stopped.
            let _ = tell.send(built);
        });
        tokio::select! {
            built = built => {
                let built = built.context("the build failed")?;
                built.map_err(|why| anyhow::Error::msg(indented(&why)))
            }
            () = stop => {
                stop_builds();
                Err(anyhow::anyhow!("stopped by a signal"))
            }
        }
    })
}

/// Replaces this process by a tool, in a sandbox.
fn run_in_sandbox(sandbox: &Sandbox) -> ExitCode {
    match enter(sandbox) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(why) => {
            say(&why);
            ExitCode::from(FAILED)
        }
    }
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
        table.push_str(&format!("{}\n", one_line(tenant)));
        for [method, path, what] in routes {
            let line = format!("  {method:methods$}  {path:paths$}  {what}");
            table.push_str(&format!("{}\n", one_line(&line)));
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

/// Reports a panic of the server itself as an event: one line, whatever its message
/// was made of.
fn report_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let trace = std::backtrace::Backtrace::capture();
    let thread = std::thread::current();
    tracing::error!("thread {:?} {panic}\n{trace}", thread.name().unwrap_or_default());
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

/// Ready at the first Ctrl-C or SIGTERM.
fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    end_at_second_signal()?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// A second Ctrl-C or SIGTERM ends the process at once. SECURITY: the signal's handler
/// itself does so, whatever the threads of the server do or wait for.
fn end_at_second_signal() -> std::io::Result<()> {
    let is_second = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal only arms the other handler.
        register_conditional_shutdown(signal, ENDED_AT_ONCE, is_second.clone())?;
        register(signal, is_second.clone())?;
    }
    Ok(())
}

/// The exit code at a second signal.
const ENDED_AT_ONCE: i32 = 130;

/// Writes a line to standard error, at once: one of the log's does not come
/// between it and its end. Nobody is left to be told if that fails.
fn say(line: &str) {
    let _ = stderr().write_all(format!("{}\n", for_terminal(line)).as_bytes());
}

/// Writes to standard output.
fn print(text: &str) {
    let _ = stdout().write_all(for_terminal(text).as_bytes());
}
