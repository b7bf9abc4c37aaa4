//! Places that all tenants share, fairly. A quarter is reserved for tenants that hold
//! none. Of the rest, a tenant may hold a quarter of what is free, so that the
//! tenants that want most have equal parts and one part is always left. When places are
//! short, the next free one goes to the waiting tenant that holds least.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Requests of one tenant that may wait for a place.
const QUEUE: usize = 1_024;

/// Places, and who holds and awaits them.
pub(super) struct Places {
    state: Mutex<State>,
    /// The most that one tenant holds.
    of_tenant: usize,
    /// The last free places, for tenants that hold none.
    reserved: usize,
}

/// The reserved part of all places is one in so many, and so is the part of the free
/// places that a tenant may hold.
const PART: usize = 4;

struct State {
    free: usize,
    /// The tenants that hold a place or wait for one.
    tenants: HashMap<Arc<str>, Share>,
    /// Those that wait: who holds least, and of them who waits longest, comes first.
    order: BTreeSet<(usize, u64, Arc<str>)>,
    /// Numbers those that begin to wait.
    next: u64,
}

#[derive(Default)]
struct Share {
    held: usize,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    number: u64,
    granted: oneshot::Sender<()>,
}

/// A place of a tenant, given back when it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    tenant: Arc<str>,
}

/// Someone who waits; the place is given back if it comes too late.
struct Turn {
    places: Arc<Places>,
    tenant: Arc<str>,
    granted: oneshot::Receiver<()>,
    taken: bool,
}

impl Places {
    pub(super) fn new(all: usize, of_tenant: usize) -> Arc<Places> {
        let (tenants, order) = (HashMap::new(), BTreeSet::new());
        let state = State { free: all, tenants, order, next: 0 };
        Arc::new(Places { state: Mutex::new(state), of_tenant, reserved: all / PART })
    }

    /// A place, if the tenant may have one now and none of its own waits for one.
    pub(super) fn try_take(self: &Arc<Self>, tenant: &Arc<str>) -> Option<Place> {
        let mut state = self.state();
        let share = state.tenants.get(tenant);
        let waits = share.is_some_and(|share| share.waiting.iter().any(Waiting::is_there));
        if waits || !self.may_take(&state, share.map_or(0, |share| share.held)) {
            return None;
        }
        state.hold(tenant);
        Some(self.place(tenant))
    }

    /// A place, at once or after a wait; `None` if too many of the tenant wait.
    pub(super) async fn take(self: &Arc<Self>, tenant: &Arc<str>) -> Option<Place> {
        if let Some(place) = self.try_take(tenant) {
            return Some(place);
        }
        let granted = self.wait(tenant);
        let (places, tenant) = (self.clone(), tenant.clone());
        let mut turn = Turn { places, tenant, granted, taken: false };
        (&mut turn.granted).await.ok()?;
        turn.taken = true;
        Some(self.place(&turn.tenant))
    }

    /// How many places a tenant holds.
    pub(super) fn held(&self, tenant: &Arc<str>) -> usize {
        self.state().tenants.get(tenant).map_or(0, |share| share.held)
    }

    fn wait(&self, tenant: &Arc<str>) -> oneshot::Receiver<()> {
        let (granted, receiver) = oneshot::channel();
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.change(tenant, |share| {
            if share.waiting.len() >= QUEUE {
                share.waiting.retain(Waiting::is_there);
            }
            if share.waiting.len() < QUEUE {
                share.waiting.push_back(Waiting { number, granted });
            }
        });
        // A place may have become free since it was asked for.
        self.grant(&mut state);
        // Without room in the queue, the sender is gone and the receiver fails.
        receiver
    }

    /// Hands free places to those that wait, as far as they may have them.
    fn grant(&self, state: &mut State) {
        while let Some((held, _, tenant)) = state.order.first().cloned() {
            if !self.may_take(state, held) {
                return;
            }
            let mut granted = false;
            state.change(&tenant, |share| {
                if let Some(waiting) = share.waiting.pop_front() {
                    granted = waiting.granted.send(()).is_ok();
                }
            });
            if granted {
                state.hold(&tenant);
            }
        }
    }

    fn may_take(&self, state: &State, held: usize) -> bool {
        let shared = state.free.saturating_sub(self.reserved);
        match held {
            0 => state.free > 0,
            _ => held < self.of_tenant && held * PART < shared,
        }
    }

    fn give_back(&self, tenant: &Arc<str>) {
        let mut state = self.state();
        state.free += 1;
        state.change(tenant, |share| share.held = share.held.saturating_sub(1));
        self.grant(&mut state);
    }

    fn place(self: &Arc<Self>, tenant: &Arc<str>) -> Place {
        Place { places: self.clone(), tenant: tenant.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hold(&mut self, tenant: &Arc<str>) {
        self.free = self.free.saturating_sub(1);
        self.change(tenant, |share| share.held += 1);
    }

    /// Changes the share of a tenant, and keeps its place in the order.
    fn change(&mut self, tenant: &Arc<str>, change: impl FnOnce(&mut Share)) {
        let share = self.tenants.entry(tenant.clone()).or_default();
        if let Some(first) = share.waiting.front() {
            self.order.remove(&(share.held, first.number, tenant.clone()));
        }
        change(share);
        match share.waiting.front() {
            Some(first) => {
                self.order.insert((share.held, first.number, tenant.clone()));
            }
            None if share.held == 0 => {
                self.tenants.remove(tenant);
            }
            None => {}
        }
    }
}

impl Waiting {
    fn is_there(&self) -> bool {
        !self.granted.is_closed()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(&self.tenant);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.granted.close();
        if !self.taken && self.granted.try_recv().is_ok() {
            self.places.give_back(&self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn name(number: usize) -> Arc<str> {
        format!("tenant {number}").into()
    }

    /// As many places as a tenant gets without waiting.
    fn take_all(places: &Arc<Places>, tenant: usize) -> Vec<Place> {
        std::iter::from_fn(|| places.try_take(&name(tenant))).collect()
    }

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn tenants_that_take_together_have_equal_parts_and_leave_one() {
        for (greedy, all) in [(1, 100), (4, 2_048), (8, 2_048), (64, 256)] {
            let places = Places::new(all, 256);
            let mut held: Vec<Vec<Place>> = (0..greedy).map(|_| Vec::new()).collect();
            // They take in turn until nobody gets more.
            loop {
                let before: usize = held.iter().map(Vec::len).sum();
                for (tenant, held) in held.iter_mut().enumerate() {
                    held.extend(places.try_take(&name(tenant)));
                }
                if held.iter().map(Vec::len).sum::<usize>() == before {
                    break;
                }
            }
            let (least, most) = (held.iter().map(Vec::len).min(), held.iter().map(Vec::len).max());
            assert!(most <= least.map(|least| least + 1), "{least:?} to {most:?} beside {greedy}");
            assert!(!take_all(&places, greedy).is_empty(), "{greedy} of {all}");
        }
    }

    #[test]
    fn tenants_that_take_one_after_the_other_leave_what_is_reserved() {
        let places = Places::new(2_048, 256);
        let mut held = Vec::new();
        for tenant in 0..16 {
            held.push(take_all(&places, tenant));
            let victim = take_all(&places, 10_000);
            assert!(victim.len() > 4, "{} beside {tenant}", victim.len());
        }
        held.extend((16..500).map(|tenant| take_all(&places, tenant)));
        assert!(held.iter().all(|held| !held.is_empty()));
        assert!(!take_all(&places, 10_000).is_empty());
    }

    #[test]
    fn one_tenant_has_its_own_bound() {
        assert_eq!(take_all(&Places::new(2_048, 256), 0).len(), 256);
        assert_eq!(take_all(&Places::new(256, 8), 0).len(), 8);
    }

    #[test]
    fn a_free_place_goes_to_who_holds_least_and_then_to_who_waits_longest() {
        let places = Places::new(3, 3);
        let (one, two) = (places.try_take(&name(1)), places.try_take(&name(2)));
        let third = places.try_take(&name(3));
        assert!(one.is_some() && two.is_some() && third.is_some());
        let (first, second, fourth) = (name(1), name(4), name(5));
        let mut holds_one = pin!(places.take(&first));
        let mut waits = pin!(places.take(&second));
        let mut later = pin!(places.take(&fourth));
        assert!(poll(holds_one.as_mut()).is_pending());
        assert!(poll(waits.as_mut()).is_pending() && poll(later.as_mut()).is_pending());
        drop(two);
        let Poll::Ready(Some(_held)) = poll(waits.as_mut()) else { panic!("it holds none") };
        assert!(poll(later.as_mut()).is_pending() && poll(holds_one.as_mut()).is_pending());
        drop(third);
        let Poll::Ready(Some(_held)) = poll(later.as_mut()) else { panic!("it holds none") };
        assert!(poll(holds_one.as_mut()).is_pending());
    }

    #[test]
    fn who_waits_no_more_keeps_no_place() {
        let places = Places::new(1, 1);
        let held = places.try_take(&name(1));
        let other = name(2);
        {
            let mut waits = pin!(places.take(&other));
            assert!(poll(waits.as_mut()).is_pending());
            // Granted, and dropped before it was looked at.
            drop(held);
        }
        let held = places.try_take(&name(3));
        assert!(held.is_some());
        {
            let mut waits = pin!(places.take(&other));
            assert!(poll(waits.as_mut()).is_pending());
        }
        drop(held);
        assert!(places.try_take(&name(1)).is_some());
        assert!(places.state().tenants.is_empty() && places.state().order.is_empty());
    }

    #[test]
    fn the_queue_of_a_tenant_is_bounded() {
        let places = Places::new(1, 1);
        let held = places.try_take(&name(1));
        let tenant = name(2);
        let mut waiting: Vec<_> = (0..QUEUE).map(|_| Box::pin(places.take(&tenant))).collect();
        assert!(waiting.iter_mut().all(|waits| poll(waits.as_mut()).is_pending()));
        assert!(matches!(poll(pin!(places.take(&tenant))), Poll::Ready(None)));
        waiting.truncate(1);
        let mut again = pin!(places.take(&tenant));
        assert!(poll(again.as_mut()).is_pending(), "those that left make room");
        drop(held);
        assert!(matches!(poll(waiting[0].as_mut()), Poll::Ready(Some(_))));
    }
}
