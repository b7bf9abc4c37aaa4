//! What is wrong with the command line, in words that name what was written and
//! the mend.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::command;

/// An error in such words.
pub(super) fn mended(mut error: clap::Error) -> clap::Error {
    match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(file))) if file.contains('.') => {
            let why = format!("{file} is no command; to serve a component, write --app {file}");
            return command().error(ErrorKind::InvalidSubcommand, why);
        }
        (ErrorKind::ValueValidation, _) => {}
        _ => return error,
    }
    if let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg)
        && let Some(variable) = variable_of(flag)
    {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
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
