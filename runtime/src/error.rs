//! Why a start failed, and why a request got another answer than a handler's.
//! Causes only: which status they get is decided in `respond`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use thiserror::Error;

use crate::limits::rate::OverRate;
use crate::observe::{indented, shown};
use crate::tenant::Lack;

/// Why the server did not start, or did not take a change.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error("{}", .0.iter().map(|problem| shown(problem)).collect::<Vec<_>>().join("\n"))]
    Config(Vec<String>),
    /// There is nothing to serve.
    #[error(
        "nothing to serve: name a component with --app FILE, a Python app with --wsgi MODULE:APP, a directory of them with --handlers DIR, or static files with --static DIR"
    )]
    Nothing,
    /// A component cannot be used.
    #[error("{}: {}", shown(&path.display()), shown(why))]
    Component {
        /// The component's file.
        path: PathBuf,
        /// What is wrong with it, and the mend.
        why: String,
    },
    /// A directory cannot be used.
    #[error("{}: {}", shown(&path.display()), shown(why))]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it, and the mend.
        why: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {}: {}", shown(address), shown(why))]
    Listen {
        /// The address as it was given.
        address: String,
        /// What is wrong with it, and the mend.
        why: String,
    },
    /// An app could not be built.
    #[error("{}", indented(.0))]
    Build(String),
    /// The process before this one served what this one cannot.
    #[error("the process before this one goes on, since these worked there:\n{}", .0.join("\n"))]
    Handover(Vec<String>),
    /// The machine does not give what the limits ask for.
    #[error("the engine did not start: {0}")]
    Engine(String),
}

/// What the operating system said, and the mend where there is one to tell.
pub(crate) fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory; check the path".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied; make it readable for the user that runs the server".to_owned()
        }
        io::ErrorKind::NotADirectory => "not a directory; name a directory".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory; name a file".to_owned(),
        io::ErrorKind::AddrInUse => {
            "the address is in use; stop the other server or choose another port with --addr"
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; choose one of its own with --addr".to_owned()
        }
        _ => error.to_string(),
    }
}

/// The same of a file that is to be written.
pub(crate) fn explain_writing(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "permission denied; make it writable for the user that runs the server".to_owned()
        }
        _ => explain(error),
    }
}

/// Why a request got no answer of its handler.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    BadRequest(&'static str),
    #[error("the target is longer than uri = {0} bytes")]
    UriTooLong(usize),
    #[error("it has another version of HTTP than 1.0, 1.1 and 2")]
    Version,
    #[error("the headers are larger than headers = {0} bytes")]
    HeadersTooLarge(usize),
    #[error("the headers of all requests of the connection are larger than {0} bytes")]
    HeadersTogether(usize),
    #[error("the connections of its client's network have all their share of connection-memory")]
    ConnectionMemory,
    #[error("there are more than {0} headers")]
    TooManyHeaders(usize),
    #[error("the host is not the one that the connection is for")]
    Misdirected,
    #[error("{0}")]
    TooManyRequests(OverRate),
    #[error("there is no memory for it: {0}")]
    Memory(Lack),
    #[error("the body is larger than body = {0} bytes")]
    BodyTooLarge(usize),
    #[error("the body did not arrive in time: in body-time, or at transfer-rate")]
    BodyTooSlow,
    #[error("the body broke off")]
    BodyBroken,
    #[error("nothing is mounted here")]
    NotFound,
    /// What the route names could not be loaded.
    #[error("the route is broken until it is repaired and the site is loaded again: {0}")]
    Broken(Arc<str>),
    #[error("the file {path:?} cannot be read: {error}")]
    Unreadable { path: String, error: io::Error },
    #[error("the method is not one of {allow:?}")]
    MethodNotAllowed { allow: Vec<Method> },
    #[error("the method {0} is not known here")]
    NotImplemented(Method),
    #[error(
        "concurrency = {limit} requests of the tenant run, and no place was free: more than queue \
         wait, or this one did for queue-time"
    )]
    Overloaded { limit: usize },
    #[error(transparent)]
    Guest(#[from] GuestError),
}

/// What a guest did in place of a proper answer.
#[derive(Clone, Debug, Error)]
pub(crate) enum GuestError {
    #[error("no instance is free: {0}")]
    PoolExhausted(String),
    #[error("the app could not be loaded: {0}")]
    NotLoaded(String),
    #[error("the guest trapped: {0}")]
    Trapped(String),
    #[error("the guest trapped after memory was refused, as {lack}: {trap}")]
    OutOfMemory { lack: Lack, trap: String },
    #[error("there is no memory for it: {0}")]
    Memory(Lack),
    #[error("the guest used {used:?} of CPU time, its limit is {limit:?}")]
    CpuExceeded { used: Duration, limit: Duration },
    #[error("the guest did not answer within {0:?}")]
    WallExceeded(Duration),
    #[error("the guest's answer is not valid HTTP: {0}")]
    InvalidAnswer(String),
    #[error("the guest did not answer: {0}")]
    NoAnswer(String),
    #[error("the guest's answer is larger than response = {0} bytes, or has too large headers")]
    AnswerTooLarge(usize),
    #[error("the guest handed over more than {0} bytes in one call")]
    HandedOver(usize),
    #[error("the guest sent the file {path:?}: {why}")]
    File { path: String, why: String },
    #[error("its instance served another request, too, and ended for that: {0}")]
    EndedForAnother(String),
    #[error("the server failed to run the guest")]
    Panicked,
}
