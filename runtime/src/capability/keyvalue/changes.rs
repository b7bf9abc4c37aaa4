//! Changes within a transaction of the database. A bucket is a
//! table of its own; its pairs are in the order of a keyed hash of their keys,
//! so that a number is a place in a listing that stays, whatever comes and goes.

use redb::{Error, ReadableTable, TableDefinition, WriteTransaction};
use sha2::{Digest, Sha256};

use super::queue::Job;
use super::{Change, Changed, Failure, cost, no_number, over_quota};

pub(super) type Pairs<'a> = TableDefinition<'a, (u64, &'static str), &'static [u8]>;

/// What each tenant's data costs, in bytes.
const USED: TableDefinition<'_, &str, u64> = TableDefinition::new("used");

/// What keys are hashed with. SECURITY: nobody can make keys whose hashes are
/// the same, which would be one page however many they are.
#[derive(Clone, Copy)]
pub(super) struct Seed([u8; 16]);

const SEED: TableDefinition<'_, &str, [u8; 16]> = TableDefinition::new("seed");

impl Seed {
    /// The database's own, made when there is none.
    pub(super) fn of(transaction: &WriteTransaction) -> Result<Seed, Error> {
        let mut table = transaction.open_table(SEED)?;
        let there = table.get("seed")?.map(|seed| seed.value());
        let seed = there.unwrap_or_else(random);
        if there.is_none() {
            table.insert("seed", seed)?;
        }
        Ok(Seed(seed))
    }

    pub(super) fn hash(self, key: &str) -> u64 {
        let digest = Sha256::new().chain_update(self.0).chain_update(key).finalize();
        digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
    }
}

/// Bytes that nobody can guess: hashers have random keys.
fn random() -> [u8; 16] {
    use std::hash::{BuildHasher, RandomState};
    let number = || RandomState::new().hash_one("seed").to_ne_bytes();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(number().into_iter().chain(number())).for_each(|(to, from)| *to = from);
    bytes
}

/// The table of a bucket. Neither name has a slash in it.
pub(super) fn table(tenant: &str, bucket: &str) -> String {
    format!("pairs/{tenant}/{bucket}")
}

/// Makes a change, or none of it.
pub(super) fn apply(
    transaction: &WriteTransaction,
    seed: Seed,
    job: &Job,
) -> Result<Result<Changed, Failure>, Error> {
    let name = table(&job.tenant, &job.bucket);
    let mut pairs = transaction.open_table(Pairs::new(&name))?;
    let place = |key| (seed.hash(key), key);
    let (put, changed) = match &job.change {
        Change::Put(pairs) => {
            let put = pairs.iter().map(|(key, value)| (key.as_str(), value.as_deref()));
            (put.map(|(key, value)| (key, value.map(<[u8]>::to_vec))).collect(), Changed::Done)
        }
        Change::Increment(key, delta) => {
            let there = pairs.get(place(key))?;
            let Some(sum) = sum(there.as_ref().map(|value| value.value()), *delta) else {
                return Ok(Err(no_number()));
            };
            (vec![(key.as_str(), Some(sum.to_string().into_bytes()))], Changed::Sum(sum))
        }
        Change::Swap { key, seen, value } => {
            let there = pairs.get(place(key))?;
            if there.as_ref().map(|value| value.value()) != seen.as_deref() {
                return Ok(Ok(Changed::NotSwapped));
            }
            (vec![(key.as_str(), Some(value.clone()))], Changed::Done)
        }
    };
    let mut used = transaction.open_table(USED)?;
    let before = used.get(&*job.tenant)?.map_or(0, |used| used.value());
    let mut after = before;
    for (key, value) in &put {
        let there = pairs.get(place(key))?;
        after = after.saturating_sub(there.map_or(0, |there| cost(key, there.value())));
        after = after.saturating_add(value.as_deref().map_or(0, |value| cost(key, value)));
    }
    // Who is over a quota that was lowered may still make it less.
    if after > job.quota && after > before {
        return Ok(Err(over_quota(job.quota)));
    }
    for (key, value) in &put {
        match value {
            Some(value) => pairs.insert(place(key), value.as_slice())?,
            None => pairs.remove(place(key))?,
        };
    }
    used.insert(&*job.tenant, after)?;
    Ok(Ok(changed))
}

/// A number in decimal digits, and another one.
fn sum(there: Option<&[u8]>, delta: i64) -> Option<i64> {
    let number = match there {
        Some(text) => str::from_utf8(text).ok()?.parse().ok()?,
        None => 0_i64,
    };
    number.checked_add(delta)
}
