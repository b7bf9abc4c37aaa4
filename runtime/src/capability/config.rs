//! Values that an app was granted, for `wasi:config` and as its environment.
//! They may be secrets: nothing prints them.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::component::{ComponentType, Linker, Lower};

/// Names with their values.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Values(Arc<BTreeMap<String, String>>);

impl Values {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }
}

impl FromIterator<(String, String)> for Values {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(values: I) -> Values {
        Values(Arc::new(values.into_iter().collect()))
    }
}

/// `variant error`, of which there is none: the values are there.
#[derive(ComponentType, Lower)]
#[component(variant)]
#[expect(dead_code, reason = "the type is the interface's")]
enum Error {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

type Answer<R> = (Result<R, Error>,);

/// Links `wasi:config`.
///
/// # Errors
/// A name is taken, which is a mistake in this function.
pub(crate) fn link<T: 'static>(
    linker: &mut Linker<T>,
    of: fn(&mut T) -> &Values,
) -> wasmtime::Result<()> {
    let mut store = linker.instance("wasi:config/store@0.2.0-rc.1")?;
    store.func_wrap("get", move |mut store, (key,): (String,)| {
        let value = of(store.data_mut()).0.get(&key).cloned();
        Ok::<Answer<Option<String>>, _>((Ok(value),))
    })?;
    store.func_wrap("get-all", move |mut store, ()| {
        let values = of(store.data_mut()).iter();
        let values = values.map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok::<Answer<Vec<(String, String)>>, _>((Ok(values),))
    })
}
