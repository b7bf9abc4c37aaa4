//! The server as an object: build, bind, serve, drain.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use http::Method;
use hyper::body::Incoming;
use tokio_rustls::TlsAcceptor;

use crate::body::Observed;
use crate::capability::fetch::Client;
use crate::capability::keyvalue::Stores;
use crate::compress::Encoders;
use crate::config::address::Address;
use crate::config::plan::Proxies;
use crate::config::{Plan, Source};
use crate::error::{Refusal, StartError};
use crate::files::FileCache;
use crate::limits::Limits;
use crate::limits::keys::{KEYS, Scope};
use crate::machine;
use crate::observe::{LogThread, Visit};
use crate::peer::Peer;
use crate::request::{Request, RequestId};
use crate::respond::{Asked, ErrorPages, Response, refuse, without_body};
use crate::server::{self, Stop, listen::Listeners};
use crate::site::{self, ForFiles, Site, Step};
use crate::tls::{self, CurrentCertificates};
use crate::units::Bytes;
use crate::upgrade::{self, Handover};
use crate::wasm::Engines;
use crate::watch;

/// A server whose site is loaded and which does not listen yet.
pub struct MyWeb {
    shared: Arc<Shared>,
    listen: Vec<Address>,
}

/// A server that listens.
pub struct Bound {
    shared: Arc<Shared>,
    listeners: Listeners,
    tls: Option<TlsAcceptor>,
}

/// What can be done with a server while it serves.
#[derive(Clone)]
pub struct Control {
    shared: Weak<Shared>,
}

impl Control {
    /// Loads what has changed. What is broken is logged, and the old one goes on.
    pub async fn reload(&self) {
        if let Some(shared) = self.shared.upgrade() {
            watch::reload(shared).await;
        }
    }

    /// Opens the files of the logs again, after they were moved away.
    pub fn reopen_logs(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.logs.reopen();
        }
    }
}

/// What every connection uses.
pub(crate) struct Shared {
    pub(crate) source: Source,
    /// The limits of the server itself, which a reload does not change.
    pub(crate) limits: Limits,
    /// What it was started with, as it was written.
    pub(crate) started: Started,
    certificates: CurrentCertificates,
    engines: Arc<Engines>,
    logs: LogThread,
    files: ForFiles,
    pub(crate) site: ArcSwap<Site>,
    ids: RequestIds,
}

impl MyWeb {
    /// Loads and compiles all that is written down, from a [`Config`] or a file.
    ///
    /// # Errors
    /// Something is missing, broken or contradictory; the error names all of it
    /// and tells the mend.
    ///
    /// [`Config`]: crate::Config
    pub fn build(source: impl Into<Source>) -> Result<MyWeb, StartError> {
        let logs = LogThread::start().map_err(|error| StartError::Engine(error.to_string()))?;
        MyWeb::build_with_logs(source, logs)
    }

    /// The same with a thread for logs that is there already.
    ///
    /// # Errors
    /// As [`MyWeb::build`].
    pub fn build_with_logs(
        source: impl Into<Source>,
        logs: LogThread,
    ) -> Result<MyWeb, StartError> {
        let source = source.into();
        let plan = source.plan()?;
        let mut limits = server_limits(&plan);
        machine::fit(&mut limits)?;
        let engines = Engines::new(&limits)?;
        let cache = Arc::new(FileCache::new(limits.file_cache));
        let client = Client::new(plan.outbound_ca.as_deref())
            .map_err(|why| StartError::Config(vec![format!("outbound-ca: {why}")]))?;
        let (encoders, stores) = (Encoders::default(), Stores::default());
        let files = ForFiles { client, cache, encoders, stores };
        let loaded = site::load(&plan, &engines, &logs, &files, None)?;
        loaded.site.install();
        let site = ArcSwap::from_pointee(loaded.site);
        let certificates = Arc::new(ArcSwap::from_pointee(loaded.certificates));
        let started = Started::with(&plan);
        let ids = RequestIds::new();
        let shared = Arc::new(Shared {
            source,
            limits,
            started,
            certificates,
            engines,
            logs,
            files,
            site,
            ids,
        });
        Ok(MyWeb { shared, listen: plan.listen })
    }

    /// Each tenant's name and hosts, and its routes: methods, path, and what
    /// answers.
    pub fn routes(&self) -> Vec<(String, Vec<[String; 3]>)> {
        let site = self.shared.site.load();
        let tenant = |site: &Arc<site::TenantSite>| {
            let hosts = site.shown.hosts.join(" ");
            let routes = site.shown.routes.iter().cloned();
            let routes = routes.map(|(methods, path, what)| [methods, path, what]).collect();
            (format!("{}: {hosts}", site.tenant.name), routes)
        };
        site.tenants.iter().map(tenant).collect()
    }

    /// Opens the listeners.
    ///
    /// # Errors
    /// An address is not valid, not of this machine, or in use.
    pub async fn bind(self) -> Result<Bound, StartError> {
        let listeners = Listeners::bind(&self.listen).await?;
        let certificates = self.shared.certificates.clone();
        let tls = listeners.have_tls().then(|| tls::acceptor(certificates));
        let tls = tls.transpose().map_err(StartError::Engine)?;
        Ok(Bound { shared: self.shared, listeners, tls })
    }
}

impl Bound {
    /// The addresses of TCP that are listened on, with the ports that were picked.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.addresses()
    }

    /// Where the server listens, for people: `http://127.0.0.1:7788`.
    pub fn shown(&self) -> Vec<String> {
        self.listeners.shown()
    }

    /// A handle for what can be done while the server serves.
    pub fn control(&self) -> Control {
        Control { shared: Arc::downgrade(&self.shared) }
    }

    /// What a new process needs to take over.
    ///
    /// # Errors
    /// There are too many open descriptors.
    pub fn handover(&self) -> io::Result<Handover> {
        self.listeners.handles().map(Handover)
    }

    /// Answers requests until `stop` is ready, then lets running ones end within
    /// the drain limit, and stops what outlasts it.
    pub async fn serve(self, stop: impl Future<Output = Stop>) {
        self.shared.files.client.start(tokio::runtime::Handle::current());
        upgrade::say_serving(self.listeners.parent());
        self.shared.files.stores.open();
        let _watching = self.shared.source.watch().then(|| watch::start(&self.shared));
        server::serve(self.listeners, self.tls, self.shared.clone(), stop).await;
        for site in &self.shared.site.load().tenants {
            tracing::info!("tenant {}: {}", site.tenant.name, site.tenant.totals);
        }
        self.shared.logs.flush();
    }
}

/// The limits of the server itself. The pool has room for the largest instance
/// of any route; a head may be as large as any tenant takes.
fn server_limits(plan: &Plan) -> Limits {
    Limits {
        memory: plan.largest(|limits| limits.memory),
        headers: plan.largest(|limits| limits.headers),
        uri: plan.largest(|limits| limits.uri),
        ..plan.limits.clone()
    }
}

impl Shared {
    /// The answer to any request, or what makes it; `refused` is what is known
    /// against the request already.
    pub(crate) fn handle(
        &self,
        request: hyper::Request<Incoming>,
        peer: &Peer,
        refused: Option<Refusal>,
    ) -> Answering {
        let site = self.site.load();
        let asked = Asked::of(request.headers());
        let head = request.method() == Method::HEAD;
        let asking = peer.asking(request.headers());
        let (id, log) = (self.ids.next(), site.access_log.clone());
        let mut visit = Visit::start(id, log, &request, asking.remote);
        let most = self.limits.header_count;
        let checked = match refused {
            Some(refusal) => Err(refusal),
            None => Request::check(request, id, asking, most),
        };
        let (request, payload) = match checked {
            Ok(checked) => checked,
            Err(refusal) => {
                let answer = refuse(&refusal, &asked, &visit, &ErrorPages::default());
                return Answering::made(answer, head, visit);
            }
        };
        visit.request = Some(request.clone());
        match site.answer(&request, peer, &asked, &mut visit) {
            Step::Answered(answer) => Answering::made(answer, head, visit),
            Step::Run(run) => Answering::Running(Box::pin(async move {
                let answer = run.answer(&request, payload, &asked, &mut visit).await;
                finished(answer, head, visit)
            })),
        }
    }

    /// Loads the site again and replaces it if it is sound. What was not loaded
    /// because it is broken is returned: the old one of it goes on.
    ///
    /// # Errors
    /// As [`MyWeb::build`]; the site that was there goes on.
    pub(crate) fn reload(&self) -> Result<Vec<String>, StartError> {
        let plan = self.source.plan()?;
        let (wanted, there) = (server_limits(&plan), &self.limits);
        let changed = self.started.differences(&plan);
        if !changed.is_empty() {
            return Err(StartError::Config(changed));
        }
        if wanted.memory > there.memory || wanted.headers > there.headers || wanted.uri > there.uri
        {
            return Err(StartError::Config(vec![format!(
                "the largest memory, headers or uri limit is above the {}, {} and {} that the \
                 server was started with: restart it",
                Bytes(there.memory),
                Bytes(there.headers),
                Bytes(there.uri)
            )]));
        }
        let before = self.site.load_full();
        let loaded = site::load(&plan, &self.engines, &self.logs, &self.files, Some(&before))?;
        self.certificates.store(Arc::new(loaded.certificates));
        loaded.site.install();
        self.site.store(Arc::new(loaded.site));
        Ok(loaded.kept)
    }
}

/// An answer that is made, or on its way. Only apps are waited for: all else is
/// answered without a task's state, which costs as much as the answer itself.
pub(crate) enum Answering {
    /// None once it was taken.
    Made(Option<http::Response<Observed>>),
    Running(Pin<Box<dyn Future<Output = http::Response<Observed>> + Send>>),
}

impl Answering {
    fn made(answer: Response, head: bool, visit: Box<Visit>) -> Answering {
        Answering::Made(Some(finished(answer, head, visit)))
    }
}

impl Future for Answering {
    type Output = http::Response<Observed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<http::Response<Observed>> {
        match self.get_mut() {
            Answering::Made(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            Answering::Running(answer) => answer.as_mut().poll(cx),
        }
    }
}

/// An answer as it is sent; `head` is whether its body is left out.
fn finished(answer: Response, head: bool, mut visit: Box<Visit>) -> http::Response<Observed> {
    let answer = if head { without_body(answer) } else { answer };
    visit.answered(answer.status());
    answer.map(|body| Observed::new(body, visit))
}

/// What only a restart changes, as it was written down.
pub(crate) struct Started {
    limits: Limits,
    listen: Vec<Address>,
    pub(crate) proxies: Proxies,
    outbound_ca: Option<PathBuf>,
}

impl Started {
    fn with(plan: &Plan) -> Started {
        let (limits, listen) = (plan.limits.clone(), plan.listen.clone());
        let outbound_ca = plan.outbound_ca.clone();
        Started { limits, listen, proxies: plan.proxies.clone(), outbound_ca }
    }

    /// What a plan has otherwise, a sentence each.
    fn differences(&self, plan: &Plan) -> Vec<String> {
        let of_server = KEYS.iter().filter(|key| key.scope == Scope::Server);
        let limits = of_server.filter_map(|key| {
            let (old, new) = (key.show(&self.limits), key.show(&plan.limits));
            (old != new).then(|| format!("{} = {new}: the server runs with {old}", key.name))
        });
        let listen = (self.listen != plan.listen).then(|| "listen has changed".to_owned());
        let proxies = (self.proxies != plan.proxies)
            .then(|| "trusted-proxies or proxy-protocol have changed".to_owned());
        let outbound =
            (self.outbound_ca != plan.outbound_ca).then(|| "outbound-ca has changed".to_owned());
        let all = limits.chain(listen).chain(proxies).chain(outbound);
        all.map(|what| what + "; restart the server, or change it back").collect()
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

    fn next(&self) -> RequestId {
        let count = self.count.fetch_add(1, Relaxed) as u32;
        let mut id = [0; 16];
        for (place, digit) in id.iter_mut().rev().enumerate() {
            let half = if place < 8 { count } else { self.start };
            *digit = HEX[(half >> (place % 8 * 4)) as usize % HEX.len()];
        }
        RequestId(id)
    }
}
