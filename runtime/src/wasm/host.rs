//! What a guest finds when it calls out: the state of its store and the
//! functions that are linked.

use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{ResourceLimiter, StoreContextMut};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::bindings::FilesError;
use super::output::Output;
use crate::capability::files::{Denied, GrantedFiles};
use crate::limits::Limits;

/// Random bytes that a guest may ask for at once.
const RANDOM: u64 = 1 << 20;
/// WASI resources (streams, pollables) that a guest may hold at the same time.
const RESOURCES: usize = 4_096;

/// The state of one store.
pub(super) struct Host {
    /// Made when the guest first asks: many never do.
    wasi: Option<WasiCtx>,
    table: ResourceTable,
    pub(super) output: Output,
    pub(super) memory: MemoryLimit,
    files: GrantedFiles,
    largest_file: usize,
}

impl Host {
    /// Nothing but clocks, random numbers, the log and the granted files.
    pub(super) fn new(limits: &Limits, files: GrantedFiles) -> Host {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        Host {
            wasi: None,
            table,
            output: Output::default(),
            memory: MemoryLimit { most: limits.memory, ..MemoryLimit::default() },
            files,
            largest_file: limits.response,
        }
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| wasi(&self.output));
        WasiCtxView { ctx, table: &mut self.table }
    }
}

/// Clocks, random numbers, and the log in place of both output streams.
fn wasi(output: &Output) -> WasiCtx {
    let mut wasi = WasiCtxBuilder::new();
    wasi.stdout(output.clone()).stderr(output.clone()).max_random_size(RANDOM);
    wasi.build()
}

/// Links WASI 0.2 and the capabilities.
///
/// # Errors
/// Two of them have the same name, which is a mistake in this function.
pub(super) fn link(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    linker.instance("myweb:handler/files@0.1.0")?.func_wrap("read", read_file)?;
    Ok(linker)
}

type FileRead = (Result<Vec<u8>, FilesError>,);

fn read_file(store: StoreContextMut<'_, Host>, (path,): (String,)) -> wasmtime::Result<FileRead> {
    let host = store.data();
    let bytes = host.files.read(&path, host.largest_file).map_err(|denied| match denied {
        Denied::NotGranted => FilesError::NotGranted,
        Denied::NotFound => FilesError::NotFound,
        Denied::TooLarge => FilesError::TooLarge,
        Denied::Unreadable => FilesError::Unreadable,
    });
    Ok((bytes,))
}

/// Bounds the memory of all of a store's linear memories together, and
/// remembers that it refused some: a guest that then traps ran out of memory.
#[derive(Default)]
pub(super) struct MemoryLimit {
    used: usize,
    pub(super) most: usize,
    pub(super) refused: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let granted = used <= self.most;
        if granted {
            self.used = used;
        }
        self.refused |= !granted;
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= super::TABLE_ELEMENTS)
    }
}
