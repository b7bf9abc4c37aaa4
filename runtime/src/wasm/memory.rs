//! What an instance takes of memory: bounded by its own limit, by its tenant's,
//! and by what there is for all tenants.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::{ResourceLimiter, UpdateDeadline};

use super::settings::TABLE_ELEMENTS;
use super::used::SHORT;
use crate::request::Request;
use crate::tenant::{Budget, Lack, Taken};

/// Entries of tables that come with a place to run; a Rust component has some
/// hundreds. More are charged.
const TABLES_FREE: usize = 2_000;
/// How much larger a text can be here than in a guest: Latin-1 has one byte for
/// what UTF-8 has two for.
const ENCODED: usize = 2;
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
    /// How large its answer may be, once it is read, and what was taken for that.
    answer_room: usize,
    answer: Taken,
    entries: usize,
    refused: Option<Lack>,
    /// Since when the guest runs for the request that came last, unless that is its
    /// first, and whether it went on at a tick for it.
    since: Option<Instant>,
    went_on: bool,
    /// The request that is told what it has.
    request: Option<Arc<Request>>,
}

impl MemoryLimit {
    pub(super) fn new(most: usize, tenant: &Arc<Budget>) -> MemoryLimit {
        let taken = || Taken::nothing(tenant.clone());
        MemoryLimit {
            most,
            tenant: tenant.clone(),
            taken: taken(),
            given: 0,
            beside: taken(),
            answer_room: 0,
            answer: taken(),
            entries: 0,
            refused: None,
            since: None,
            went_on: false,
            request: None,
        }
    }

    /// Takes what an instance has beside its linear memories before it is made.
    pub(super) fn make_room(&mut self, beside: usize) -> Result<(), Lack> {
        self.beside.more(beside)
    }

    /// All that it has of its tenant's memory, in bytes.
    pub(super) fn all(&self) -> usize {
        self.taken.bytes() + self.beside.bytes()
    }

    /// Takes what a call gives the guest.
    pub(super) fn hold(&mut self, bytes: usize) -> wasmtime::Result<Taken> {
        let mut held = Taken::nothing(self.tenant.clone());
        held.more(bytes).map_err(|lack| self.refuse(lack))?;
        Ok(held)
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

    /// An answer is read next. Tells how large it may be: its body is in the guest's
    /// memory, and has at most `most` bytes.
    pub(super) fn read_answer(&mut self, most: usize, beside: usize) -> usize {
        self.answer_room = self.taken.bytes().min(most).saturating_add(beside);
        self.answer_room
    }

    /// It runs for another request from now on, perhaps its first.
    pub(super) fn begin(&mut self, is_first: bool) {
        self.since = (!is_first).then(Instant::now);
        self.went_on = false;
    }

    /// At a tick, others are to go on, perhaps after the guest's answer was read: then
    /// that is its tenant's memory meanwhile. What is left to do then is nearly always
    /// done at once, so it goes on itself, for one tick. So does what has only begun in an
    /// instance that has served others: it is most often as short, and would hold it
    /// while others have their turns. What runs away has a new instance each time.
    pub(super) fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let has_begun = || self.since.is_some_and(|since| since.elapsed() < SHORT);
        let ends_soon = self.answer_room > 0 || has_begun();
        if ends_soon && !std::mem::replace(&mut self.went_on, true) {
            return Ok(UpdateDeadline::Continue(1));
        }
        self.hold_answer()?;
        Ok(UpdateDeadline::Yield(1))
    }

    fn hold_answer(&mut self) -> wasmtime::Result<()> {
        let most = self.answer_room.saturating_mul(ENCODED);
        let more = most.saturating_sub(self.answer.bytes());
        if more == 0 {
            return Ok(());
        }
        self.answer.more(more).map_err(|lack| self.refuse(lack))
    }

    /// Whether an answer is read, or was.
    pub(super) fn reads_answer(&self) -> bool {
        self.answer_room > 0
    }

    /// Somebody else has the answer now.
    pub(super) fn let_answer_go(&mut self) {
        self.answer_room = 0;
        self.answer.less(self.answer.bytes());
    }

    /// What was lacking ends the guest.
    pub(super) fn refuse(&mut self, lack: Lack) -> wasmtime::Error {
        self.refused = Some(lack);
        wasmtime::Error::msg("memory of the server was refused")
    }

    /// The request that came last of those that are served.
    pub(super) fn request(&self) -> Option<&Arc<Request>> {
        self.request.as_ref()
    }

    /// Serves a request from now on.
    pub(super) fn start(&mut self, request: &Arc<Request>) {
        request.spent.set_memory(self.taken.bytes());
        self.refused = None;
        self.request = Some(request.clone());
    }

    /// Serves another request than before, at the same time as that one.
    pub(super) fn tell_another(&mut self, request: &Arc<Request>) {
        request.spent.set_memory(self.taken.bytes());
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
