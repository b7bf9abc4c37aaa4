//! The functions of `wasi:keyvalue`, in both of its drafts: that of wasmtime and
//! wasmCloud, and that of Spin, which differ in the types of cursors and of
//! increments, and in `swap`.

use std::sync::Arc;

use wasmtime::component::{
    ComponentNamedList, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource,
    ResourceTable, ResourceTableError, ResourceType,
};

use super::{Bucket, Change, Changed, Failure, Granted, Page};
use crate::request::Request;
use crate::tenant::Taken;

/// What these functions need of a store.
pub(crate) struct View<'a> {
    pub(crate) granted: &'a Granted,
    pub(crate) table: &'a mut ResourceTable,
    /// Memory that is taken up until the guest has what it is given.
    pub(crate) given: &'a mut Option<Taken>,
    /// The request that pays.
    pub(crate) request: Option<&'a Arc<Request>>,
}

impl View<'_> {
    /// A bucket, for the request that is served.
    fn bucket(&self, bucket: &Resource<Bucket>) -> Result<Bucket, ResourceTableError> {
        let bucket = self.table.get(bucket)?.clone();
        Ok(Bucket { request: self.request.cloned(), ..bucket })
    }
}

/// How they find it.
type Of<T> = fn(&mut T) -> View<'_>;

/// `variant error`.
#[derive(ComponentType, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

/// `variant cas-error`.
#[derive(ComponentType, Lower)]
#[component(variant)]
enum CasError {
    #[component(name = "store-error")]
    StoreError(Error),
    #[component(name = "cas-failed")]
    CasFailed(Resource<Cas>),
}

/// `record key-response` of the first draft.
#[derive(ComponentType, Lower)]
#[component(record)]
struct KeyResponse {
    keys: Vec<String>,
    cursor: Option<u64>,
}

/// The same of the second.
#[derive(ComponentType, Lower)]
#[component(record)]
struct KeyResponse2 {
    keys: Vec<String>,
    cursor: Option<String>,
}

/// A look at a value, and the tenant's memory that it takes up.
struct Cas {
    bucket: Bucket,
    key: String,
    seen: Option<Arc<[u8]>>,
    _held: Taken,
}

type Answer<R> = (Result<R, Error>,);
type Pairs = Vec<(String, Vec<u8>)>;

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::NoSuchStore => Error::NoSuchStore,
            Failure::AccessDenied => Error::AccessDenied,
            Failure::Other(why) => Error::Other(why),
        }
    }
}

/// Links both drafts.
///
/// # Errors
/// A name is taken, which is a mistake in this function.
pub(crate) fn link<T: Send + 'static>(linker: &mut Linker<T>, of: Of<T>) -> wasmtime::Result<()> {
    let mut store = linker.instance("wasi:keyvalue/store@0.2.0-draft")?;
    link_store(&mut store, of)?;
    give(&mut store, "[method]bucket.list-keys", of, async |bucket, (_, cursor): List| {
        let Page { keys, cursor, held } = bucket.list(cursor).await?;
        Ok((KeyResponse { keys, cursor }, held))
    })?;
    let mut atomics = linker.instance("wasi:keyvalue/atomics@0.2.0-draft")?;
    call(&mut atomics, "increment", of, async |bucket, (_, key, delta): Add<u64>| {
        let range = |_| Failure::other("the number is out of range");
        let sum = bucket.increment(key, i64::try_from(delta).map_err(range)?).await?;
        u64::try_from(sum).map_err(range)
    })?;
    link_batch(&mut linker.instance("wasi:keyvalue/batch@0.2.0-draft")?, of)?;

    let mut store = linker.instance("wasi:keyvalue/store@0.2.0-draft2")?;
    link_store(&mut store, of)?;
    give(&mut store, "[method]bucket.list-keys", of, async |bucket, (_, cursor): List2| {
        let number = cursor.map(|cursor| cursor.parse()).transpose();
        let number = number.map_err(|_| Failure::other("the cursor is none that was given"));
        let Page { keys, cursor, held } = bucket.list(number?).await?;
        Ok((KeyResponse2 { keys, cursor: cursor.map(|cursor| cursor.to_string()) }, held))
    })?;
    let mut atomics = linker.instance("wasi:keyvalue/atomics@0.2.0-draft2")?;
    call(&mut atomics, "increment", of, async |bucket, (_, key, delta): Add<i64>| {
        bucket.increment(key, delta).await
    })?;
    link_swap(&mut atomics, of)?;
    link_batch(&mut linker.instance("wasi:keyvalue/batch@0.2.0-draft2")?, of)
}

type One = (Resource<Bucket>, String);
type Two = (Resource<Bucket>, String, Vec<u8>);
type Many = (Resource<Bucket>, Vec<String>);
type ManyPairs = (Resource<Bucket>, Pairs);
type Add<N> = (Resource<Bucket>, String, N);
type List = (Resource<Bucket>, Option<u64>);
type List2 = (Resource<Bucket>, Option<String>);

/// Arguments that begin with a bucket.
trait OfBucket {
    fn bucket(&self) -> &Resource<Bucket>;
}

impl<A> OfBucket for (Resource<Bucket>, A) {
    fn bucket(&self) -> &Resource<Bucket> {
        &self.0
    }
}

impl<A, B> OfBucket for (Resource<Bucket>, A, B) {
    fn bucket(&self) -> &Resource<Bucket> {
        &self.0
    }
}

/// Links a function of a bucket: the store is not needed while it waits.
fn call<T, P, R, F, Fut>(
    instance: &mut LinkerInstance<'_, T>,
    name: &str,
    of: Of<T>,
    function: F,
) -> wasmtime::Result<()>
where
    T: Send + 'static,
    P: OfBucket + ComponentNamedList + Lift + Send + 'static,
    R: Send + 'static,
    Answer<R>: ComponentNamedList + Lower,
    F: Fn(Bucket, P) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<R, Failure>> + Send,
{
    give(instance, name, of, move |bucket, params: P| {
        let answer = function(bucket, params);
        async move { Ok((answer.await?, None)) }
    })
}

/// The same of one that gives values, whose memory is taken up until the guest has
/// them.
fn give<T, P, R, F, Fut>(
    instance: &mut LinkerInstance<'_, T>,
    name: &str,
    of: Of<T>,
    function: F,
) -> wasmtime::Result<()>
where
    T: Send + 'static,
    P: OfBucket + ComponentNamedList + Lift + Send + 'static,
    R: Send + 'static,
    Answer<R>: ComponentNamedList + Lower,
    F: Fn(Bucket, P) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<(R, Option<Taken>), Failure>> + Send,
{
    instance.func_wrap_async(name, move |mut store, params: P| {
        let bucket = of(store.data_mut()).bucket(params.bucket());
        Box::new(async move {
            let given = function(bucket?, params).await.map_err(Error::from);
            Ok((given.map(|(values, held)| {
                *of(store.data_mut()).given = held;
                values
            }),))
        })
    })
}

fn link_store<T: Send + 'static>(
    store: &mut LinkerInstance<'_, T>,
    of: Of<T>,
) -> wasmtime::Result<()> {
    store.resource("bucket", ResourceType::host::<Bucket>(), move |mut store, rep| {
        of(store.data_mut()).table.delete(Resource::<Bucket>::new_own(rep))?;
        Ok(())
    })?;
    store.func_wrap("open", move |mut store, (name,): (String,)| {
        let view = of(store.data_mut());
        let opened = view.granted.open(&name).map_err(Error::from);
        let opened = opened
            .map(|bucket| view.table.push(bucket))
            .map_or_else(|error| Ok(Err(error)), |pushed| pushed.map(Ok))?;
        Ok::<Answer<Resource<Bucket>>, _>((opened,))
    })?;
    give(store, "[method]bucket.get", of, async |bucket, (_, key): One| {
        let mut read = bucket.read_one(key).await?;
        Ok((read.values.pop().flatten(), Some(read.held)))
    })?;
    call(store, "[method]bucket.set", of, async |bucket, (_, key, value): Two| {
        bucket.put(vec![(key, Some(value))]).await
    })?;
    call(store, "[method]bucket.delete", of, async |bucket, (_, key): One| {
        bucket.put(vec![(key, None)]).await
    })?;
    call(store, "[method]bucket.exists", of, async |bucket, (_, key): One| bucket.exists(key).await)
}

fn link_batch<T: Send + 'static>(
    batch: &mut LinkerInstance<'_, T>,
    of: Of<T>,
) -> wasmtime::Result<()> {
    give(batch, "get-many", of, async |bucket, (_, keys): Many| {
        let read = bucket.read(keys.clone()).await?;
        let pairs = keys.into_iter().zip(read.values);
        let pairs: Vec<_> = pairs.map(|(key, value)| Some((key, value?))).collect();
        Ok((pairs, Some(read.held)))
    })?;
    call(batch, "set-many", of, async |bucket, (_, pairs): ManyPairs| {
        bucket.put(pairs.into_iter().map(|(key, value)| (key, Some(value))).collect()).await
    })?;
    call(batch, "delete-many", of, async |bucket, (_, keys): Many| {
        bucket.put(keys.into_iter().map(|key| (key, None)).collect()).await
    })
}

fn link_swap<T: Send + 'static>(
    atomics: &mut LinkerInstance<'_, T>,
    of: Of<T>,
) -> wasmtime::Result<()> {
    atomics.resource("cas", ResourceType::host::<Cas>(), move |mut store, rep| {
        of(store.data_mut()).table.delete(Resource::<Cas>::new_own(rep))?;
        Ok(())
    })?;
    atomics.func_wrap_async("[static]cas.new", move |mut store, params: One| {
        Box::new(async move {
            let bucket = of(store.data_mut()).bucket(&params.0)?;
            let looked = match Cas::look(bucket, params.1).await {
                Ok(cas) => Ok(of(store.data_mut()).table.push(cas)?),
                Err(failure) => Err(Error::from(failure)),
            };
            Ok::<Answer<Resource<Cas>>, _>((looked,))
        })
    })?;
    atomics.func_wrap("[method]cas.current", move |mut store, (cas,): (Resource<Cas>,)| {
        let view = of(store.data_mut());
        let cas = view.table.get(&cas)?;
        let answer = match cas.bucket.hold(cas.seen.as_deref().map_or(0, <[u8]>::len)) {
            Ok(held) => {
                *view.given = Some(held);
                Ok(cas.seen.as_deref().map(<[u8]>::to_vec))
            }
            Err(failure) => Err(Error::from(failure)),
        };
        Ok::<Answer<Option<Vec<u8>>>, _>((answer,))
    })?;
    atomics.func_wrap_async("swap", move |mut store, params: (Resource<Cas>, Vec<u8>)| {
        Box::new(async move {
            let cas = of(store.data_mut()).table.delete(params.0)?;
            let failed = match cas.swap(params.1).await {
                Ok(None) => return Ok((Ok(()),)),
                Ok(Some(newer)) => CasError::CasFailed(of(store.data_mut()).table.push(newer)?),
                Err(failure) => CasError::StoreError(failure.into()),
            };
            Ok::<(Result<(), CasError>,), _>((Err(failed),))
        })
    })
}

impl Cas {
    async fn look(bucket: Bucket, key: String) -> Result<Cas, Failure> {
        let mut read = bucket.read_one(key.clone()).await?;
        let seen = read.values.pop().flatten().map(Arc::from);
        Ok(Cas { bucket, key, seen, _held: read.held })
    }

    /// Swaps the value, or takes a new look.
    async fn swap(self, value: Vec<u8>) -> Result<Option<Cas>, Failure> {
        let Cas { bucket, key, seen, _held } = self;
        let change = Change::Swap { key: key.clone(), seen, value };
        match bucket.change(change).await? {
            Changed::NotSwapped => Cas::look(bucket, key).await.map(Some),
            Changed::Done | Changed::Sum(_) => Ok(None),
        }
    }
}
