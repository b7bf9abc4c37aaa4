//! What an instance takes of memory: bounded by its own limit, by its tenant's,
//! and by what there is for all tenants.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use super::settings::TABLE_ELEMENTS;
use crate::request::Request;
use crate::tenant::{Budget, Lack, Taken};

/// Entries of tables that come with a place to run; a Rust component has some
/// hundreds. More are charged.
const TABLES_FREE: usize = 2_000;
/// What an entry of a table takes, in bytes.
const TABLE_ENTRY: usize = size_of::<usize>();

/// Bounds the memory of all of a store's linear memories together, and remembers
/// that it refused some: a guest that then traps ran out of memory.
pub(super) struct MemoryLimit {
    most: usize,
    tenant: Arc<Budget>,
    /// What its linear memories have, out of its tenant's.
    taken: Taken,
    /// Of that, what it was given last, until it is known to have it.
    given: usize,
    /// What it has beside them: its stack, and large tables. That is its tenant's
    /// memory, too, and not its own to grow.
    beside: Taken,
    entries: usize,
    refused: Option<Lack>,
    /// The request that is told what it has.
    request: Option<Arc<Request>>,
}

impl MemoryLimit {
    pub(super) fn new(most: usize, tenant: &Arc<Budget>) -> MemoryLimit {
        let taken = || Taken::nothing(tenant.clone());
        let (taken, beside, tenant) = (taken(), taken(), tenant.clone());
        let (given, entries, refused, request) = (0, 0, None, None);
        MemoryLimit { most, tenant, taken, given, beside, entries, refused, request }
    }

    /// Takes what an instance has beside its linear memories before it is made.
    pub(super) fn make_room(&mut self, beside: usize) -> Result<(), Lack> {
        self.beside.more(beside)
    }

    /// Memory of the server's own that it has for as long as the answer is held,
    /// within what is left of its own limit.
    pub(super) fn borrow(&self, bytes: usize) -> Result<Taken, Lack> {
        let has = self.taken.bytes();
        if has.saturating_add(bytes) > self.most {
            return Err(Lack::of_instance(has, self.most));
        }
        let mut taken = Taken::nothing(self.tenant.clone());
        taken.more(bytes)?;
        Ok(taken)
    }

    /// Serves a request from now on.
    pub(super) fn start(&mut self, request: &Arc<Request>) {
        request.spent.set_memory(self.taken.bytes());
        self.refused = None;
        self.request = Some(request.clone());
    }

    /// Whether most of what an instance may have is taken: memory of WebAssembly
    /// never shrinks, and the next request may need some. Garbage collectors of
    /// guests are in no hurry (docs/architecture.md).
    pub(super) fn is_high(&self) -> bool {
        self.taken.bytes() > self.most / 4 * 3
    }

    pub(super) fn refused(&self) -> Option<Lack> {
        self.refused
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Lack> {
        if self.taken.bytes().saturating_add(bytes) > self.most {
            return Err(Lack::of_instance(self.taken.bytes(), self.most));
        }
        self.taken.more(bytes)?;
        self.given = bytes;
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        if let Some(request) = &self.request {
            request.spent.set_memory(self.taken.bytes());
        }
    }

    /// What it says to a memory or a table that grows.
    fn answer(&mut self, grown: Result<(), Lack>) -> bool {
        self.refused = grown.err().or(self.refused);
        grown.is_ok()
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.given = 0;
        let grown = self.grow(desired.saturating_sub(current));
        Ok(self.answer(grown))
    }

    /// The limits allowed it, the memory's own maximum or the system did not.
    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.taken.less(std::mem::take(&mut self.given));
        self.tell();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Whatever is allowed here is there: the pool has room for so much.
        if desired > maximum.unwrap_or(TABLE_ELEMENTS).min(TABLE_ELEMENTS) {
            return Ok(false);
        }
        let before = self.entries.saturating_sub(TABLES_FREE);
        self.entries = self.entries.saturating_add(desired.saturating_sub(current));
        let charged = self.entries.saturating_sub(TABLES_FREE) - before;
        if charged == 0 {
            return Ok(true);
        }
        let grown = self.beside.more(charged.saturating_mul(TABLE_ENTRY));
        if grown.is_err() {
            self.entries -= desired.saturating_sub(current);
        }
        Ok(self.answer(grown))
    }
}
