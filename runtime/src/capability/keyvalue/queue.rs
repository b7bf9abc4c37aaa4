//! Changes that wait to be written, fair between tenants: a batch takes one of
//! each tenant in turn.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{Change, Changed, Failure};
use crate::tenant::Taken;

/// Changes that share a sync of the disk.
const BATCH: usize = 256;
/// And their bytes: nobody waits for more of another tenant's.
const BATCH_BYTES: usize = 8 << 20;

/// A change of a tenant's bucket.
pub(super) struct Job {
    pub(super) tenant: Arc<str>,
    pub(super) bucket: Arc<str>,
    pub(super) change: Change,
    /// What all of the tenant's data may cost, in bytes.
    pub(super) quota: u64,
    /// Who waits for it.
    pub(super) done: oneshot::Sender<Result<Changed, Failure>>,
    /// The tenant's memory that it takes up until then.
    pub(super) held: Taken,
}

/// What waits.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// The tenants in the order of their turns, each with what waits, which is
    /// never nothing.
    tenants: VecDeque<VecDeque<Job>>,
    closed: bool,
}

impl Queue {
    pub(super) fn push(&self, job: Job) {
        let mut waiting = self.waiting();
        let same =
            |jobs: &&mut VecDeque<Job>| jobs.front().is_some_and(|one| one.tenant == job.tenant);
        match waiting.tenants.iter_mut().find(same) {
            Some(jobs) => jobs.push_back(job),
            None => waiting.tenants.push_back(VecDeque::from([job])),
        }
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
    fn batch(&mut self) -> Vec<Job> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Some(mut jobs) = self.tenants.pop_front() else { break };
            if let Some(job) = jobs.pop_front().filter(|job| !job.done.is_closed()) {
                bytes += job.held.bytes();
                batch.push(job);
            }
            if !jobs.is_empty() {
                self.tenants.push_back(jobs);
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::Budget;

    type Done = oneshot::Receiver<Result<Changed, Failure>>;

    fn job(tenant: &str, key: &str) -> (Job, Done) {
        let (done, receiver) = oneshot::channel();
        let held = Taken::nothing(Arc::new(Budget::new(1)));
        let change = Change::Increment(key.to_owned(), 1);
        let (tenant, bucket) = (tenant.into(), "b".into());
        (Job { tenant, bucket, change, quota: 0, done, held }, receiver)
    }

    #[test]
    fn tenants_take_turns_and_who_has_left_is_passed_over() {
        let queue = Queue::default();
        let mut kept = Vec::new();
        for (tenant, key) in [("a", "1"), ("a", "2"), ("a", "3"), ("b", "4"), ("c", "5")] {
            let (job, done) = job(tenant, key);
            queue.push(job);
            kept.push(done);
        }
        drop(kept.remove(1));
        let batch = queue.next().unwrap();
        let order: Vec<&str> = batch.iter().flat_map(|job| job.change.keys()).collect();
        assert_eq!(order, ["1", "4", "5", "3"]);
        queue.close();
        assert!(queue.next().is_none());
    }

    #[test]
    fn a_batch_is_bounded() {
        let queue = Queue::default();
        let kept: Vec<Done> = (0..BATCH + 1)
            .map(|_| {
                let (job, done) = job("a", "k");
                queue.push(job);
                done
            })
            .collect();
        assert_eq!(queue.next().unwrap().len(), BATCH);
        assert_eq!(queue.next().unwrap().len(), kept.len() - BATCH);
    }
}
