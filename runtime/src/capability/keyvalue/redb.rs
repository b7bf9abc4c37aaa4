//! Key-value data in a database of the server's own, in its state directory.
//! One thread writes: what is asked for meanwhile shares the next sync. A change
//! is there for good when it is answered.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redb::backends::FileBackend;
use redb::{Builder, ConcurrencyMode, Database, Error, ReadTransaction, ReadableDatabase};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::changes::{self, Seed};
use super::look::Look;
use super::payer::Payer;
use super::queue::{Job, Queue};
use super::told::Told;
use super::{Change, Changed, FAILED, Failure};
use crate::error::explain;
use crate::observe::{ServerLog, Severity};
use crate::tenant::{Budget, Taken};
use crate::wasm::{Turns, thread_time};

/// The database's file in the state directory.
const FILE: &str = "keyvalue.redb";
/// What of it is kept in memory, in bytes.
const CACHE: usize = 32 << 20;
/// Look-ups at the same time: each may wait for the disk.
const READERS: usize = 4;

/// A database that is opened when it is first needed, and again after a failure.
pub(super) struct Redb {
    shared: Arc<Shared>,
    /// Whether its thread runs.
    started: AtomicBool,
    /// Of look-ups, fair between tenants by the CPU time that they take.
    turns: Arc<Turns>,
    /// Of the threads that look up. Those of the background may stand still for long, and
    /// would keep their turns.
    runtime: Option<Handle>,
}

/// What the thread that writes shares with who reads.
struct Shared {
    directory: PathBuf,
    queue: Queue,
    open: Mutex<Option<Open>>,
    told: Told,
}

#[derive(Clone)]
struct Open {
    database: Arc<Database>,
    seed: Seed,
}

impl Redb {
    pub(super) fn new(directory: PathBuf, log: Arc<ServerLog>) -> Redb {
        let shared = Shared {
            directory,
            queue: Queue::default(),
            open: Mutex::default(),
            told: Told::new(log),
        };
        let turns = Arc::new(Turns::of_short(READERS));
        let (started, runtime) = (AtomicBool::new(false), Handle::try_current().ok());
        Redb { shared: Arc::new(shared), started, turns, runtime }
    }

    /// Starts its thread, which opens the database, unless it runs.
    pub(super) fn start(&self) {
        if self.started.swap(true, SeqCst) {
            return;
        }
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name("keyvalue".to_owned());
        if let Err(error) = thread.spawn(move || shared.run()) {
            let what = format_args!("the key-value data's thread does not start: {error}");
            self.shared.told.log.report(Severity::Error, &what);
            self.started.store(false, SeqCst);
        }
    }

    pub(super) async fn change(
        &self,
        payer: &Payer,
        (tenant, bucket): (&Arc<str>, &Arc<str>),
        change: Change,
        quota: u64,
        held: Taken,
    ) -> Result<Changed, Failure> {
        let (tenant, bucket) = (tenant.clone(), bucket.clone());
        let (owner, payer) = (payer.key(), Some(payer.clone()));
        let (done, answer) = oneshot::channel();
        self.push(Job { owner, tenant, payer, bucket, change, quota, done, _held: held });
        answer.await.unwrap_or_else(|_| Err(failed()))
    }

    fn push(&self, job: Job) {
        self.start();
        self.shared.queue.push(job);
    }

    /// Looks something up, a slice in each of its tenant's turns, on threads that may wait
    /// for the disk.
    pub(super) async fn look<L: Look>(&self, payer: &Payer, look: L) -> Result<L::Found, Failure> {
        let open = match self.shared.opened() {
            Some(open) => open,
            None => self.wait_until_open().await?,
        };
        let mut under_way = UnderWay { transaction: None, look, open };
        let mut ticket = self.turns.ticket(payer.key());
        let runtime = self.runtime.clone().unwrap_or_else(Handle::current);
        loop {
            // SECURITY: the turn lasts as long as the slice, also if the guest is gone.
            let mut lease = ticket.lease().await;
            let (shared, payer) = (self.shared.clone(), payer.clone());
            let slice = runtime.spawn_blocking(move || {
                let before = thread_time();
                let others_wait = || lease.has_others();
                let looked = catch_unwind(AssertUnwindSafe(|| under_way.go_on(others_wait)));
                let used = thread_time().saturating_sub(before);
                payer.charge(used);
                lease.took(used);
                looked.unwrap_or_else(|_| Err(damaged())).map_err(|error| shared.close(&error))
            });
            match slice.await.unwrap_or_else(|_| Err(failed()))? {
                Slice::Found(found) => return found,
                Slice::More(more) => under_way = more,
            }
        }
    }

    /// Lets the thread that writes open the database: an empty change does.
    async fn wait_until_open(&self) -> Result<Open, Failure> {
        let (nobody, change) = (Arc::<str>::from(""), Change::Put(Vec::new()));
        let held = Taken::nothing(Arc::new(Budget::new(0)));
        let (tenant, bucket) = (nobody.clone(), nobody);
        let (done, answer) = oneshot::channel();
        let (owner, payer, quota) = (0, None, 0);
        self.push(Job { owner, tenant, payer, bucket, change, quota, done, _held: held });
        answer.await.unwrap_or_else(|_| Err(failed()))?;
        self.shared.opened().ok_or_else(failed)
    }
}

/// A look-up between two slices. It is dropped before the database is closed after a
/// failure: whoever opens the database again must not find it open.
struct UnderWay<L> {
    transaction: Option<ReadTransaction>,
    look: L,
    open: Open,
}

/// What a slice came to.
enum Slice<L: Look> {
    Found(Result<L::Found, Failure>),
    More(UnderWay<L>),
}

impl<L: Look> UnderWay<L> {
    /// Goes on until something is found, or another look-up waits for a turn.
    fn go_on(mut self, others_wait: impl Fn() -> bool) -> Result<Slice<L>, Error> {
        let transaction = match self.transaction.take() {
            Some(transaction) => transaction,
            None => self.open.database.begin_read()?,
        };
        loop {
            match self.look.go_on(&transaction, self.open.seed)? {
                Ok(Some(found)) => return Ok(Slice::Found(Ok(found))),
                Err(failure) => return Ok(Slice::Found(Err(failure))),
                Ok(None) if others_wait() => {
                    self.transaction = Some(transaction);
                    return Ok(Slice::More(self));
                }
                Ok(None) => {}
            }
        }
    }
}

impl Drop for Redb {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl Shared {
    fn opened(&self) -> Option<Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes until nothing more comes.
    fn run(&self) {
        if let Err(error) = self.open() {
            self.close(&error);
        }
        while let Some(batch) = self.queue.next() {
            // SECURITY: the database may stop at a damaged file; this thread must not.
            let written = catch_unwind(AssertUnwindSafe(|| self.write(&batch)));
            match written.unwrap_or_else(|_| Err(damaged())) {
                Ok(outcomes) => {
                    for (job, outcome) in batch.into_iter().zip(outcomes) {
                        // Who has left does not need to know.
                        let _ = job.done.send(outcome);
                    }
                }
                Err(error) => {
                    let failure = self.close(&error);
                    batch.into_iter().for_each(|job| {
                        let _ = job.done.send(Err(failure.clone()));
                    });
                }
            }
        }
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Makes all changes of a batch in one transaction.
    fn write(&self, batch: &[Job]) -> Result<Vec<Result<Changed, Failure>>, Error> {
        let Open { database, seed } = match self.opened() {
            Some(open) => open,
            None => self.open()?,
        };
        let transaction = database.begin_write()?;
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut changed = false;
        let before = thread_time();
        for job in batch {
            let nothing = matches!(&job.change, Change::Put(pairs) if pairs.is_empty());
            let outcome = match nothing {
                true => Ok(Changed::Done),
                false => changes::apply(&transaction, seed, job)?,
            };
            changed |= !nothing && matches!(outcome, Ok(Changed::Done | Changed::Sum(_)));
            outcomes.push(outcome);
        }
        match changed {
            true => transaction.commit()?,
            false => transaction.abort()?,
        }
        self.told.clear();
        charge(batch, thread_time().saturating_sub(before));
        Ok(outcomes)
    }

    fn open(&self) -> Result<Open, Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let mut file = OpenOptions::new();
        file.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = file.open(self.directory.join(FILE))?;
        // Several processes may have it open: a new one that takes over serves
        // while the old one still ends.
        let database = Builder::new()
            .set_cache_size(CACHE)
            .set_concurrency_mode(ConcurrencyMode::MultiWriter)
            .create_with_backend(FileBackend::new(file)?)?;
        let transaction = database.begin_write()?;
        let seed = Seed::of(&transaction)?;
        transaction.commit()?;
        // The file itself must be there for good, too.
        File::open(&self.directory)?.sync_all()?;
        let open = Open { database: Arc::new(database), seed };
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(open.clone());
        Ok(open)
    }

    /// Closes the database after a failure, so that it is opened again, and says
    /// why; in other words to the guest.
    fn close(&self, error: &Error) -> Failure {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let path = self.directory.join(FILE);
        let (told, log) = match error {
            Error::Io(error)
                if matches!(
                    error.kind(),
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
                ) =>
            {
                ("the store's disk is full", "the disk is full; make room".to_owned())
            }
            Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
                ("the store is damaged", format!("no database: {error}; move it away"))
            }
            Error::Io(error) => (FAILED, explain(error)),
            Error::Corrupted(why) => {
                ("the store is damaged", format!("damaged: {why}; put a copy in its place"))
            }
            Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => (
                "the store is locked",
                "locked by another program that has it open; end that one".to_owned(),
            ),
            error => (FAILED, error.to_string()),
        };
        self.told.say(format!("{}: {log}", path.display()));
        Failure::other(told)
    }
}

/// Charges the CPU time of a batch to those whose changes are in the batch, by their work.
fn charge(batch: &[Job], used: Duration) {
    let work: Duration = batch.iter().map(Job::work).sum();
    for job in batch {
        if let Some(payer) = &job.payer {
            let part = job.work().div_duration_f64(work.max(job.work()));
            payer.charge(used.mul_f64(if part.is_finite() { part } else { 0.0 }));
        }
    }
}

fn failed() -> Failure {
    Failure::other(FAILED)
}

fn damaged() -> Error {
    Error::Corrupted("it could not be read".to_owned())
}
