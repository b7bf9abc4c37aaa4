//! Changes that wait to be written, fair between tenants by their work: the next change is
//! that of the tenant whose changes have cost least. A batch is bounded by its work, so
//! that nobody waits long for the changes of others.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::payer::{Payer, estimate};
use super::{Change, Changed, Failure};
use crate::tenant::Taken;
use crate::wasm::TenantKey;

/// Changes that share a sync of the disk.
const BATCH: usize = 256;
/// And their work, unless one change alone is more: about as long as the sync.
const BATCH_WORK: Duration = Duration::from_millis(6);

/// A change of a tenant's bucket.
pub(super) struct Job {
    /// Whose turn it is made in.
    pub(super) owner: TenantKey,
    pub(super) tenant: Arc<str>,
    pub(super) payer: Option<Payer>,
    pub(super) bucket: Arc<str>,
    pub(super) change: Change,
    /// What all of the tenant's data may cost, in bytes.
    pub(super) quota: u64,
    /// Who waits for it.
    pub(super) done: oneshot::Sender<Result<Changed, Failure>>,
    /// The tenant's memory that it takes up until then.
    pub(super) _held: Taken,
}

impl Job {
    /// What it costs to make the change, by estimate.
    pub(super) fn work(&self) -> Duration {
        estimate(self.change.keys().len(), self.change.size())
    }
}

/// What waits.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// The tenants that wait, by what their changes have cost.
    order: BTreeSet<(Duration, TenantKey)>,
    /// Their changes, which are never none.
    jobs: HashMap<TenantKey, VecDeque<Job>>,
    /// What each tenant's changes have cost since nobody waited. A tenant that comes later
    /// starts with the cost of the tenant that was served last.
    cost: HashMap<TenantKey, Duration>,
    last: Duration,
    closed: bool,
}

impl Queue {
    pub(super) fn push(&self, job: Job) {
        let mut waiting = self.waiting();
        waiting.push(job);
        drop(waiting);
        self.more.notify_one();
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.more.notify_one();
    }

    /// Waits for changes; none when all is done and nothing more comes. Those
    /// that nobody waits for any more are dropped.
    pub(super) fn next(&self) -> Option<Vec<Job>> {
        let mut waiting = self.waiting();
        loop {
            let batch = waiting.batch();
            if !batch.is_empty() {
                return Some(batch);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push(&mut self, job: Job) {
        let tenant = job.owner;
        let jobs = self.jobs.entry(tenant).or_default();
        if jobs.is_empty() {
            let cost = self.cost.entry(tenant).or_default();
            *cost = self.last.max(*cost);
            self.order.insert((*cost, tenant));
        }
        jobs.push_back(job);
    }

    fn batch(&mut self) -> Vec<Job> {
        let (mut batch, mut work) = (Vec::new(), Duration::ZERO);
        // Tenants whose next change is too much for this batch: the next one begins with
        // the first of them.
        let mut too_much = Vec::new();
        while batch.len() < BATCH {
            let Some((cost, tenant)) = self.order.pop_first() else { break };
            let Some(jobs) = self.jobs.get_mut(&tenant) else { continue };
            while jobs.front().is_some_and(|job| job.done.is_closed()) {
                jobs.pop_front();
            }
            let more = jobs.front().map_or(Duration::ZERO, Job::work);
            if !batch.is_empty() && work + more > BATCH_WORK {
                too_much.push((cost, tenant));
                continue;
            }
            batch.extend(jobs.pop_front());
            work += more;
            self.last = self.last.max(cost);
            let cost = cost + more;
            self.cost.insert(tenant, cost);
            match jobs.is_empty() {
                true => drop(self.jobs.remove(&tenant)),
                false => drop(self.order.insert((cost, tenant))),
            }
        }
        self.order.extend(too_much);
        if self.order.is_empty() {
            self.cost.clear();
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::Budget;

    type Done = oneshot::Receiver<Result<Changed, Failure>>;

    fn job(owner: TenantKey, key: &str, pairs: usize) -> (Job, Done) {
        let (done, receiver) = oneshot::channel();
        let held = Taken::nothing(Arc::new(Budget::new(1)));
        let change = match pairs {
            1 => Change::Increment(key.to_owned(), 1),
            _ => Change::Put((0..pairs).map(|at| (format!("{key}-{at}"), None)).collect()),
        };
        let (tenant, bucket) = ("t".into(), "b".into());
        (Job { owner, tenant, payer: None, bucket, change, quota: 0, done, _held: held }, receiver)
    }

    /// The first key of each change of a batch.
    fn order(batch: &[Job]) -> Vec<String> {
        batch.iter().filter_map(|job| Some((*job.change.keys().first()?).to_owned())).collect()
    }

    #[test]
    fn tenants_take_turns_and_who_has_left_is_passed_over() {
        let queue = Queue::default();
        let mut kept = Vec::new();
        for (tenant, key) in [(1, "1"), (1, "2"), (1, "3"), (2, "4"), (3, "5")] {
            let (job, done) = job(tenant, key, 1);
            queue.push(job);
            kept.push(done);
        }
        drop(kept.remove(1));
        assert_eq!(order(&queue.next().unwrap()), ["1", "4", "5", "3"]);
        queue.close();
        assert!(queue.next().is_none());
    }

    #[test]
    fn a_batch_is_bounded_by_its_count_and_its_work() {
        let queue = Queue::default();
        let push = |key: &str, pairs| {
            let (job, done) = job(1, key, pairs);
            queue.push(job);
            done
        };
        let kept: Vec<Done> = (0..BATCH + 1).map(|_| push("k", 1)).collect();
        assert_eq!(queue.next().unwrap().len(), BATCH);
        assert_eq!(queue.next().unwrap().len(), kept.len() - BATCH);
        // Two of these are more than a batch, one of them may be.
        let _kept = [push("l", 2_000), push("m", 2_000), push("n", 5_000), push("o", 1)];
        for expected in ["l", "m", "n"] {
            assert_eq!(order(&queue.next().unwrap()), [format!("{expected}-0")]);
        }
        assert_eq!(order(&queue.next().unwrap()), ["o"]);
    }

    #[test]
    fn small_changes_share_each_batch_with_one_large_change_of_another_tenant() {
        let queue = Queue::default();
        let (greedy, modest) = (1, 2);
        let mut kept = Vec::new();
        let mut push = |owner, key: &str, pairs| {
            let (job, done) = job(owner, key, pairs);
            kept.push(done);
            queue.push(job);
        };
        (0..64).for_each(|_| push(greedy, "g", 2_000));
        assert_eq!(order(&queue.next().unwrap()), ["g-0"]);
        for _ in 0..20 {
            push(modest, "m", 1);
            let mut order = order(&queue.next().unwrap());
            order.sort();
            assert_eq!(order, ["g-0", "m"]);
        }
    }

    #[test]
    fn a_change_that_is_too_much_for_a_batch_begins_the_next() {
        let queue = Queue::default();
        let mut kept = Vec::new();
        for _ in 0..3 {
            for (owner, key) in [(1, "a"), (2, "b")] {
                let (job, done) = job(owner, key, 2_000);
                kept.push(done);
                queue.push(job);
            }
        }
        let all: Vec<String> = (0..6).flat_map(|_| order(&queue.next().unwrap())).collect();
        let of_one = all.iter().filter(|key| *key == "a-0").count();
        assert_eq!((all.len(), of_one), (6, 3));
        assert!(all.chunks(2).all(|turns| turns[0] != turns[1]), "{all:?}");
    }
}
