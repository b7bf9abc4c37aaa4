//! Buckets of key-value data that the app was granted (`--keyvalue BUCKET`).
//!
//! ```
//! use myweb::{Env, Error, handler, keyvalue};
//!
//! #[handler]
//! fn application(_env: Env) -> Result<String, Error> {
//!     let visits = keyvalue::open("visits")?.increment("n", 1)?;
//!     Ok(format!("visit {visits}\n"))
//! }
//!
//! // Natively, a bucket lives in the memory of the thread, so a test calls it.
//! assert_eq!(application(Env::get("/")).unwrap(), "visit 1\n");
//! assert_eq!(application(Env::get("/")).unwrap(), "visit 2\n");
//! ```
//!
//! What is changed is there for good when the call returns, and whole: others see
//! it all or nothing of it. The tenant's limits bound a value, and all of its data.

use crate::error::Error;
#[cfg(not(target_arch = "wasm32"))]
use native as store;
#[cfg(target_arch = "wasm32")]
use wasm as store;

#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(target_arch = "wasm32")]
mod wasm;

/// Pairs of a key and a value.
#[derive(Debug)]
pub struct Bucket(store::Bucket);

/// A page of a bucket's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Some keys, in no particular order.
    pub keys: Vec<String>,
    /// What to ask for to get the next page; none on the last.
    pub next: Option<String>,
}

/// Opens a bucket that the app was granted.
///
/// # Errors
/// The app was not granted it. Natively, every bucket is there, and empty.
pub fn open(name: &str) -> Result<Bucket, Error> {
    store::open(name).map(Bucket)
}

/// All of them fail if the store does, or if a limit is passed; with `?` that
/// answers 500, and the cause is in the log.
impl Bucket {
    /// The value of a key; none if there is no such key.
    ///
    /// # Errors
    /// The store failed.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.0.get(key)
    }

    /// The values of several keys, in their order.
    ///
    /// # Errors
    /// The store failed, or the values are too large together.
    pub fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.0.get_many(keys)
    }

    /// Whether there is such a key.
    ///
    /// # Errors
    /// The store failed.
    pub fn exists(&self, key: &str) -> Result<bool, Error> {
        self.0.exists(key)
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// The store failed, or a limit is passed.
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.0.set(key, value.as_ref())
    }

    /// Sets the values of several keys, all or none.
    ///
    /// # Errors
    /// The store failed, or a limit is passed.
    pub fn set_many(&self, pairs: &[(&str, &[u8])]) -> Result<(), Error> {
        self.0.set_many(pairs)
    }

    /// Deletes a key, if it is there.
    ///
    /// # Errors
    /// The store failed.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        self.0.delete_many(&[key])
    }

    /// Deletes several keys, all or none.
    ///
    /// # Errors
    /// The store failed.
    pub fn delete_many(&self, keys: &[&str]) -> Result<(), Error> {
        self.0.delete_many(keys)
    }

    /// Adds to the whole number that a key's value is, in decimal digits, and
    /// returns the sum. A key that is not there is 0. However many requests add at
    /// the same time, each counts.
    ///
    /// # Errors
    /// The store failed, or the value is no number.
    pub fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        self.0.increment(key, delta)
    }

    /// Changes a value by what it was, as often as it takes until nobody else has
    /// changed it meanwhile.
    ///
    /// ```
    /// let list = myweb::keyvalue::open("lists").unwrap();
    /// let add = |old: Option<&[u8]>| [old.unwrap_or_default(), b"milk\n"].concat();
    /// list.update("shopping", add).unwrap();
    /// list.update("shopping", add).unwrap();
    /// assert_eq!(list.get("shopping").unwrap().unwrap(), b"milk\nmilk\n");
    /// ```
    ///
    /// # Errors
    /// The store failed, or a limit is passed.
    pub fn update(
        &self,
        key: &str,
        change: impl Fn(Option<&[u8]>) -> Vec<u8>,
    ) -> Result<(), Error> {
        self.0.update(key, change)
    }

    /// The first page of the keys, or the one that `next` of a page names. A key
    /// that is there all the while is listed.
    ///
    /// # Errors
    /// The store failed.
    pub fn keys(&self, next: Option<&str>) -> Result<Keys, Error> {
        self.0.keys(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_keeps_what_is_set_until_it_is_deleted() {
        let bucket = open("b").unwrap();
        bucket.set("a", "1").unwrap();
        bucket.set_many(&[("b", b"2"), ("c", b"3")]).unwrap();
        let values = bucket.get_many(&["a", "b", "none"]).unwrap();
        assert_eq!(values, [Some(b"1".to_vec()), Some(b"2".to_vec()), None]);
        assert!(bucket.exists("c").unwrap());
        bucket.delete("c").unwrap();
        assert!(!bucket.exists("c").unwrap());
        assert_eq!(bucket.keys(None).unwrap().keys, ["a", "b"]);
        assert_eq!(open("other").unwrap().get("a").unwrap(), None);
    }

    #[test]
    fn what_is_no_number_cannot_be_added_to() {
        let bucket = open("b").unwrap();
        assert_eq!(bucket.increment("n", 2).unwrap(), 2);
        assert_eq!(bucket.increment("n", -5).unwrap(), -3);
        bucket.set("n", "many").unwrap();
        assert!(bucket.increment("n", 1).is_err());
    }
}
