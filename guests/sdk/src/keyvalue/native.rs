//! Buckets in the memory of a thread, for tests of handlers.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use super::Keys;
use crate::error::Error;

type Pairs = BTreeMap<String, Vec<u8>>;

thread_local! {
    /// Each test has a thread of its own, so tests do not see each other's data.
    static BUCKETS: RefCell<HashMap<String, Pairs>> = RefCell::default();
}

#[derive(Debug)]
pub(super) struct Bucket(String);

pub(super) fn open(name: &str) -> Result<Bucket, Error> {
    Ok(Bucket(name.to_owned()))
}

impl Bucket {
    fn pairs<T>(&self, use_them: impl FnOnce(&mut Pairs) -> T) -> T {
        BUCKETS.with_borrow_mut(|buckets| use_them(buckets.entry(self.0.clone()).or_default()))
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.pairs(|pairs| pairs.get(key).cloned()))
    }

    pub(super) fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    pub(super) fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(self.pairs(|pairs| pairs.contains_key(key)))
    }

    pub(super) fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.pairs(|pairs| pairs.insert(key.to_owned(), value.to_vec()));
        Ok(())
    }

    pub(super) fn set_many(&self, pairs: &[(&str, &[u8])]) -> Result<(), Error> {
        pairs.iter().try_for_each(|(key, value)| self.set(key, value))
    }

    pub(super) fn delete_many(&self, keys: &[&str]) -> Result<(), Error> {
        self.pairs(|pairs| pairs.retain(|key, _| !keys.contains(&key.as_str())));
        Ok(())
    }

    pub(super) fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        let there = self.get(key)?.unwrap_or_else(|| b"0".to_vec());
        let number = str::from_utf8(&there).ok().and_then(|text| text.parse().ok());
        let sum = number.and_then(|number: i64| number.checked_add(delta));
        let sum = sum.ok_or_else(|| Error::internal(format!("{key}: no whole number")))?;
        self.set(key, sum.to_string().as_bytes())?;
        Ok(sum)
    }

    pub(super) fn update(
        &self,
        key: &str,
        change: impl Fn(Option<&[u8]>) -> Vec<u8>,
    ) -> Result<(), Error> {
        let value = change(self.get(key)?.as_deref());
        self.set(key, &value)
    }

    pub(super) fn keys(&self, _next: Option<&str>) -> Result<Keys, Error> {
        Ok(Keys { keys: self.pairs(|pairs| pairs.keys().cloned().collect()), next: None })
    }
}
