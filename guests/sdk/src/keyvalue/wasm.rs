//! Buckets of the server, by `wasi:keyvalue`.

use super::Keys;
use crate::capabilities::wasi::keyvalue0_2_0_draft2::atomics::{Cas, CasError, increment, swap};
use crate::capabilities::wasi::keyvalue0_2_0_draft2::{batch, store};
use crate::error::Error;

#[derive(Debug)]
pub(super) struct Bucket {
    name: String,
    bucket: store::Bucket,
}

pub(super) fn open(name: &str) -> Result<Bucket, Error> {
    let bucket = store::open(name).map_err(|error| explain(name, error))?;
    Ok(Bucket { name: name.to_owned(), bucket })
}

fn explain(name: &str, error: store::Error) -> Error {
    Error::internal(match error {
        store::Error::Other(why) => format!("the bucket {name}: {why}"),
        store::Error::AccessDenied | store::Error::NoSuchStore => format!(
            "the app was not granted the bucket {name}; start the server with --keyvalue {name}, \
             or name it in grants.keyvalue of the route"
        ),
    })
}

impl Bucket {
    fn ok<T>(&self, result: Result<T, store::Error>) -> Result<T, Error> {
        result.map_err(|error| explain(&self.name, error))
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.ok(self.bucket.get(key))
    }

    pub(super) fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let pairs = self.ok(batch::get_many(&self.bucket, &keys))?;
        Ok(pairs.into_iter().map(|pair| pair.map(|(_, value)| value)).collect())
    }

    pub(super) fn exists(&self, key: &str) -> Result<bool, Error> {
        self.ok(self.bucket.exists(key))
    }

    pub(super) fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.ok(self.bucket.set(key, value))
    }

    pub(super) fn set_many(&self, pairs: &[(&str, &[u8])]) -> Result<(), Error> {
        let owned = |(key, value): &(&str, &[u8])| ((*key).to_owned(), value.to_vec());
        let pairs: Vec<(String, Vec<u8>)> = pairs.iter().map(owned).collect();
        self.ok(batch::set_many(&self.bucket, &pairs))
    }

    pub(super) fn delete_many(&self, keys: &[&str]) -> Result<(), Error> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        self.ok(batch::delete_many(&self.bucket, &keys))
    }

    pub(super) fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        self.ok(increment(&self.bucket, key, delta))
    }

    pub(super) fn update(
        &self,
        key: &str,
        change: impl Fn(Option<&[u8]>) -> Vec<u8>,
    ) -> Result<(), Error> {
        let mut cas = self.ok(Cas::new(&self.bucket, key))?;
        loop {
            let value = change(self.ok(cas.current())?.as_deref());
            match swap(cas, &value) {
                Ok(()) => return Ok(()),
                Err(CasError::CasFailed(newer)) => cas = newer,
                Err(CasError::StoreError(error)) => return Err(explain(&self.name, error)),
            }
        }
    }

    pub(super) fn keys(&self, next: Option<&str>) -> Result<Keys, Error> {
        let page = self.ok(self.bucket.list_keys(next))?;
        Ok(Keys { keys: page.keys, next: page.cursor })
    }
}
