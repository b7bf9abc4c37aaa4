//! Turns on a few threads, fair between tenants: of those that wait, the one that
//! has used least of the threads is next, however many requests it has.

mod owned;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::used::SHORT;
pub(crate) use owned::Lease;

/// What tells tenants apart.
pub(crate) type TenantKey = usize;
type TicketId = u64;

/// What a turn counts for at least: to pass it on costs something, too.
const LEAST: Duration = Duration::from_micros(100);

/// What is used in turns one after the other before whatever else is ready goes first.
/// Before each single one, a turn would take as long as a round of all that is ready.
const IN_A_ROW: Duration = SHORT;

/// Gives out turns.
pub(crate) struct Turns {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Turns that nobody has.
    free: usize,
    /// Of a tenant's requests, those that have had a turn are next.
    ran_first: bool,
    /// What was used since whatever else is ready went first.
    in_a_row: Duration,
    /// The tenants that wait, by what they have used when they are next.
    order: BTreeSet<(Duration, TenantKey)>,
    waiting: HashMap<TenantKey, Queue>,
    /// What each tenant has used since nobody had to wait. Who comes later starts
    /// with what the one that was last given a turn had used.
    used: HashMap<TenantKey, Duration>,
    last: Duration,
    /// Who was given a turn and has not taken it up yet.
    given: HashSet<TicketId>,
    next: TicketId,
}

/// The requests of a tenant that wait.
#[derive(Default)]
struct Queue {
    /// Its place in the order.
    used: Duration,
    /// Those that have had no turn: they go ahead, so that short requests do not
    /// wait behind long ones, but where those end soon.
    new: VecDeque<(TicketId, Waker)>,
    ran: VecDeque<(TicketId, Waker)>,
}

/// A request's place among those that wait.
pub(crate) struct Ticket {
    turns: Arc<Turns>,
    tenant: TenantKey,
    waiting: Option<TicketId>,
    /// It has had a turn.
    ran: bool,
}

/// One may run; the next one's turn is when this is dropped.
pub(super) struct Turn<'a> {
    ticket: &'a mut Ticket,
    /// Whatever else is ready goes first.
    pub(super) waits_for_others: bool,
    used: Duration,
    again: Option<Waker>,
}

impl Turns {
    pub(crate) fn new(free: usize) -> Turns {
        Turns { state: Mutex::new(State { free, ..State::default() }) }
    }

    /// Turns of requests of which each ends after a few: those that have had one hold
    /// an instance, for which the others would wait in their turns.
    pub(crate) fn of_short(free: usize) -> Turns {
        Turns { state: Mutex::new(State { free, ran_first: true, ..State::default() }) }
    }

    pub(crate) fn ticket(self: &Arc<Turns>, tenant: TenantKey) -> Ticket {
        Ticket { turns: self.clone(), tenant, waiting: None, ran: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes a turn on to the next tenant that waits.
    fn pass_on(&self, mut state: MutexGuard<'_, State>) {
        let next = state.pass_on();
        drop(state);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

impl State {
    fn pass_on(&mut self) -> Option<Waker> {
        while let Some((used, tenant)) = self.order.pop_first() {
            let Some(queue) = self.waiting.get_mut(&tenant) else { continue };
            let first = queue.pop(self.ran_first);
            if queue.is_empty() {
                self.waiting.remove(&tenant);
            } else {
                self.order.insert((used, tenant));
            }
            if let Some((ticket, waker)) = first {
                self.last = self.last.max(used);
                self.given.insert(ticket);
                return Some(waker);
            }
        }
        self.free += 1;
        self.used.clear();
        None
    }

    /// Takes a place among those that wait.
    fn queue(&mut self, tenant: TenantKey, ran: bool, waker: Waker) -> TicketId {
        let ticket = self.next;
        self.next += 1;
        let queue = self.waiting.entry(tenant).or_default();
        if queue.is_empty() {
            // Who was away has saved nothing.
            let used = self.used.entry(tenant).or_default();
            *used = self.last.max(*used);
            queue.used = *used;
            self.order.insert((queue.used, tenant));
        }
        let places = if ran { &mut queue.ran } else { &mut queue.new };
        places.push_back((ticket, waker));
        ticket
    }

    /// A tenant has used so much more.
    fn charge(&mut self, tenant: TenantKey, used: Duration) {
        self.in_a_row += used;
        let all = self.used.entry(tenant).or_insert(self.last);
        *all += used.max(LEAST);
        if let Some(queue) = self.waiting.get_mut(&tenant) {
            self.order.remove(&(queue.used, tenant));
            queue.used = *all;
            self.order.insert((queue.used, tenant));
        }
    }

    /// Whether whatever else is ready goes before the next turn.
    fn is_after_others(&mut self) -> bool {
        let is_due = self.in_a_row >= IN_A_ROW;
        if is_due {
            self.in_a_row = Duration::ZERO;
        }
        is_due
    }

    /// Forgets a request that waits no more.
    fn leave(&mut self, tenant: TenantKey, ticket: TicketId) {
        let Some(queue) = self.waiting.get_mut(&tenant) else { return };
        queue.new.retain(|(place, _)| *place != ticket);
        queue.ran.retain(|(place, _)| *place != ticket);
        if queue.is_empty() {
            self.order.remove(&(queue.used, tenant));
            self.waiting.remove(&tenant);
        }
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.new.is_empty() && self.ran.is_empty()
    }

    fn pop(&mut self, ran_first: bool) -> Option<(TicketId, Waker)> {
        let Queue { new, ran, .. } = self;
        let (first, second) = if ran_first { (ran, new) } else { (new, ran) };
        first.pop_front().or_else(|| second.pop_front())
    }

    fn waker(&mut self, ticket: TicketId) -> Option<&mut Waker> {
        let mut all = self.new.iter_mut().chain(&mut self.ran);
        all.find(|(place, _)| *place == ticket).map(|(_, waker)| waker)
    }
}

impl Ticket {
    /// Waits for this request's turn.
    pub(super) async fn turn(&mut self) -> Turn<'_> {
        let waits_for_others = poll_fn(|cx| self.poll_given(cx)).await;
        self.begin(waits_for_others)
    }

    /// Ready when it is this request's turn.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn<'_>> {
        self.poll_given(cx).map(|waits_for_others| self.begin(waits_for_others))
    }

    /// Its turn is its own until it is dropped.
    fn begin(&mut self, waits_for_others: bool) -> Turn<'_> {
        self.ran = true;
        Turn { ticket: self, waits_for_others, used: Duration::ZERO, again: None }
    }

    /// Ready when it is given a turn; whether whatever else is ready goes first.
    fn poll_given(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.turns.state();
        match self.waiting {
            None if state.free > 0 => state.free -= 1,
            None => {
                self.waiting = Some(state.queue(self.tenant, self.ran, cx.waker().clone()));
                return Poll::Pending;
            }
            Some(ticket) if state.given.remove(&ticket) => self.waiting = None,
            Some(ticket) => {
                let queue = state.waiting.get_mut(&self.tenant);
                if let Some(waker) = queue.and_then(|queue| queue.waker(ticket)) {
                    waker.clone_from(cx.waker());
                }
                return Poll::Pending;
            }
        }
        Poll::Ready(state.is_after_others())
    }
}

impl Turn<'_> {
    /// So much of the thread was used in it. A turn may be much longer than a
    /// tick, where a guest does not yield.
    pub(super) fn took(&mut self, used: Duration) {
        self.used = used;
    }

    /// It wants another one. That is known before the next is given: if the others
    /// have used more, it goes on.
    pub(super) fn again(&mut self, waker: &Waker) {
        self.again = Some(waker.clone());
    }
}

/// A request that ends while it waits gives up its place, or its turn.
impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(ticket) = self.waiting else { return };
        let mut state = self.turns.state();
        if state.given.remove(&ticket) {
            self.turns.pass_on(state);
        } else {
            state.leave(self.tenant, ticket);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Ticket { turns, tenant, waiting, .. } = &mut *self.ticket;
        let mut state = turns.state();
        state.charge(*tenant, self.used);
        *waiting = self.again.take().map(|waker| state.queue(*tenant, true, waker));
        turns.pass_on(state);
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
        assert!(ready(&mut modest), "the other tenant is next");
        assert!(ready(&mut greedy[0]), "who came first is first");
        assert!(ready(&mut greedy[1]) && ready(&mut greedy[2]));
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
    fn of_short_ones_who_has_had_a_turn_goes_ahead() {
        let turns = Arc::new(Turns::of_short(1));
        let (mut held, mut new) = (turns.ticket(1), turns.ticket(1));
        assert!(ready(&mut held), "its first turn");
        let mut other = turns.ticket(2);
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(turn) = other.poll_turn(&mut cx) else { panic!("it is free") };
        assert!(!ready(&mut new) && !ready(&mut held));
        drop(turn);
        assert!(!ready(&mut new) && ready(&mut held) && ready(&mut new));
    }

    #[test]
    fn a_few_short_turns_follow_each_other_before_all_else() {
        let turns = Arc::new(Turns::of_short(1));
        let mut cx = Context::from_waker(Waker::noop());
        let mut waits_after = |us: u64| {
            let mut ticket = turns.ticket(1);
            let Poll::Ready(mut turn) = ticket.poll_turn(&mut cx) else { panic!("it is free") };
            turn.took(Duration::from_micros(us));
            turn.waits_for_others
        };
        let waits = [100, 100, 100, 100, 1_000, 10, 10].map(&mut waits_after);
        assert_eq!(waits, [false, false, false, true, false, true, false]);
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
            (state.free, state.order.len(), state.waiting.len(), state.given.len()),
            (1, 0, 0, 0)
        );
    }

    /// How many turns each of some requests has of so many, if all always go on;
    /// with how many milliseconds each turn takes.
    fn had(requests: &mut [(&mut Ticket, u64)], turns: usize) -> Vec<usize> {
        let mut had = vec![0; requests.len()];
        let mut cx = Context::from_waker(Waker::noop());
        while had.iter().sum::<usize>() < turns {
            for (at, (ticket, millis)) in requests.iter_mut().enumerate() {
                if let Poll::Ready(mut turn) = ticket.poll_turn(&mut cx) {
                    turn.took(Duration::from_millis(*millis));
                    turn.again(Waker::noop());
                    had[at] += 1;
                }
            }
        }
        had
    }

    #[test]
    fn a_long_turn_is_paid_with_later_ones() {
        let turns = Arc::new(Turns::new(1));
        let (mut one, mut other) = (turns.ticket(1), turns.ticket(2));
        // The second does not yield for 50 ticks.
        let had = had(&mut [(&mut one, 1), (&mut other, 50)], 200);
        assert!((3..=6).contains(&had[1]), "{had:?}");
    }

    #[test]
    fn who_was_away_has_saved_nothing() {
        let turns = Arc::new(Turns::new(1));
        let (mut one, mut other) = (turns.ticket(1), turns.ticket(2));
        let mut third = turns.ticket(3);
        had(&mut [(&mut one, 1), (&mut other, 1), (&mut third, 1)], 6);
        drop(third);
        had(&mut [(&mut one, 1), (&mut other, 1)], 1_000);
        let mut third = turns.ticket(3);
        let had = had(&mut [(&mut one, 1), (&mut other, 1), (&mut third, 1)], 60);
        assert!(had.iter().all(|turns| (18..=22).contains(turns)), "{had:?}");
    }
}
