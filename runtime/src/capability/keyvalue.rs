//! Key-value data of `wasi:keyvalue`: buckets of a tenant, in the server's own
//! database or in Redis, within the tenant's limits.

mod changes;
mod link;
mod look;
mod payer;
mod queue;
mod redb;
mod redis;
mod told;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::observe::ServerLog;
use crate::request::Request;
use crate::tenant::{Lack, Taken, Tenant};
pub(crate) use link::{View, link};
use look::{Exists, Listing, Reading};
use payer::Payer;

/// The longest key, in bytes.
const KEY: usize = 1 << 10;
/// Keys that one call may name, and that one page of a listing has.
const KEYS: usize = 1_000;
/// What one call hands over or returns, in bytes, unless one value may be larger.
const AT_ONCE: usize = 4 << 20;
/// What each pair costs of the tenant's quota beside its key and value, in
/// bytes: pairs without a value are not free.
const PAIR: usize = 64;
/// What each change that waits costs of the tenant's memory beside its data, in
/// bytes.
const WAITING: usize = 1 << 10;

/// The bucket that an empty name means, for components that know only one.
const DEFAULT: &str = "default";

/// Why an operation failed, in words for the guest. What it has to do with the
/// server's files or addresses stands in the server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    NoSuchStore,
    AccessDenied,
    Other(String),
}

impl Failure {
    fn other(why: impl Into<String>) -> Failure {
        Failure::Other(why.into())
    }

    fn lack(lack: &Lack) -> Failure {
        Failure::other(format!("there is no memory for it: {lack}"))
    }
}

/// Where a tenant's data is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// A database in this directory.
    Directory(PathBuf),
    /// A server of Redis, by its URL, which may have a password in it.
    Redis(String),
}

/// Data of tenants.
#[derive(Clone)]
enum Store {
    Redb(Arc<redb::Redb>),
    Redis(Arc<redis::Redis>),
}

/// All stores that are used, each once, however often the site is loaded.
pub(crate) struct Stores {
    known: Mutex<Known>,
    /// Where stores that fail are reported.
    log: Arc<ServerLog>,
}

#[derive(Default)]
struct Known {
    redb: HashMap<PathBuf, Weak<redb::Redb>>,
    redis: HashMap<String, Weak<redis::Redis>>,
}

impl Stores {
    pub(crate) fn new(log: Arc<ServerLog>) -> Stores {
        Stores { known: Mutex::default(), log }
    }

    /// What a tenant's apps may open there. `all` are the buckets that any of
    /// them was granted.
    ///
    /// # Errors
    /// The place is none: a sentence says why.
    pub(crate) fn tenant(
        &self,
        place: &Place,
        tenant: &Arc<Tenant>,
        all: BTreeSet<String>,
    ) -> Result<Granted, String> {
        let granted = BTreeSet::new();
        if all.is_empty() {
            return Ok(Granted::default());
        }
        let store = self.store(place)?;
        Ok(Granted(Some(Arc::new(Inner { store, tenant: tenant.clone(), all, granted }))))
    }

    fn store(&self, place: &Place) -> Result<Store, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.redb.retain(|_, store| store.strong_count() > 0);
        known.redis.retain(|_, store| store.strong_count() > 0);
        match place {
            Place::Directory(path) => {
                if let Some(store) = known.redb.get(path).and_then(Weak::upgrade) {
                    return Ok(Store::Redb(store));
                }
                let store = Arc::new(redb::Redb::new(path.clone(), self.log.clone()));
                known.redb.insert(path.clone(), Arc::downgrade(&store));
                Ok(Store::Redb(store))
            }
            Place::Redis(url) => {
                if let Some(store) = known.redis.get(url).and_then(Weak::upgrade) {
                    return Ok(Store::Redis(store));
                }
                let store = Arc::new(redis::Redis::new(url, self.log.clone())?);
                known.redis.insert(url.clone(), Arc::downgrade(&store));
                Ok(Store::Redis(store))
            }
        }
    }

    /// Opens what is used, so that what is wrong with it is told now and not at
    /// the first request.
    pub(crate) fn open(&self) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.redb.values().filter_map(Weak::upgrade).for_each(|store| store.start());
        known.redis.values().filter_map(Weak::upgrade).for_each(|store| store.start());
    }
}

/// The buckets that an app may open.
#[derive(Clone, Default)]
pub(crate) struct Granted(Option<Arc<Inner>>);

struct Inner {
    store: Store,
    tenant: Arc<Tenant>,
    /// The buckets of the tenant.
    all: BTreeSet<String>,
    /// Those of the app.
    granted: BTreeSet<String>,
}

impl Granted {
    /// The same for an app that was granted these buckets.
    pub(crate) fn only(&self, granted: BTreeSet<String>) -> Granted {
        let Some(inner) = &self.0 else { return Granted::default() };
        Granted(Some(Arc::new(Inner {
            store: inner.store.clone(),
            tenant: inner.tenant.clone(),
            all: inner.all.clone(),
            granted,
        })))
    }

    fn open(&self, name: &str) -> Result<Bucket, Failure> {
        let inner = self.0.as_ref().ok_or(Failure::NoSuchStore)?;
        let name = if name.is_empty() { DEFAULT } else { name };
        if inner.granted.contains(name) {
            let (store, tenant) = (inner.store.clone(), inner.tenant.clone());
            return Ok(Bucket { store, tenant, name: name.into(), request: None });
        }
        let known = inner.all.contains(name);
        Err(if known { Failure::AccessDenied } else { Failure::NoSuchStore })
    }
}

/// Pairs of a tenant. Its name is part of where they are; a key is only ever
/// data.
#[derive(Clone)]
struct Bucket {
    store: Store,
    tenant: Arc<Tenant>,
    name: Arc<str>,
    /// Whose request asks.
    request: Option<Arc<Request>>,
}

/// What is to be changed, in one step.
#[derive(Debug)]
enum Change {
    /// Pairs to set; those without a value are deleted. Each key is there once.
    Put(Vec<(String, Option<Vec<u8>>)>),
    Increment(String, i64),
    /// Sets a value if the one that is there is the one that was seen.
    Swap {
        key: String,
        seen: Option<Arc<[u8]>>,
        value: Vec<u8>,
    },
}

/// What has become of a change.
#[derive(Debug, PartialEq, Eq)]
enum Changed {
    Done,
    Sum(i64),
    /// The value was not the one that was seen.
    NotSwapped,
}

/// Values that were read, and the tenant's memory that they take up.
struct Values {
    values: Vec<Option<Vec<u8>>>,
    held: Taken,
}

/// Keys, where the next ones start, and the tenant's memory that the keys take up.
struct Page {
    keys: Vec<String>,
    cursor: Option<u64>,
    held: Option<Taken>,
}

impl Bucket {
    async fn read(&self, keys: Vec<String>) -> Result<Values, Failure> {
        self.check_keys(keys.iter().map(String::as_str))?;
        let most = self.at_once();
        let held = self.hold(keys.iter().map(String::len).sum())?;
        let (payer, place) = (self.payer(), (&*self.tenant.name, &*self.name));
        match &self.store {
            Store::Redb(store) => store.look(&payer, Reading::new(place, keys, most, held)).await,
            Store::Redis(store) => {
                let values = store.read(&payer, place, &keys, most).await?;
                let held = self.hold(values.iter().flatten().map(Vec::len).sum())?;
                Ok(Values { values, held })
            }
        }
    }

    async fn read_one(&self, key: String) -> Result<Values, Failure> {
        self.read(vec![key]).await
    }

    async fn exists(&self, key: String) -> Result<bool, Failure> {
        self.check_keys([key.as_str()])?;
        let (payer, place) = (self.payer(), (&*self.tenant.name, &*self.name));
        match &self.store {
            Store::Redb(store) => store.look(&payer, Exists::new(place, key)).await,
            Store::Redis(store) => store.exists(&payer, place, &key).await,
        }
    }

    async fn list(&self, cursor: Option<u64>) -> Result<Page, Failure> {
        let (payer, place) = (self.payer(), (&*self.tenant.name, &*self.name));
        match &self.store {
            Store::Redb(store) => {
                store.look(&payer, Listing::new(place, cursor, self.hold(0)?)).await
            }
            Store::Redis(store) => {
                let (keys, cursor) = store.list(&payer, place, cursor).await?;
                let held = self.hold(keys.iter().map(String::len).sum())?;
                Ok(Page { keys, cursor, held: Some(held) })
            }
        }
    }

    fn payer(&self) -> Payer {
        Payer::new(self.tenant.clone(), self.request.clone())
    }

    async fn put(&self, pairs: Vec<(String, Option<Vec<u8>>)>) -> Result<(), Failure> {
        if pairs.len() > KEYS {
            return Err(too_many());
        }
        // Of a key that is there twice, the last value counts.
        let pairs: HashMap<String, Option<Vec<u8>>> = pairs.into_iter().collect();
        if !pairs.is_empty() {
            self.change(Change::Put(pairs.into_iter().collect())).await?;
        }
        Ok(())
    }

    async fn increment(&self, key: String, delta: i64) -> Result<i64, Failure> {
        match self.change(Change::Increment(key, delta)).await? {
            Changed::Sum(sum) => Ok(sum),
            Changed::Done | Changed::NotSwapped => Err(Failure::other("there is no sum")),
        }
    }

    /// Makes a change that is there for good when this returns.
    async fn change(&self, change: Change) -> Result<Changed, Failure> {
        self.check_keys(change.keys())?;
        let most = self.tenant.limits.value;
        if change.values().any(|value| value.len() > most) {
            return Err(Failure::other(format!(
                "the value is larger than {most} bytes (the limit `value`)"
            )));
        }
        let size = change.size();
        if size > self.at_once() {
            return Err(too_much(self.at_once()));
        }
        let held = self.hold(size + WAITING)?;
        let quota = self.tenant.limits.key_value as u64;
        let payer = self.payer();
        match &self.store {
            Store::Redb(store) => {
                store.change(&payer, (&self.tenant.name, &self.name), change, quota, held).await
            }
            Store::Redis(store) => {
                store.change(&payer, (&self.tenant.name, &self.name), &change, quota).await
            }
        }
    }

    fn check_keys<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Result<(), Failure> {
        let mut count = 0;
        for key in keys {
            count += 1;
            if key.len() > KEY {
                return Err(Failure::other(format!("the key is longer than {KEY} bytes")));
            }
        }
        if count > KEYS { Err(too_many()) } else { Ok(()) }
    }

    fn at_once(&self) -> usize {
        AT_ONCE.max(self.tenant.limits.value.saturating_add(KEY))
    }

    /// Takes up some of the tenant's memory.
    fn hold(&self, bytes: usize) -> Result<Taken, Failure> {
        let mut held = Taken::nothing(self.tenant.memory.clone());
        held.more(bytes).map_err(|lack| Failure::lack(&lack))?;
        Ok(held)
    }
}

impl Change {
    fn keys(&self) -> Vec<&str> {
        match self {
            Change::Put(pairs) => pairs.iter().map(|(key, _)| key.as_str()).collect(),
            Change::Increment(key, _) | Change::Swap { key, .. } => vec![key],
        }
    }

    fn values(&self) -> impl Iterator<Item = &[u8]> {
        let (pairs, one) = match self {
            Change::Put(pairs) => (pairs.as_slice(), None),
            Change::Increment(..) => (&[][..], None),
            Change::Swap { value, .. } => (&[][..], Some(value.as_slice())),
        };
        pairs.iter().filter_map(|(_, value)| value.as_deref()).chain(one)
    }

    fn size(&self) -> usize {
        let keys: usize = self.keys().iter().map(|key| key.len()).sum();
        keys + self.values().map(<[u8]>::len).sum::<usize>()
    }
}

/// What a pair costs of the tenant's quota, in bytes.
fn cost(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len() + PAIR) as u64
}

const FAILED: &str = "the store failed; the server's log says why";

fn too_many() -> Failure {
    Failure::other(format!("more than {KEYS} keys in one call"))
}

fn too_much(most: usize) -> Failure {
    Failure::other(format!("more than {most} bytes in one call; name fewer keys"))
}

fn over_quota(quota: u64) -> Failure {
    Failure::other(format!("the tenant's data would be over {quota} bytes (the limit `key-value`)"))
}

fn no_number() -> Failure {
    Failure::other("the value is no whole number that could be added to")
}
