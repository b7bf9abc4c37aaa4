//! What a guest finds when it calls out: the state of its store and the
//! functions that are linked.

use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::body::{
    HostFutureTrailers, HostIncomingBody, HostOutgoingBody, StreamContext,
};
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingRequest, HostIncomingResponse,
};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView, p3};

use super::bindings::FilesError;
use super::frozen::FrozenTime;
use super::handles::Handles;
use super::hook::Calls;
use super::memory::MemoryLimit;
use super::output::Output;
use super::texts;
use super::whose::Whose;
use crate::capability::fetch::Fetch;
use crate::capability::files::{self, Denied};
use crate::capability::{Grants, config, keys, keyvalue, log};
use crate::config::plan::Clock;
use crate::limits::Limits;
use crate::observe::Severity;
use crate::request::Request;
use crate::tenant::{Taken, Tenant};

/// Random bytes that a guest may ask for at once.
const RANDOM: u64 = 256 << 10;
/// A file that it may read, in bytes: nobody else is served here meanwhile. One
/// that it sends may be as large as there are.
const FILE: usize = 4 << 20;
/// What one map of header fields may hold, and a text of a request that the guest
/// sends, in bytes. SECURITY: a call can add no more to what its handles hold.
pub(super) const FIELDS: usize = 16 << 10;

/// The state of one store.
pub(super) struct Host {
    /// Made when the guest first asks: many never do.
    wasi: Option<WasiCtx>,
    pub(super) handles: Handles,
    pub(super) calls: Calls,
    /// What the call that it makes gives it, until that is in its own memory. SECURITY:
    /// its `realloc` is asked for room before, and may take its time.
    pub(super) given: Option<Taken>,
    /// The requests that are served, if it is several at the same time.
    pub(super) whose: Whose,
    http: WasiHttpCtx,
    pub(super) fetch: Fetch,
    pub(super) output: Output,
    pub(super) memory: MemoryLimit,
    /// In place of the machine's clocks, if the tenant has it so.
    pub(super) frozen: Option<FrozenTime>,
    grants: Arc<Grants>,
    /// The largest body of an answer, in bytes.
    pub(super) largest: usize,
}

impl Host {
    /// Nothing but clocks, random numbers, the log and what was granted.
    pub(super) fn new(limits: &Limits, grants: Arc<Grants>, tenant: &Tenant) -> Host {
        let output = Output::default();
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS);
        Host {
            wasi: None,
            handles: Handles::new(&tenant.memory),
            calls: Calls::default(),
            given: None,
            whose: Whose::default(),
            http,
            fetch: Fetch::new(grants.outbound.clone(), output.shared()),
            output,
            memory: MemoryLimit::new(limits.memory, &tenant.memory),
            frozen: (tenant.clock == Clock::Frozen).then(FrozenTime::default),
            grants,
            largest: limits.response,
        }
    }

    /// From now on this request is served.
    pub(super) fn start(&mut self, request: &Arc<Request>) {
        self.memory.start(request);
        self.fetch.start(request);
        if let Some(frozen) = &self.frozen {
            frozen.start();
        }
    }

    /// A request was answered: what the guest did not finish of
    /// its bodies breaks off. False if it kept anything of the request: then it
    /// can serve no other.
    pub(super) fn end(&mut self) -> bool {
        let mut kept = false;
        for resource in self.handles.table.iter_mut() {
            if let Some(body) = resource.downcast_mut::<HostOutgoingBody>() {
                let (none, _) = HostOutgoingBody::new(StreamContext::Response, None, 1, 1);
                std::mem::replace(body, none).abort();
                kept = true;
            }
            kept |= resource.is::<HostIncomingBody>()
                || resource.is::<HostFutureTrailers>()
                || resource.is::<HostIncomingRequest>()
                || resource.is::<HostFutureIncomingResponse>()
                || resource.is::<HostIncomingResponse>()
                || resource.is::<p3::Request>()
                || resource.is::<p3::Response>();
        }
        !kept
    }
}

impl Drop for Host {
    /// SECURITY: bodies that the guest was writing close with the table. Whoever
    /// sends them must know before that this is not their end.
    fn drop(&mut self) {
        self.fetch.end();
        self.dismiss_all();
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.handles.table,
            hooks: &mut self.fetch,
        }
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self
            .wasi
            .get_or_insert_with(|| wasi(&self.output, self.frozen.as_ref(), &self.grants.env));
        WasiCtxView { ctx, table: &mut self.handles.table }
    }
}

/// Clocks, random numbers, the granted environment, and the log in place of both
/// output streams.
fn wasi(output: &Output, frozen: Option<&FrozenTime>, env: &config::Values) -> WasiCtx {
    let mut wasi = WasiCtxBuilder::new();
    env.iter().for_each(|(name, value)| {
        wasi.env(name, value);
    });
    wasi.stdout(output.clone()).stderr(output.clone()).max_random_size(RANDOM);
    if let Some(frozen) = frozen {
        wasi.wall_clock(frozen.clone()).monotonic_clock(frozen.clone());
    }
    wasi.build()
}

/// Links WASI and `wasi:http` 0.2, those of 0.3 where they can run, and the
/// capabilities.
///
/// # Errors
/// Two of them have the same name, which is a mistake in this function.
pub(super) fn link(engine: &wasmtime::Engine, concurrent: bool) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    if concurrent {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        p3::add_to_linker(&mut linker)?;
    }
    texts::bound(&mut linker, concurrent)?;
    linker.instance("myweb:handler/files@0.1.0")?.func_wrap("read", read_file)?;
    keyvalue::link(&mut linker, |host| keyvalue::View {
        granted: &host.grants.keyvalue,
        table: &mut host.handles.table,
        given: &mut host.given,
        request: host.memory.request(),
    })?;
    keys::link(&mut linker, |host, bytes| host.memory.borrow(bytes))?;
    config::link(&mut linker, |host| &host.grants.config)?;
    log::link(&mut linker, |host| host.output.log())?;
    Ok(linker)
}

type FileRead = (Result<Vec<u8>, FilesError>,);

fn read_file(
    mut store: StoreContextMut<'_, Host>,
    (path,): (String,),
) -> wasmtime::Result<FileRead> {
    let host = store.data_mut();
    let bytes = match host.grants.files.open(&path, FILE) {
        Ok((found, length)) => {
            host.given = Some(host.memory.hold(length)?);
            files::read(&found)
        }
        Err(denied) => Err(denied),
    };
    let bytes = bytes.map_err(|denied| match denied {
        Denied::NotGranted => FilesError::NotGranted,
        Denied::NotFound => FilesError::NotFound,
        Denied::TooLarge => FilesError::TooLarge,
        Denied::Unreadable(why) => {
            let what = format_args!("{}: {why}", log::excerpt(&path));
            host.output.log().report(Severity::Warn, &what);
            FilesError::Unreadable
        }
    });
    Ok((bytes.map(Vec::from),))
}
