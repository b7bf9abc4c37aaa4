//! What a guest's handles hold of the server's own memory: its tenant's, too.

use std::any::Any;
use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::p2::types::{
    HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse,
};
use wasmtime_wasi_http::{FieldMap, p3};

use crate::tenant::{Budget, Lack, Taken};

/// WASI resources (streams, pollables, maps of header fields) that a guest may
/// hold at the same time.
const MOST: usize = 2_048;
/// What each costs by itself, and each header field beside its text, in bytes.
const HANDLE: usize = 256;
const FIELD: usize = 128;
/// Calls of a guest after which its handles are counted again; with many handles,
/// more: one for so many of them. Each call can add the text of one map.
const CALLS: usize = 16;
const HANDLES_A_CALL: usize = 16;

/// The table of a guest's handles, and what they hold.
pub(super) struct Handles {
    pub(super) table: ResourceTable,
    taken: Taken,
    /// Calls until they are counted again.
    calls_left: usize,
}

impl Handles {
    pub(super) fn new(tenant: &Arc<Budget>) -> Handles {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST);
        Handles { table, taken: Taken::nothing(tenant.clone()), calls_left: CALLS }
    }

    /// After each call of the guest: counts what its handles hold, now and then.
    ///
    /// # Errors
    /// They hold more than its tenant may have.
    pub(super) fn called(&mut self) -> Result<(), Lack> {
        if self.calls_left > 0 {
            self.calls_left -= 1;
            return Ok(());
        }
        let (mut count, mut held) = (0, 0);
        for resource in self.table.iter_mut() {
            count += 1;
            held += HANDLE + held_by(resource);
        }
        self.calls_left = CALLS.max(count / HANDLES_A_CALL);
        match held.checked_sub(self.taken.bytes()) {
            Some(more) => self.taken.more(more),
            None => {
                self.taken.less(self.taken.bytes() - held);
                Ok(())
            }
        }
    }
}

/// What a resource holds of what guests and other servers say, in bytes. What is
/// not here holds no more than [`HANDLE`], or is bounded where it is read.
fn held_by(resource: &dyn Any) -> usize {
    if let Some(fields) = resource.downcast_ref() {
        of_fields(fields)
    } else if let Some(request) = resource.downcast_ref::<HostOutgoingRequest>() {
        let texts = [&request.authority, &request.path_with_query];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        of_fields(&request.headers) + texts + super::texts::of_method(&request.method)
    } else if let Some(response) = resource.downcast_ref::<HostOutgoingResponse>() {
        of_fields(&response.headers)
    } else if let Some(response) = resource.downcast_ref::<HostIncomingResponse>() {
        of_fields(&response.headers)
    } else if let Some(request) = resource.downcast_ref::<p3::Request>() {
        let authority = request.authority.as_ref().map_or(0, |authority| authority.as_str().len());
        let path = request.path_with_query.as_ref().map_or(0, |path| path.as_str().len());
        of_fields(&request.headers) + authority + path + request.method.as_str().len()
    } else if let Some(response) = resource.downcast_ref::<p3::Response>() {
        of_fields(&response.headers)
    } else {
        0
    }
}

fn of_fields(fields: &FieldMap) -> usize {
    fields.iter().map(|(name, value)| FIELD + name.as_str().len() + value.len()).sum()
}
