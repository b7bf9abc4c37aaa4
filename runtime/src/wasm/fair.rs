//! Turns on a few threads, fair between tenants: each tenant that waits gets one
//! turn after the other, however many requests it has.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What tells tenants apart.
pub(super) type TenantKey = usize;
type TicketId = u64;

/// Gives out turns.
pub(super) struct Turns {
    state: Mutex<State>,
}

struct State {
    /// Turns that nobody has.
    free: usize,
    /// The tenants that wait, in the order of their turns.
    ring: VecDeque<TenantKey>,
    waiting: HashMap<TenantKey, VecDeque<(TicketId, Waker)>>,
    /// Who was given a turn and has not taken it up yet.
    given: HashSet<TicketId>,
    next: TicketId,
}

/// A request's place among those that wait.
pub(super) struct Ticket {
    turns: Arc<Turns>,
    tenant: TenantKey,
    waiting: Option<TicketId>,
    /// It has had a turn. Before, it goes ahead of its tenant's others: short
    /// requests do not wait behind long ones.
    ran: bool,
}

/// One may run; the next one's turn is when this is dropped.
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    pub(super) fn new(free: usize) -> Turns {
        let (ring, waiting, given) = (VecDeque::new(), HashMap::new(), HashSet::new());
        Turns { state: Mutex::new(State { free, ring, waiting, given, next: 0 }) }
    }

    pub(super) fn ticket(self: &Arc<Turns>, tenant: TenantKey) -> Ticket {
        Ticket { turns: self.clone(), tenant, waiting: None, ran: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes a turn on to the next tenant that waits.
    fn pass_on(&self) {
        let next = self.state().pass_on();
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

impl State {
    fn pass_on(&mut self) -> Option<Waker> {
        while let Some(tenant) = self.ring.pop_front() {
            let Some(queue) = self.waiting.get_mut(&tenant) else { continue };
            let first = queue.pop_front();
            if queue.is_empty() {
                self.waiting.remove(&tenant);
            } else {
                self.ring.push_back(tenant);
            }
            if let Some((ticket, waker)) = first {
                self.given.insert(ticket);
                return Some(waker);
            }
        }
        self.free += 1;
        None
    }

    fn queue(&mut self, tenant: TenantKey, ticket: TicketId, ran: bool, waker: Waker) {
        let queue = self.waiting.entry(tenant).or_default();
        if queue.is_empty() {
            self.ring.push_back(tenant);
        }
        if ran {
            queue.push_back((ticket, waker));
        } else {
            queue.push_front((ticket, waker));
        }
    }
}

impl Ticket {
    /// Ready when it is this request's turn.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn<'_>> {
        let mut state = self.turns.state();
        match self.waiting {
            None if state.free > 0 => state.free -= 1,
            None => {
                let ticket = state.next;
                state.next += 1;
                state.queue(self.tenant, ticket, self.ran, cx.waker().clone());
                self.waiting = Some(ticket);
                return Poll::Pending;
            }
            Some(ticket) if state.given.remove(&ticket) => self.waiting = None,
            Some(ticket) => {
                let queue = state.waiting.get_mut(&self.tenant);
                let mut places = queue.into_iter().flatten();
                if let Some((_, waker)) = places.find(|(place, _)| *place == ticket) {
                    waker.clone_from(cx.waker());
                }
                return Poll::Pending;
            }
        }
        drop(state);
        self.ran = true;
        Poll::Ready(Turn(&self.turns))
    }
}

/// A request that ends while it waits gives up its place, or its turn.
impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(ticket) = self.waiting else { return };
        let mut state = self.turns.state();
        if state.given.remove(&ticket) {
            drop(state);
            self.turns.pass_on();
        } else if let Some(queue) = state.waiting.get_mut(&self.tenant) {
            queue.retain(|(place, _)| *place != ticket);
            if queue.is_empty() {
                state.waiting.remove(&self.tenant);
                let tenant = self.tenant;
                state.ring.retain(|waiting| *waiting != tenant);
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(ticket: &mut Ticket) -> bool {
        ticket.poll_turn(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn tenants_take_turns_however_much_one_wants() {
        let turns = Arc::new(Turns::new(1));
        let mut running = turns.ticket(1);
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(turn) = running.poll_turn(&mut cx) else { panic!("it is free") };
        let mut greedy: Vec<Ticket> = (0..3).map(|_| turns.ticket(1)).collect();
        assert!(!greedy.iter_mut().any(ready));
        let mut modest = turns.ticket(2);
        assert!(!ready(&mut modest));
        drop(turn);
        assert!(ready(&mut greedy[2]), "the tenant's turn is over at once");
        assert!(ready(&mut modest), "the other tenant is next");
        assert!(ready(&mut greedy[1]) && ready(&mut greedy[0]));
        assert_eq!(turns.state().free, 1);
    }

    #[test]
    fn a_new_request_goes_ahead_of_its_tenants_long_ones() {
        let turns = Arc::new(Turns::new(1));
        let (mut long, mut new) = (turns.ticket(1), turns.ticket(1));
        assert!(ready(&mut long), "its first turn");
        let mut other = turns.ticket(2);
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(turn) = other.poll_turn(&mut cx) else { panic!("it is free") };
        assert!(!ready(&mut long) && !ready(&mut new));
        drop(turn);
        assert!(!ready(&mut long) && ready(&mut new) && ready(&mut long));
    }

    #[test]
    fn who_leaves_gives_up_place_and_turn() {
        let turns = Arc::new(Turns::new(1));
        let mut running = turns.ticket(1);
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(turn) = running.poll_turn(&mut cx) else { panic!("it is free") };
        let (mut first, mut second, mut third) =
            (turns.ticket(2), turns.ticket(3), turns.ticket(4));
        assert!(!ready(&mut first) && !ready(&mut second) && !ready(&mut third));
        drop(first);
        drop(turn);
        drop(second);
        assert!(ready(&mut third));
        let state = turns.state();
        assert_eq!(
            (state.free, state.ring.len(), state.waiting.len(), state.given.len()),
            (1, 0, 0, 0)
        );
    }
}
