//! What is wrong with the command line, in words that name what was written and
//! the mend.

use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::command;
use crate::build::Recipe;

/// An error in such words.
pub(super) fn mended(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && let Some(flags) = flags_for(word)
    {
        let why = format!("{word} is no command; to serve it, write {flags}");
        return command().error(ErrorKind::InvalidSubcommand, why);
    }
    if error.kind() != ErrorKind::ValueValidation {
        return error;
    }
    if let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg)
        && let Some(variable) = variable_of(flag)
    {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
}

/// What serves a file of this name.
fn flags_for(file: &str) -> Option<String> {
    let path = Path::new(file);
    match path.extension()?.to_str()? {
        "wasm" => Some(format!("--app {file}")),
        "toml" => Some(format!("--config {file}")),
        "py" => Some(format!("--wsgi {}:app", path.with_extension("").display())),
        _ => Recipe::is_javascript(path).then(|| format!("--app {file}")),
    }
}

/// The variable that has set a flag (`--reuse <N>`) which the command line has not.
fn variable_of(flag: &str) -> Option<String> {
    let name = flag.split(' ').next()?.trim_start_matches('-');
    let long = format!("--{name}");
    let is_it = |text: &str| text == long || text.starts_with(&format!("{long}="));
    if std::env::args_os().any(|argument| argument.to_str().is_some_and(is_it)) {
        return None;
    }
    let command = command();
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(name))?;
    Some(argument.get_env()?.to_string_lossy().into_owned())
}
