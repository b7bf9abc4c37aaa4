//! A guest's standard output and error: lines in the log, within a quota.

use std::pin::Pin;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError};

use super::app::App;
use crate::capability::log::{Log, SharedLog};
use crate::request::Request;

/// A handle on the log of the request that an instance is serving. Both of an
/// instance's streams write to it.
#[derive(Clone, Default)]
pub(super) struct Output(SharedLog);

/// What a guest may write at once, in bytes.
const PERMIT: usize = 64 << 10;

impl Output {
    pub(super) fn shared(&self) -> SharedLog {
        self.0.clone()
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collects what the guest writes while one request is served. Also a request
/// that is cancelled gets its last line and its count of dropped bytes.
pub(super) struct Logging<'a> {
    output: &'a Output,
    request: &'a Request,
}

impl<'a> Logging<'a> {
    pub(super) fn start(
        output: &'a Output,
        app: &App,
        route: &Arc<str>,
        request: &'a Arc<Request>,
    ) -> Logging<'a> {
        output.log().start(&app.tenant, route, request.id, app.limits.log);
        Logging { output, request }
    }
}

impl Drop for Logging<'_> {
    fn drop(&mut self) {
        let dropped = self.output.log().end();
        self.request.spent.add_log_dropped(dropped);
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        if bytes.len() > PERMIT {
            return Err(StreamError::trap("more was written than was permitted"));
        }
        self.log().write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(PERMIT)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let now = bytes.get(..PERMIT).unwrap_or(bytes);
        self.log().write(now);
        Poll::Ready(Ok(now.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
