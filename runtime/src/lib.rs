//! The server behind `myweb-run`, as a library.
//!
//! A [`Config`], or a file ([`Source`]), says what to serve; [`MyWeb::build`] loads it all and reports
//! what is wrong with it; [`MyWeb::bind`] opens the listener and
//! [`Bound::serve`] answers requests until a future of yours is ready.
//!
//! ```
//! use myweb_run::{Config, Mount, MyWeb, Stop};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # std::env::set_current_dir("..")?;
//! let config = Config {
//!     listen: "127.0.0.1:0".to_owned(),
//!     apps: vec![Mount::new("/", "guests/hello.wasm")],
//!     ..Config::default()
//! };
//! let server = MyWeb::build(config)?.bind().await?;
//! let address = server.addresses()[0];
//!
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let stopped = async { stopped.await.map_or(Stop::Ended, |()| Stop::Ended) };
//! let serving = tokio::spawn(server.serve(stopped));
//!
//! let mut client = tokio::net::TcpStream::connect(address).await?;
//! client.write_all(b"GET /sayhello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
//! assert!(answer.ends_with("Hello, world!\n"), "{answer}");
//!
//! drop(stop);
//! serving.await?;
//! # Ok(())
//! # }
//! ```
//!
//! The modules, in the order in which a start and then a request meet them:

pub mod build;
pub mod cli;
pub mod config;
#[doc(hidden)]
pub mod fuzzing;
mod units;

mod app;
mod machine;
mod site;
mod state;
mod watch;

mod peer;
mod server;
mod tls;
mod upgrade;

mod hosts;
mod limits;
mod request;
mod router;
mod tenant;

mod capability;
mod files;
mod handler;
mod redirect;
mod wasm;

mod body;
mod bounded_text;
mod coarse;
mod compress;
mod conditions;
mod declared;
mod error;
mod observe;
mod respond;

pub use app::{Bound, Checked, Control, MyWeb, Routes};
pub use config::{Config, Mount, Source, TlsSource};
pub use error::StartError;
pub use limits::Limits;
pub use observe::{
    EventLog, EventWriter, Logs, Sink, event_fields, for_terminal, indented, one_line,
};
pub use server::Stop;
pub use units::Rate;
pub use upgrade::Handover;
pub use wasm::{Compilation, EngineKind, REFUSED, compile, this_program};
