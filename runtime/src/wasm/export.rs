//! The function of an instance that answers requests.

use wasmtime::Store;
use wasmtime::component::{Func, Instance};

use super::component::Component;
use super::host::Host;
use super::service::{FunctionOf2, FunctionOf3};
use super::world::World;

/// The function, by the world of its component. To check its type costs as much as a
/// call of the guest to the server, so that is done once, where it can be: a whole
/// request is borrowed for one call.
#[derive(Clone, Copy)]
pub(super) enum Export {
    Whole(Func),
    Proxy(FunctionOf2),
    Service(FunctionOf3),
}

impl Export {
    /// The function of a component's instance.
    ///
    /// # Errors
    /// It has another type than its name says.
    pub(super) fn of(
        component: &Component,
        instance: &Instance,
        store: &mut Store<Host>,
    ) -> wasmtime::Result<Export> {
        let function = instance.get_func(&mut *store, component.export);
        let function = function.ok_or_else(|| wasmtime::Error::msg("its export is gone"))?;
        Ok(match component.world {
            World::Application | World::Wsgi | World::JavaScript => Export::Whole(function),
            World::Proxy => Export::Proxy(function.typed(&*store)?),
            World::Service => Export::Service(function.typed(&*store)?),
        })
    }

    /// The function that is given a whole request.
    ///
    /// # Errors
    /// Its component has another world, as with those below.
    pub(super) fn whole(self) -> wasmtime::Result<Func> {
        match self {
            Export::Whole(function) => Ok(function),
            _ => Err(of_another_world()),
        }
    }

    /// The function of `wasi:http/incoming-handler@0.2`.
    pub(super) fn proxy(self) -> wasmtime::Result<FunctionOf2> {
        match self {
            Export::Proxy(handle) => Ok(handle),
            _ => Err(of_another_world()),
        }
    }

    /// The function of `wasi:http/handler@0.3`.
    pub(super) fn service(self) -> wasmtime::Result<FunctionOf3> {
        match self {
            Export::Service(handle) => Ok(handle),
            _ => Err(of_another_world()),
        }
    }
}

fn of_another_world() -> wasmtime::Error {
    wasmtime::Error::msg("its export is one of another world")
}
