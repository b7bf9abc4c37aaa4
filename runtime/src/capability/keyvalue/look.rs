//! Look-ups in slices: between two of them, other look-ups have their turn. All slices of
//! a look-up see the same state of the database.

use redb::{Error, ReadTransaction, TableError};

use super::changes::{Pairs, Seed, table};
use super::{Failure, KEYS, Page, Values, too_much};
use crate::tenant::Taken;

/// What a slice looks up: so many keys, or so many bytes.
const SLICE: usize = 64;
const SLICE_BYTES: usize = 256 << 10;

/// What a value or key costs of the tenant's memory beside its bytes.
const BESIDE: usize = 24;

/// What a slice came to: a result, or none yet; or the guest's own mistake.
pub(super) type Step<T> = Result<Result<Option<T>, Failure>, Error>;

/// A look-up.
pub(super) trait Look: Send + 'static {
    type Found: Send + 'static;

    /// Looks up the next slice.
    fn go_on(&mut self, transaction: &ReadTransaction, seed: Seed) -> Step<Self::Found>;
}

/// The values of keys.
pub(super) struct Reading {
    table: String,
    keys: Vec<String>,
    /// The most bytes of all values together.
    most: usize,
    bytes: usize,
    values: Vec<Option<Vec<u8>>>,
    /// The tenant's memory that keys and values take up.
    held: Taken,
}

/// Whether a key is there.
pub(super) struct Exists {
    table: String,
    key: String,
}

/// A page of keys.
pub(super) struct Listing {
    table: String,
    /// Where the page goes on; none at the end of all places.
    next: Option<u64>,
    keys: Vec<String>,
    held: Taken,
}

impl Reading {
    pub(super) fn new(place: (&str, &str), keys: Vec<String>, most: usize, held: Taken) -> Reading {
        let values = Vec::with_capacity(keys.len());
        Reading { table: table(place.0, place.1), keys, most, bytes: 0, values, held }
    }

    fn found(&mut self) -> Values {
        let held = self.held.split();
        Values { values: std::mem::take(&mut self.values), held }
    }
}

impl Look for Reading {
    type Found = Values;

    fn go_on(&mut self, transaction: &ReadTransaction, seed: Seed) -> Step<Values> {
        let pairs = match transaction.open_table(Pairs::new(&self.table)) {
            Err(TableError::TableDoesNotExist(_)) => {
                self.values.resize(self.keys.len(), None);
                return Ok(Ok(Some(self.found())));
            }
            opened => opened?,
        };
        let (begun, before) = (self.values.len(), self.bytes);
        while let Some(key) = self.keys.get(self.values.len()) {
            if self.values.len() - begun >= SLICE || self.bytes - before >= SLICE_BYTES {
                return Ok(Ok(None));
            }
            let value = pairs.get((seed.hash(key), key.as_str()))?;
            let length = value.as_ref().map_or(0, |value| value.value().len());
            self.bytes += length;
            if self.bytes > self.most {
                return Ok(Err(too_much(self.most)));
            }
            if let Err(lack) = self.held.more(length + BESIDE) {
                return Ok(Err(Failure::lack(&lack)));
            }
            self.values.push(value.map(|value| value.value().to_vec()));
        }
        Ok(Ok(Some(self.found())))
    }
}

impl Exists {
    pub(super) fn new(place: (&str, &str), key: String) -> Exists {
        Exists { table: table(place.0, place.1), key }
    }
}

impl Look for Exists {
    type Found = bool;

    fn go_on(&mut self, transaction: &ReadTransaction, seed: Seed) -> Step<bool> {
        let key = self.key.as_str();
        match transaction.open_table(Pairs::new(&self.table)) {
            Err(TableError::TableDoesNotExist(_)) => Ok(Ok(Some(false))),
            opened => Ok(Ok(Some(opened?.get((seed.hash(key), key))?.is_some()))),
        }
    }
}

impl Listing {
    /// The keys behind a place.
    pub(super) fn new(place: (&str, &str), cursor: Option<u64>, held: Taken) -> Listing {
        let next = cursor.map_or(Some(0), |cursor| cursor.checked_add(1));
        Listing { table: table(place.0, place.1), next, keys: Vec::new(), held }
    }

    fn found(&mut self, cursor: Option<u64>) -> Page {
        let held = self.held.split();
        Page { keys: std::mem::take(&mut self.keys), cursor, held: Some(held) }
    }
}

impl Look for Listing {
    type Found = Page;

    fn go_on(&mut self, transaction: &ReadTransaction, _: Seed) -> Step<Page> {
        let pairs = match transaction.open_table(Pairs::new(&self.table)) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Ok(Some(self.found(None)))),
            opened => opened?,
        };
        let Some(mut last) = self.next else { return Ok(Ok(Some(self.found(None)))) };
        let begun = self.keys.len();
        for pair in pairs.range((last, "")..)? {
            let (place, _) = pair?;
            let (hash, key) = place.value();
            // Keys of the same place are of the same page, and of the same slice.
            if hash != last {
                if self.keys.len() >= KEYS {
                    return Ok(Ok(Some(self.found(Some(last)))));
                }
                if self.keys.len() - begun >= SLICE {
                    self.next = Some(hash);
                    return Ok(Ok(None));
                }
            }
            last = hash;
            if let Err(lack) = self.held.more(key.len() + BESIDE) {
                return Ok(Err(Failure::lack(&lack)));
            }
            self.keys.push(key.to_owned());
        }
        Ok(Ok(Some(self.found(None))))
    }
}
