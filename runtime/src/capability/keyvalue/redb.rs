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

use redb::backends::FileBackend;
use redb::{Builder, ConcurrencyMode, Database, Error, ReadTransaction, ReadableDatabase};
use tokio::sync::{Semaphore, oneshot};

use super::changes::{self, Seed};
use super::queue::{Job, Queue};
use super::told::Told;
use super::{Change, Changed, FAILED, Failure, Page, too_much};
use crate::error::explain;
use crate::observe::{ServerLog, Severity};
use crate::tenant::{Budget, Taken};

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
    readers: Arc<Semaphore>,
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
        let readers = Arc::new(Semaphore::new(READERS));
        Redb { shared: Arc::new(shared), started: AtomicBool::new(false), readers }
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
        tenant: &Arc<str>,
        bucket: &Arc<str>,
        change: Change,
        quota: u64,
        held: Taken,
    ) -> Result<Changed, Failure> {
        self.start();
        let (tenant, bucket) = (tenant.clone(), bucket.clone());
        let (done, answer) = oneshot::channel();
        self.shared.queue.push(Job { tenant, bucket, change, quota, done, held });
        answer.await.unwrap_or_else(|_| Err(failed()))
    }

    pub(super) async fn read(
        &self,
        tenant: &Arc<str>,
        bucket: &Arc<str>,
        keys: Vec<String>,
        most: usize,
    ) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        let place = (tenant.clone(), bucket.clone());
        let values = self.look(move |transaction, seed| {
            changes::read(transaction, seed, (&place.0, &place.1), &keys, most)
        });
        values.await?.ok_or_else(|| too_much(most))
    }

    pub(super) async fn exists(
        &self,
        tenant: &Arc<str>,
        bucket: &Arc<str>,
        key: String,
    ) -> Result<bool, Failure> {
        let place = (tenant.clone(), bucket.clone());
        let exists = self.look(move |transaction, seed| {
            changes::exists(transaction, seed, (&place.0, &place.1), &key)
        });
        exists.await
    }

    pub(super) async fn list(
        &self,
        tenant: &Arc<str>,
        bucket: &Arc<str>,
        cursor: Option<u64>,
    ) -> Result<Page, Failure> {
        let place = (tenant.clone(), bucket.clone());
        let page = self
            .look(move |transaction, _| changes::list(transaction, (&place.0, &place.1), cursor));
        page.await
    }

    /// Looks something up, on a thread that may wait for the disk.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&ReadTransaction, Seed) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Failure> {
        let Open { database, seed } = match self.shared.opened() {
            Some(open) => open,
            None => self.wait_until_open().await?,
        };
        let permit = self.readers.clone().acquire_owned().await.map_err(|_| failed())?;
        let shared = self.shared.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let looked = catch_unwind(AssertUnwindSafe(|| look(&database.begin_read()?, seed)));
            // Whoever opens it again must not find it open.
            drop(database);
            looked.unwrap_or_else(|_| Err(damaged())).map_err(|error| shared.close(&error))
        });
        looking.await.unwrap_or_else(|_| Err(failed()))
    }

    /// Lets the thread that writes open the database: an empty change does.
    async fn wait_until_open(&self) -> Result<Open, Failure> {
        let (nobody, nothing) = (Arc::from(""), Change::Put(Vec::new()));
        let held = Taken::nothing(Arc::new(Budget::new(0)));
        self.change(&nobody, &nobody, nothing, 0, held).await?;
        self.shared.opened().ok_or_else(failed)
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

fn failed() -> Failure {
    Failure::other(FAILED)
}

fn damaged() -> Error {
    Error::Corrupted("it could not be read".to_owned())
}
