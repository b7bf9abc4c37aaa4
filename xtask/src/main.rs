//! `cargo xtask`: builds, runs and tests myweb, with all the set-up that takes.

mod bench;
mod build;
mod command;
mod release;
mod test;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask build           build the guests and the server, in release
cargo xtask run [ARGS]      build, then serve guests/hello.wasm and html/, or as ARGS say
cargo xtask release         build target/dist/myweb-run, by a profile of it under load
cargo xtask test [--long]   formatting, lints, all tests; --long: soaks and tight bounds too
cargo xtask bench [NAME]    measure: hello (the default), components,
                            streams (a part of it), density, isolation,
                            attacks [WORDS of a name], static, tls (a part of it),
                            languages [hello|json|page|cpu|flask|start];
                            hello, isolation and attacks take --older PATH last: that
                            server is measured in turn with this one";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    std::env::set_current_dir(command::root()?)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (arguments, older) = match arguments.as_slice() {
        [arguments @ .., "--older", older] => (arguments, Some(Path::new(older))),
        arguments => (arguments, None),
    };
    match arguments {
        ["build"] => build::all(),
        ["run", arguments @ ..] => build::run_server(arguments),
        ["release"] => release::all(),
        ["test"] => test::all(false),
        ["test", "--long"] => test::all(true),
        ["bench", "components"] => bench::components(),
        ["bench", "density"] => bench::density(),
        ["bench", "isolation"] => bench::isolation(older),
        ["bench", "attacks"] => bench::attacks(None, older),
        ["bench", "attacks", only] => bench::attacks(Some(only), older),
        ["bench", "languages"] => bench::languages(None),
        ["bench", "languages", only] => bench::languages(Some(only)),
        ["bench", "static"] => bench::statics(),
        ["bench", "streams"] => bench::streams(),
        ["bench", "tls"] => bench::tls(),
        ["bench"] | ["bench", "hello"] => older.map_or_else(bench::hello, bench::hello_beside),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        other => bail!("{:?} is not known\n{HELP}", other.join(" ")),
    }
}
