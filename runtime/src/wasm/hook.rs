//! What is done each time that a guest is entered, or left for the server: what
//! it has the server hold is bounded, and counted.

use wasmtime::{CallHook, StoreContextMut};

use super::host::Host;
use super::whose;

/// What an answer may be beside its body, in bytes: its headers.
const BESIDE_BODY: usize = 256 << 10;

/// Calls into a guest, from the beginning of a request. SECURITY: the lists of an
/// answer may overlap, so that it is many times as large here as it was there; and
/// it is here while the guest's `post-return` runs, as long as it may run at all.
#[derive(Default)]
pub(super) struct Calls {
    /// The calls that there are at least before the answer is read: one for each text
    /// and list that it is given, and that of its function. Texts that are not UTF-8
    /// take more where they are not ASCII: then the answer counts before it is read.
    before_answer: usize,
    /// What may be in the answer's body, in bytes.
    most: usize,
    begun: usize,
    depth: usize,
}

impl Calls {
    /// Begins a request of the world `application`, which takes so many texts and
    /// lists; a body of the answer has at most so many bytes.
    pub(super) fn begin(values: usize, most: usize) -> Calls {
        Calls { before_answer: values + 1, most, begun: 0, depth: 0 }
    }

    fn enter(&mut self) {
        self.depth += 1;
        self.begun += usize::from(self.depth == 1);
    }

    /// Whether an answer may be read next.
    fn leave(&mut self) -> bool {
        self.depth = self.depth.saturating_sub(1);
        self.depth == 0 && self.before_answer > 0 && self.begun >= self.before_answer
    }
}

/// SECURITY: an error here is a trap.
pub(super) fn called(mut store: StoreContextMut<'_, Host>, call: CallHook) -> wasmtime::Result<()> {
    if matches!(call, CallHook::CallingWasm) {
        whose::find(&mut store)?;
    }
    let host = store.data_mut();
    match call {
        CallHook::CallingWasm => host.calls.enter(),
        CallHook::ReturningFromWasm => {
            if host.calls.leave() {
                let room = host.memory.read_answer(host.calls.most, BESIDE_BODY);
                store.set_hostcall_fuel(room);
            }
        }
        CallHook::CallingHost => {}
        CallHook::ReturningFromHost => {
            host.given = None;
            if let Err(lack) = host.handles.called() {
                return Err(host.memory.refuse(lack));
            }
        }
    }
    Ok(())
}
