//! The server as an object: build, bind, serve, drain.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use hyper::body::Incoming;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::error::{Refusal, StartError};
use crate::request::Request;
use crate::respond::{Asked, Response, refuse};
use crate::server;
use crate::site::Site;
use crate::tenant::Tenant;
use crate::wasm::Engine;
use crate::watch;

/// A server whose site is loaded and which does not listen yet.
pub struct MyWeb {
    shared: Arc<Shared>,
}

/// A server that listens.
pub struct Bound {
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
}

/// What every connection uses.
pub(crate) struct Shared {
    pub(crate) config: Config,
    engine: Arc<Engine>,
    site: ArcSwap<Site>,
    ids: RequestIds,
}

impl MyWeb {
    /// Loads and compiles all that the configuration names.
    ///
    /// # Errors
    /// Something is missing, broken or contradictory; the error names it and
    /// tells the mend.
    pub fn build(config: Config) -> Result<MyWeb, StartError> {
        let engine = Engine::new(&config.limits)?;
        let tenant = Arc::new(Tenant::new(Arc::new(config.limits.clone())));
        let site = Site::load(&config, &engine, tenant, None)?;
        let site = ArcSwap::from_pointee(site);
        Ok(MyWeb { shared: Arc::new(Shared { config, engine, site, ids: RequestIds::new() }) })
    }

    /// Each path prefix and what answers it.
    pub fn routes(&self) -> Vec<(String, String)> {
        self.shared.site.load().table.clone()
    }

    /// Opens the listener.
    ///
    /// # Errors
    /// The address is not valid, not of this machine, or in use.
    pub async fn bind(self) -> Result<Bound, StartError> {
        let (listener, address) = server::listen::bind(&self.shared.config.listen).await?;
        Ok(Bound { shared: self.shared, listener, address })
    }
}

impl Bound {
    /// The address that is listened on, with the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `stop` is ready, then lets running ones end within
    /// the drain limit, and stops what outlasts it.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let _watching = self.shared.config.watch.then(|| watch::start(&self.shared));
        server::serve(self.listener, self.shared, stop).await;
    }
}

impl Shared {
    /// The answer to any request.
    pub(crate) async fn handle(
        self: Arc<Self>,
        request: hyper::Request<Incoming>,
        remote: SocketAddr,
    ) -> Result<Response, Infallible> {
        let id = self.ids.next();
        let asked = Asked::of(request.method(), request.headers());
        let answer = self.answer(request, &id, remote).await;
        Ok(answer.unwrap_or_else(|refusal| refuse(&refusal, &asked, &id)))
    }

    async fn answer(
        &self,
        request: hyper::Request<Incoming>,
        id: &Arc<str>,
        remote: SocketAddr,
    ) -> Result<Response, Refusal> {
        let site = self.site.load_full();
        let limits = &site.tenant.limits;
        let (request, payload) = Request::check(request, id.clone(), remote, limits)?;
        site.answer(request, payload).await
    }

    /// Loads the site again and replaces it if it is sound.
    ///
    /// # Errors
    /// As [`MyWeb::build`]; the site that was there goes on.
    pub(crate) fn reload(&self) -> Result<(), StartError> {
        let before = self.site.load_full();
        let tenant = before.tenant.clone();
        let site = Site::load(&self.config, &self.engine, tenant, Some(&before))?;
        self.site.store(Arc::new(site));
        Ok(())
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Names requests: when the server started, and a count.
struct RequestIds {
    start: u32,
    count: AtomicU64,
}

impl RequestIds {
    fn new() -> RequestIds {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The lower bits tell apart servers that start within a lifetime of logs.
        let start = (now.as_micros() & u128::from(u32::MAX)) as u32;
        RequestIds { start, count: AtomicU64::new(0) }
    }

    fn next(&self) -> Arc<str> {
        let count = self.count.fetch_add(1, Relaxed) as u32;
        let mut id = [0; 16];
        for (place, digit) in id.iter_mut().rev().enumerate() {
            let half = if place < 8 { count } else { self.start };
            *digit = HEX[(half >> (place % 8 * 4)) as usize % HEX.len()];
        }
        str::from_utf8(&id).unwrap_or_default().into()
    }
}
