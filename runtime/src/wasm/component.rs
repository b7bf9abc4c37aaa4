//! A component that was loaded, checked and compiled.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{ComponentExportIndex, InstancePre};

use super::bindings::{Params, Results};
use super::host::{self, Host};
use super::world::{World, not_valid};
use super::{Engine, Engines};
use crate::build::is_of_scripts;

/// A page of WebAssembly, in bytes.
const PAGE: usize = 64 << 10;

/// A compiled component. Apps of any tenants share it.
pub(crate) struct Component {
    pub(super) engine: Arc<Engine>,
    pub(super) instance_pre: InstancePre<Host>,
    pub(super) world: World,
    /// The function that answers requests.
    pub(super) export: ComponentExportIndex,
    /// What tells it from others: the digest of its file.
    pub(crate) content: [u8; 32],
    /// How many requests an instance serves if nothing else is said.
    pub(crate) usual_reuse: u32,
}

/// Requests that an instance of an interpreter serves: it costs 15 to 40 times
/// as much as a request.
const SCRIPTS_SERVE: u32 = 1_000;

impl Component {
    /// The digest of a component's file.
    pub(crate) fn content(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    /// The largest memory that an instance starts with, in bytes.
    pub(crate) fn least_memory(&self) -> usize {
        let required = self.instance_pre.component().resources_required();
        let pages = required.and_then(|required| required.max_initial_memory_size).unwrap_or(0);
        usize::try_from(pages).unwrap_or(usize::MAX).saturating_mul(PAGE)
    }

    /// Compiles a component.
    ///
    /// # Errors
    /// The bytes are no component that answers requests: a sentence says what
    /// they are, and the mend.
    pub(crate) fn new(
        engines: &Engines,
        bytes: &[u8],
        content: [u8; 32],
    ) -> Result<Component, String> {
        check_kind(bytes)?;
        let (world, name) = World::of(bytes)?;
        let scripts = is_of_scripts(bytes);
        let engine = engines.of(world, scripts)?;
        let component = wasmtime::component::Component::from_binary(&engine.wasm, bytes)
            .map_err(|error| not_valid(&format!("{error:#}")))?;
        let export = match world {
            World::Application => check_application(&engine.wasm, &component, &name)?,
            World::Proxy | World::Service => find_handle(&component, &name)?,
        };
        let instance_pre = host::link(&engine.wasm, world)
            .and_then(|linker| linker.instantiate_pre(&component))
            .map_err(|error| format!("needs what the server does not offer: {error:#}"))?;
        let usual_reuse = if scripts { SCRIPTS_SERVE } else { 1 };
        Ok(Component { engine, instance_pre, world, export, content, usual_reuse })
    }
}

/// Tells other files from components by their first bytes
/// (Component Model, Binary.md: the version's upper half is the layer).
fn check_kind(bytes: &[u8]) -> Result<(), String> {
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            Err("a core WebAssembly module, not a component; build it with --target wasm32-wasip2"
                .to_owned())
        }
        [0x7f, b'E', b'L', b'F', ..] => {
            Err("compiled code, not a component; name the .wasm it was built from".to_owned())
        }
        [] => Err("the file is empty; build the component again".to_owned()),
        _ => Err("not a WebAssembly component; build one with --target wasm32-wasip2".to_owned()),
    }
}

/// Finds `application` and checks its type.
fn check_application(
    engine: &wasmtime::Engine,
    component: &wasmtime::component::Component,
    name: &str,
) -> Result<ComponentExportIndex, String> {
    let component_type = component.component_type();
    let found = component_type.get_export(engine, name).map(|found| found.ty);
    let (Some(ComponentItem::ComponentFunc(function)), Some(index)) =
        (found, component.get_export_index(None, name))
    else {
        return Err(format!("exports `{name}`, but not as a function; see wit/handler.wit"));
    };
    function.typecheck::<Params<'_>, Results>(&component_type.instance_type()).map_err(
        |error| format!("its `{name}` has another type than wit/handler.wit: {error:#}"),
    )?;
    Ok(index)
}

/// Finds the function of an interface of `wasi:http`. Its type is checked when
/// it is called: it names resources, which there are then.
fn find_handle(
    component: &wasmtime::component::Component,
    interface: &str,
) -> Result<ComponentExportIndex, String> {
    let instance = component.get_export_index(None, interface);
    let handle = instance.and_then(|instance| component.get_export_index(Some(&instance), HANDLE));
    handle.ok_or_else(|| format!("its `{interface}` has no function `{HANDLE}`; build it again"))
}

/// The function of the interfaces of `wasi:http`.
const HANDLE: &str = "handle";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_components_are_told_apart() {
        for (bytes, said) in [
            (&b""[..], "empty"),
            (b"\0asm\x01\0\0\0", "core WebAssembly module"),
            (b"\x7fELF\x02", "compiled code"),
            (b"(component)", "not a WebAssembly component"),
            (b"\0asm", "not a WebAssembly component"),
        ] {
            let why = check_kind(bytes).unwrap_err();
            assert!(why.contains(said), "{why}");
        }
        assert_eq!(check_kind(b"\0asm\x0d\0\x01\0"), Ok(()));
    }
}
