//! CPU time of a guest, measured around each poll of its future, and charged to
//! whom it runs for.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::background::Background;
use super::clock::Ticking;
use super::fair::TenantKey;
use super::used::{Part, SHORT, Used, thread_time};
use super::usual::{First, Usual};
use super::work::key_of;
use crate::error::GuestError;
use crate::request::Request;
use crate::tenant::{NOTICED, Permit, Running, Tenant};

/// The CPU time that a request may use after its first poll where the
/// connections are served; what needs more goes on in the background. Half a
/// tick: nearly every request ends within its first poll. That one does not
/// count: by the monotonic clock, it may have stood still for most of its time.
const FIRST_SLICE: Duration = Duration::from_micros(500);

/// What a request may use there that has a new instance: an interpreter that runs
/// for the first time takes 2 ms, for ten thousand requests. In the background it
/// would wait for those that have an instance.
const FIRST_RUN: Duration = Duration::from_millis(4);

/// What a request may use there in turn: the garbage collectors of interpreters
/// take some of it at times. Behind so many of its tenant, in the background it
/// would wait for a moment in which nobody asks.
const SLICE_IN_TURN: Duration = Duration::from_millis(10);

/// A poll that takes two ticks does not yield: in a host call, or in `memory.fill`.
const UNYIELDING: Duration = Duration::from_millis(2);

/// A guest whose polls are all `SHORT` may stay beyond its slice: it
/// moves what its client sends or takes, and each change of threads would cost
/// more than the poll. Of a tenant, as many may as there are threads, and of all
/// tenants `MANY` times as many: all of them together hold up others for 2 ms.
const MANY: usize = 4;

/// What a request counts for among those of its app that went on in the background.
const LONG: Duration = Duration::from_millis(4);

/// What may be in doubt of what a request is noted to take: on a machine that others
/// use, too, a thread stands still for much longer.
const DOUBTFUL: Duration = Duration::from_millis(1);

/// For whom a guest runs: who is charged for what it uses. Dropped after the guest.
pub(super) trait Account: Send + Unpin + 'static {
    /// It runs next. How many requests have come since it last did.
    fn begin(&mut self, cx: &mut Context<'_>) -> u32;
    /// It has used `part` more, `used` in all. Why it ends, if it does.
    fn charge(&mut self, used: &Used, part: Part) -> Option<GuestError>;
    /// From now on it goes on in the background.
    fn leave_front(&mut self);
    /// How many requests it runs for now, and ran for in all.
    fn present(&self) -> u32;
    fn requests(&self) -> u32;
    /// Whether an instance was made for it.
    fn has_new_instance(&self) -> bool;
}

/// A request that has a guest for itself.
pub(super) struct Single {
    request: Arc<Request>,
    limit: Duration,
    _held: Held,
}

impl Single {
    pub(super) fn new(request: Arc<Request>, limit: Duration, held: Held) -> Single {
        Single { request, limit, _held: held }
    }
}

impl Account for Single {
    fn begin(&mut self, _: &mut Context<'_>) -> u32 {
        0
    }

    fn charge(&mut self, used: &Used, _: Part) -> Option<GuestError> {
        self.request.spent.set_cpu(used.all);
        used.over(self.limit)
    }

    fn leave_front(&mut self) {}

    fn present(&self) -> u32 {
        1
    }

    fn requests(&self) -> u32 {
        1
    }

    fn has_new_instance(&self) -> bool {
        self.request.spent.has_new_instance()
    }
}

/// A guest's future that ends when its CPU time is used up. It is boxed so that
/// it can move between threads while it is half-way.
struct Metered<F, A: Account> {
    guest: Pin<Box<F>>,
    used: Used,
    tenant: Arc<Tenant>,
    usual: Arc<Usual>,
    place: Place,
    account: A,
}

/// Where a guest runs, and what follows from that.
enum Place {
    /// Where the connections are served, at any time: what it uses is its debt.
    Here,
    /// There, too, but one after the other, a few before everything that is ready: of
    /// that, nobody owes what lasts a tick.
    InTurn,
    Background {
        _among: InBackground,
    },
}

/// What a request's guest holds. Dropped after the guest, as is what it counts among: one
/// that nobody waits for any more runs until it next yields; until then it has its
/// place, and the clock must tick for it.
pub(super) type Held = (Permit, Ticking);

/// Runs a guest here for its first slice, then in the background. If its tenant has
/// so many there already, or used so much here, that this one may well hold up
/// others, too, then it begins there: sixteen loops that begin together must not
/// hold up everyone else for their first slices. But those of an app that usually
/// takes a part of a tick stay here, in turn: to change threads would cost a third of
/// what they take, and where the machine is busy with other things, the background
/// stands still. So do the few long ones of an app whose others are short. The returned
/// future is small, so that those around it are, too: they move.
pub(super) fn run<F, T, A>(
    guest: Pin<Box<F>>,
    account: A,
    background: &Background,
    tenant: &Arc<Tenant>,
    usual: &Arc<Usual>,
) -> impl Future<Output = Result<T, GuestError>>
where
    F: Future<Output = Result<T, GuestError>> + Send + 'static,
    T: Send + 'static,
    A: Account,
{
    let running = tenant.running.clone();
    let crowded = running.in_background.load(Relaxed) >= background.threads;
    let place = match tenant.is_unyielding() || (crowded && usual.is_unknown()) {
        true => First::Background,
        false => usual.place(crowded || tenant.is_in_debt(), !background.has_others(&running)),
    };
    let mut metered = Metered {
        guest,
        used: Used::default(),
        tenant: tenant.clone(),
        usual: usual.clone(),
        place: Place::Here,
        account,
    };
    async move {
        let key = key_of(&running);
        let mut ended = None;
        if place == First::Here {
            let mut stays = None;
            ended = poll_fn(|cx| metered.poll_here(cx, &mut stays, &running, background)).await;
        }
        let in_turn = match place {
            First::Here => metered.may_go_on_in_turn(!background.has_others(&running)),
            place => place == First::InTurn,
        };
        if ended.is_none() && in_turn {
            ended = metered.in_turn(key, &running, background).await;
        }
        match ended {
            Some(result) => result,
            None => {
                if place != First::Background {
                    metered.note(LONG);
                }
                let among = InBackground::one_of(running, background);
                metered.place = Place::Background { _among: among };
                metered.account.leave_front();
                background.go_on(metered, key).await.unwrap_or(Err(GuestError::Panicked))
            }
        }
    }
}

/// Ready once the task is woken.
async fn woken() {
    let mut waits = false;
    poll_fn(|_| if std::mem::replace(&mut waits, true) { Poll::Ready(()) } else { Poll::Pending })
        .await;
}

/// A request among its tenant's in the background, until it is dropped.
pub(super) struct InBackground {
    running: Arc<Running>,
    of_all: Arc<AtomicUsize>,
}

impl InBackground {
    pub(super) fn one_of(running: Arc<Running>, background: &Background) -> InBackground {
        let of_all = background.guests.clone();
        running.in_background.fetch_add(1, Relaxed);
        of_all.fetch_add(1, Relaxed);
        InBackground { running, of_all }
    }
}

impl Drop for InBackground {
    fn drop(&mut self) {
        self.of_all.fetch_sub(1, Relaxed);
        self.running.in_background.fetch_sub(1, Relaxed);
    }
}

/// A request among those that stay for the shortness of their polls.
struct Stays<'a> {
    of_tenant: &'a AtomicUsize,
    of_all: &'a AtomicUsize,
}

impl Stays<'_> {
    /// One more, unless there are so many already.
    fn among<'a>(running: &'a Running, background: &'a Background) -> Option<Stays<'a>> {
        let stays = Stays { of_tenant: &running.short, of_all: &background.short };
        let of_tenant = stays.of_tenant.fetch_add(1, Relaxed);
        let of_all = stays.of_all.fetch_add(1, Relaxed);
        let few = of_tenant < background.threads && of_all < MANY * background.threads;
        few.then_some(stays)
    }
}

impl Drop for Stays<'_> {
    fn drop(&mut self) {
        self.of_tenant.fetch_sub(1, Relaxed);
        self.of_all.fetch_sub(1, Relaxed);
    }
}

impl<F, T, A> Future for Metered<F, A>
where
    F: Future<Output = Result<T, GuestError>>,
    A: Account,
{
    type Output = Result<T, GuestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let come = self.account.begin(cx);
        let slice = self.slice();
        self.used.forgive(slice.saturating_mul(come));
        let before = self.used.whole();
        // In the background only the thread's own time says what was used; in turn it
        // tells who does not yield from what stood still.
        let by_wall = matches!(self.place, Place::Here) && !self.used.is_in_doubt;
        let polled = if by_wall { self.poll_by_wall(cx) } else { self.poll_by_thread(cx) };
        let Metered { used, account, .. } = &mut *self;
        match (polled, account.charge(used, used.since(before))) {
            (Poll::Pending, Some(why)) => Poll::Ready(Err(why)),
            (polled, _) => polled,
        }
    }
}

impl<F, T, A> Metered<F, A>
where
    F: Future<Output = Result<T, GuestError>>,
    A: Account,
{
    /// Runs it where connections are served, a poll a turn; its result, or none if it
    /// is to go on in the background.
    async fn in_turn(
        &mut self,
        key: TenantKey,
        running: &Running,
        background: &Background,
    ) -> Option<Result<T, GuestError>> {
        self.place = Place::InTurn;
        let mut stays = None;
        let mut ticket = background.here.ticket(key);
        loop {
            let mut turn = ticket.turn().await;
            if turn.waits_for_others {
                tokio::task::yield_now().await;
            }
            let before = self.used.all;
            let once = |cx: &mut Context<'_>| {
                Poll::Ready(self.poll_here(cx, &mut stays, running, background))
            };
            let polled = poll_fn(once).await;
            turn.took(self.used.all.saturating_sub(before));
            drop(turn);
            match polled {
                Poll::Ready(ended) => return ended,
                Poll::Pending => woken().await,
            }
        }
    }

    /// Polls it where connections are served. Ready without a result if it is to go
    /// on in the background.
    fn poll_here<'a>(
        &mut self,
        cx: &mut Context<'_>,
        stays: &mut Option<Stays<'a>>,
        running: &'a Running,
        background: &'a Background,
    ) -> Poll<Option<Result<T, GuestError>>> {
        // While it waited, others of its tenant may have used up the share.
        let at_any_time = matches!(self.place, Place::Here);
        if at_any_time && self.used.polls > 0 && self.tenant.is_in_debt() {
            return Poll::Ready(None);
        }
        match Pin::new(&mut *self).poll(cx) {
            Poll::Pending if self.used.after_first < self.slice() => Poll::Pending,
            Poll::Pending if self.used.last < SHORT => {
                *stays = stays.take().or_else(|| Stays::among(running, background));
                if stays.is_some() { Poll::Pending } else { Poll::Ready(None) }
            }
            Poll::Pending => Poll::Ready(None),
            Poll::Ready(result) => Poll::Ready(Some(result)),
        }
    }
}

impl<F, A: Account> Drop for Metered<F, A> {
    fn drop(&mut self) {
        self.note(self.used.likely(DOUBTFUL) / self.account.requests().max(1));
    }
}

impl<F, A: Account> Metered<F, A> {
    fn note(&self, used: Duration) {
        self.usual.note(used, self.account.has_new_instance());
    }

    /// Whether one that may not stay at any time may do so in turn: for what its tenant
    /// owes alone, if it may begin so; if it is long, only where others are short. What
    /// runs away ends its instance, and comes back with a new one.
    fn may_go_on_in_turn(&self, alone: bool) -> bool {
        if self.used.after_first < self.slice() {
            return self.usual.place(true, alone) == First::InTurn;
        }
        let is_trusted = !self.account.has_new_instance() && !self.tenant.is_in_debt();
        is_trusted && self.usual.is_rarely_long(alone)
    }

    /// What it may use where connections are served, after its first poll.
    fn slice(&self) -> Duration {
        match self.place {
            Place::InTurn => SLICE_IN_TURN,
            _ if self.account.has_new_instance() => FIRST_RUN,
            _ => FIRST_SLICE,
        }
    }

    /// A poll that held up others for longer than `most` is a debt: the first one, if
    /// others notice it, a later one if it is not `SHORT`; in turn, one that
    /// did not yield is one of its own kind.
    fn owe(&self, used: Duration, most: Duration) {
        match self.place {
            // As if each request had been polled by itself.
            Place::Here if used / self.account.present().max(1) > most => self.tenant.owes(used),
            Place::InTurn if used > UNYIELDING => self.tenant.did_not_yield(used),
            _ => {}
        }
    }
}

impl<F: Future, A: Account> Metered<F, A> {
    /// By the monotonic clock, which costs a twentieth of the thread's (no system
    /// call) and never shows less.
    fn poll_by_wall(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let before = Instant::now();
        let polled = self.guest.as_mut().poll(cx);
        let used = before.elapsed();
        self.owe(used, if self.used.polls == 0 { NOTICED } else { SHORT });
        self.used.add_by_wall(used);
        polled
    }

    fn poll_by_thread(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let before = thread_time();
        let polled = self.guest.as_mut().poll(cx);
        let used = thread_time().saturating_sub(before);
        self.owe(used, SHORT);
        self.used.add_by_thread(used);
        polled
    }
}
