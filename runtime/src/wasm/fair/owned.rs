//! Turns that are held without a borrow, and tickets of long work.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use super::{TenantKey, Ticket, Turns};

/// A turn that moves to where its work is done. The next turn begins when the lease is
/// dropped.
pub(crate) struct Lease {
    turns: Arc<Turns>,
    tenant: TenantKey,
    used: Duration,
}

impl Turns {
    /// A ticket that waits behind its tenant's new requests.
    pub(in crate::wasm) fn ticket_of_work(self: &Arc<Turns>, tenant: TenantKey) -> Ticket {
        let mut ticket = self.ticket(tenant);
        ticket.ran = true;
        ticket
    }
}

impl Ticket {
    /// Waits for this ticket's turn.
    pub(crate) async fn lease(&mut self) -> Lease {
        poll_fn(|cx| self.poll_given(cx)).await;
        self.ran = true;
        Lease { turns: self.turns.clone(), tenant: self.tenant, used: Duration::ZERO }
    }
}

impl Lease {
    /// Whether others wait for a turn.
    pub(crate) fn has_others(&self) -> bool {
        !self.turns.state().order.is_empty()
    }

    /// Charges what the turn cost to its tenant.
    pub(crate) fn took(&mut self, used: Duration) {
        self.used = used;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.charge(self.tenant, self.used);
        self.turns.pass_on(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// The lease, if the ticket's turn is now.
    fn leased(ticket: &mut Ticket) -> Option<Lease> {
        match pin!(ticket.lease()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(lease) => Some(lease),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_tenant_that_paid_more_waits_behind_one_that_paid_less() {
        let turns = Arc::new(Turns::new(1));
        let mut first = turns.ticket(1);
        let mut lease = leased(&mut first).expect("a free turn");
        let (mut dear, mut cheap) = (turns.ticket(1), turns.ticket(2));
        assert!(leased(&mut dear).is_none() && leased(&mut cheap).is_none());
        lease.took(Duration::from_millis(5));
        drop(lease);
        assert!(leased(&mut dear).is_none());
        drop(leased(&mut cheap).expect("the turn of the second tenant"));
        assert!(leased(&mut dear).is_some());
    }

    #[test]
    fn work_waits_behind_a_new_request_of_its_tenant() {
        let turns = Arc::new(Turns::new(1));
        let mut other = turns.ticket(2);
        let lease = leased(&mut other).expect("a free turn");
        let (mut work, mut new) = (turns.ticket_of_work(1), turns.ticket(1));
        assert!(leased(&mut work).is_none() && leased(&mut new).is_none());
        drop(lease);
        assert!(leased(&mut work).is_none());
        drop(leased(&mut new).expect("the turn of the new request"));
        assert!(leased(&mut work).is_some());
    }
}
