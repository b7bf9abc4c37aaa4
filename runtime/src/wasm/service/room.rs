//! An instance that serves several requests at the same time: who is in it, who
//! may come in, and what each is charged.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use tokio::sync::oneshot;
use wasmtime::component::GuestTaskId;

use super::{Given, Place};
use crate::error::GuestError;
use crate::request::Request;
use crate::wasm::meter::Held;
use crate::wasm::used::{Part, Used};

/// The instances of an app that serve several requests at the same time.
pub(in crate::wasm) struct Rooms {
    /// Requests that one serves at the same time.
    most: usize,
    open: Mutex<Vec<Arc<Room>>>,
}

/// An instance from its first request until nobody is in it any more.
#[derive(Default)]
pub(super) struct Room(Mutex<State>);

#[derive(Default)]
struct State {
    /// The request that it was made for.
    opener: Option<Arc<Request>>,
    waiting: VecDeque<Entry>,
    inside: Vec<Seat>,
    /// How many more it serves, once there is the instance.
    left: Option<u32>,
    /// How many came in, and of them, since it was polled last.
    entered: u32,
    come: u32,
    is_closed: bool,
    is_polled: bool,
    /// Woken when somebody waits.
    waker: Option<Waker>,
    /// Why the instance ended.
    failure: Option<GuestError>,
}

/// A request that waits to be served.
pub(super) struct Entry {
    given: Given,
    seat: Seat,
}

/// A request's place in an instance.
struct Seat {
    place: Place,
    number: u32,
    used: Used,
    over: Option<GuestError>,
    stage: Stage,
    told: oneshot::Sender<Result<(), GuestError>>,
    held: Held,
}

/// How far a request came.
enum Stage {
    Served,
    /// Its answer was taken; this task of the guest may go on.
    Ended(GuestTaskId),
    Gone,
}

/// What is served, and the number of its seat.
pub(super) struct Served {
    pub(super) place: Place,
    pub(super) given: Given,
    pub(super) number: u32,
}

impl Entry {
    /// `told` is told when its guest has ended. The client has left when nobody waits
    /// for that.
    pub(super) fn new(
        place: Place,
        given: Given,
        held: Held,
        told: oneshot::Sender<Result<(), GuestError>>,
    ) -> Entry {
        let (used, stage) = (Used::default(), Stage::Served);
        Entry { given, seat: Seat { place, number: 0, used, over: None, stage, told, held } }
    }

    /// It is not served.
    pub(super) fn refuse(self, why: GuestError) {
        self.seat.end(Err(why));
    }
}

impl Seat {
    fn has_left(&self) -> bool {
        self.told.is_closed()
    }

    fn charge(&mut self, part: Part) {
        self.used.add_part(part);
        self.place.request.spent.set_cpu(self.used.all);
        self.over = self.used.over(self.place.app.limits.cpu);
    }

    /// Its tenant's place is free before anybody hears of the end.
    fn end(self, result: Result<(), GuestError>) {
        drop(self.held);
        let _ = self.told.send(result);
    }
}

impl Rooms {
    pub(in crate::wasm) fn new(most: u32) -> Rooms {
        Rooms { most: usize::try_from(most).unwrap_or(usize::MAX), open: Mutex::default() }
    }

    /// Whether several requests are served at the same time.
    pub(in crate::wasm) fn are_shared(&self) -> bool {
        self.most > 1
    }

    /// Lets a request wait at the instance with the fewest that does not compute; or
    /// at one that does, if there are as many as keep `threads` busy. If none has
    /// room, at a new one, which is for the caller to run.
    pub(super) fn enter(&self, entry: Entry, threads: usize) -> Option<Arc<Room>> {
        let mut open = self.open();
        open.retain(|room| !room.state().is_closed);
        let loads = open.iter().filter_map(|room| Some((room.load(self.most)?, room)));
        let best = loads.min_by_key(|(load, _)| *load);
        let entry = match best.filter(|((busy, _), _)| !busy || open.len() >= threads) {
            Some((_, room)) => room.wait(entry)?,
            None => entry,
        };
        let room = Arc::new(Room::default());
        room.state().waiting.push_back(entry);
        open.push(room.clone());
        Some(room)
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Room>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Whether it computes and how many it has, if one more may come.
    fn load(&self, most: usize) -> Option<(bool, usize)> {
        let state = self.state();
        let there = state.inside.len() + state.waiting.len();
        let is_full =
            there >= most || state.left.is_some_and(|left| state.waiting.len() >= left as usize);
        // Whoever comes to a guest that nobody waits for would keep it from its end.
        let is_open = !state.is_closed && !state.inside.iter().any(Seat::has_left);
        (is_open && !is_full).then_some((state.is_polled, there))
    }

    /// Lets a request wait; gives it back if the instance takes none any more.
    fn wait(&self, entry: Entry) -> Option<Entry> {
        let mut state = self.state();
        if state.is_closed {
            return Some(entry);
        }
        state.waiting.push_back(entry);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        None
    }

    /// The request that it was opened for.
    pub(super) fn opener(&self) -> Option<Place> {
        let mut state = self.state();
        let place = state.waiting.front().map(|entry| entry.seat.place.clone());
        state.opener = place.as_ref().map(|place| place.request.clone());
        place
    }

    /// Whether all that it did was for a new instance and its first request.
    pub(super) fn is_new(&self) -> bool {
        let state = self.state();
        let made = |request: &Arc<Request>| request.spent.has_new_instance();
        state.entered <= 1 && state.opener.as_ref().is_some_and(made)
    }

    /// There is its instance, which serves so many.
    pub(super) fn begin(&self, left: u32) {
        self.state().left = Some(left);
    }

    /// The next request that comes in. If there is none, the task is woken for it.
    pub(super) fn come_in(&self, cx: &Context<'_>) -> Option<Served> {
        let mut state = self.state();
        while let Some(left) = state.left.filter(|left| *left > 0)
            && let Some(Entry { given, mut seat }) = state.waiting.pop_front()
        {
            if seat.has_left() {
                continue;
            }
            state.left = Some(left - 1);
            state.entered += 1;
            state.come += 1;
            seat.number = state.entered;
            let (place, number) = (seat.place.clone(), seat.number);
            state.inside.push(seat);
            return Some(Served { place, given, number });
        }
        state.waker = Some(cx.waker().clone());
        None
    }

    /// The answer to a request was taken.
    pub(super) fn end(&self, number: u32, task: GuestTaskId) {
        let mut state = self.state();
        let mut seats = state.inside.iter_mut();
        if let Some(seat) = seats.find(|seat| seat.number == number) {
            seat.stage = Stage::Ended(task);
        }
    }

    /// Whether requests are served now.
    pub(super) fn serves(&self) -> bool {
        self.state().inside.iter().any(|seat| matches!(seat.stage, Stage::Served))
    }

    /// Those go that have ended, but for the last one, if the guest `goes_on`: for
    /// somebody it must. The tasks of those that go.
    pub(super) fn leave(&self, goes_on: bool) -> Vec<GuestTaskId> {
        let mut state = self.state();
        let stays = state.inside.len() - usize::from(goes_on && !state.inside.is_empty());
        let gone = state.inside.iter_mut().take(stays).filter_map(|seat| match seat.stage {
            Stage::Ended(task) => {
                seat.stage = Stage::Gone;
                Some(task)
            }
            Stage::Served | Stage::Gone => None,
        });
        gone.collect()
    }

    /// Takes no more if nobody waits.
    pub(super) fn close_if_empty(&self) -> bool {
        let mut state = self.state();
        let serves_no_more = state.left == Some(0);
        state.is_closed |= serves_no_more || state.waiting.is_empty();
        state.is_closed
    }

    /// Takes no more requests: those that wait while others are served go elsewhere.
    pub(super) fn close(&self) -> VecDeque<Entry> {
        let mut state = self.state();
        state.is_closed = true;
        let serves = !state.inside.is_empty();
        if serves { std::mem::take(&mut state.waiting) } else { VecDeque::new() }
    }

    /// How many requests it served.
    pub(super) fn entered(&self) -> u32 {
        self.state().entered
    }

    pub(super) fn present(&self) -> usize {
        self.state().inside.len()
    }

    /// The instance ended, for this reason.
    pub(super) fn fail(&self, why: GuestError) {
        self.state().failure.get_or_insert(why);
    }

    /// It is polled next. The task is woken when a client leaves. How many have come
    /// since.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> u32 {
        let mut state = self.state();
        state.is_polled = true;
        for seat in &mut state.inside {
            let _ = seat.told.poll_closed(cx);
        }
        for entry in &mut state.waiting {
            let _ = entry.seat.told.poll_closed(cx);
        }
        std::mem::take(&mut state.come)
    }

    /// It was polled: who was in it is charged. Why it ends, if it does.
    pub(super) fn charge(&self, part: Part) -> Option<GuestError> {
        let mut guard = self.state();
        let state = &mut *guard;
        state.is_polled = false;
        let part = part.of_each(state.inside.len());
        match state.waiting.front_mut() {
            // The instance is made for it.
            Some(Entry { seat, .. }) if state.left.is_none() => seat.charge(part),
            _ => state.inside.iter_mut().for_each(|seat| seat.charge(part)),
        }
        let gone = |seat: &mut Seat| matches!(seat.stage, Stage::Gone);
        let ended: Vec<Seat> = state.inside.extract_if(.., gone).collect();
        let waiting = state.waiting.iter().map(|entry| &entry.seat);
        let over = state.inside.iter().chain(waiting).find_map(|seat| seat.over.clone());
        let left = state.inside.iter().all(Seat::has_left)
            && state.waiting.iter().all(|entry| entry.seat.has_left());
        if left || over.is_some() {
            state.is_closed = true;
        }
        drop(guard);
        ended.into_iter().for_each(|seat| seat.end(Ok(())));
        over.or_else(|| left.then(|| GuestError::NoAnswer("nobody waits for it".to_owned())))
    }

    /// The instance is gone. Tells those who were in it; who waits is to go
    /// elsewhere, unless there was no instance at all.
    pub(super) fn clear(&self) -> VecDeque<Entry> {
        let mut state = self.state();
        state.is_closed = true;
        let inside = std::mem::take(&mut state.inside);
        let mut waiting = std::mem::take(&mut state.waiting);
        let over = inside.iter().find_map(|seat| seat.over.clone());
        let failure = state.failure.take().unwrap_or(GuestError::Panicked);
        let had_instance = state.left.is_some();
        drop(state);
        if !had_instance {
            waiting.drain(..).for_each(|entry| entry.refuse(failure.clone()));
        }
        for mut seat in inside {
            let of_another = over.as_ref().map(|why| GuestError::EndedForAnother(why.to_string()));
            let why = seat.over.take().or(of_another).unwrap_or_else(|| failure.clone());
            seat.end(Err(why));
        }
        waiting
    }

    /// Those who wait and will not be served by this instance.
    pub(super) fn turned_away(&self) -> VecDeque<Entry> {
        let mut state = self.state();
        if state.left != Some(0) {
            return VecDeque::new();
        }
        state.is_closed = true;
        std::mem::take(&mut state.waiting)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
