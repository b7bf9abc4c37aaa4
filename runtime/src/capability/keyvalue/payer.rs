//! Who pays for the store's work: a tenant, and the request that asked for it.

use std::sync::Arc;
use std::time::Duration;

use crate::request::Request;
use crate::tenant::{NOTICED, Tenant};
use crate::wasm::{TenantKey, key_of};

/// What one key costs to find or to change, beside its bytes.
const KEY_COST: Duration = Duration::from_micros(2);
/// What a kibibyte costs to read or to write.
const KIB_COST: Duration = Duration::from_micros(2);

/// Who pays for work.
#[derive(Clone)]
pub(super) struct Payer {
    tenant: Arc<Tenant>,
    request: Option<Arc<Request>>,
}

impl Payer {
    pub(super) fn new(tenant: Arc<Tenant>, request: Option<Arc<Request>>) -> Payer {
        Payer { tenant, request }
    }

    /// What tells tenants apart where they take turns.
    pub(super) fn key(&self) -> TenantKey {
        key_of(&self.tenant.running)
    }

    /// Charges CPU time: to the request, and as a debt of the tenant if others notice it.
    pub(super) fn charge(&self, used: Duration) {
        if let Some(request) = &self.request {
            request.spent.add_for_answer(used);
        }
        if used > NOTICED {
            self.tenant.owes(used);
        }
    }
}

/// What work costs by estimate: so many keys, so many bytes.
pub(super) fn estimate(keys: usize, bytes: usize) -> Duration {
    let times = |cost: Duration, count: usize| cost * u32::try_from(count).unwrap_or(u32::MAX);
    times(KEY_COST, keys).saturating_add(times(KIB_COST, bytes >> 10))
}
