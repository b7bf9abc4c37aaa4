//! A component that was loaded, checked and compiled.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{ComponentExportIndex, InstancePre};

use super::Engine;
use super::bindings::{Params, Results};
use super::cache::Code;
use super::cause;
use super::host::Host;
use super::script;
use super::settings::guest_stack;
use super::source::Identity;
use super::world::World;
use crate::build::ImportRead;
use crate::capability::log::excerpt;

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
    /// The size of its code.
    pub(super) bytes: usize,
    /// When it was last asked for, by the library's count of loads.
    pub(super) used: AtomicU64,
    /// How many requests an instance serves if nothing else is said.
    pub(super) usual_reuse: u32,
    /// The variables that its app read while it was built.
    pub(super) reads: Arc<[ImportRead]>,
}

/// What the server keeps of the streams and futures of an instance of 0.3, at most:
/// a guest has `HANDLES` of them, of some 250 bytes each.
const STREAMS: usize = 1 << 20;

/// Requests that an instance of an interpreter serves: it costs 15 to 80 times
/// as much as a request, and holds up others meanwhile. With 1,000, a Python app
/// that is asked all the time answers 20 % fewer.
const SCRIPTS_SERVE: u32 = 10_000;

impl Component {
    /// The largest memory that an instance starts with, in bytes.
    pub(crate) fn least_memory(&self) -> usize {
        let required = self.instance_pre.component().resources_required();
        let pages = required.and_then(|required| required.max_initial_memory_size).unwrap_or(0);
        usize::try_from(pages).unwrap_or(usize::MAX).saturating_mul(PAGE)
    }

    /// Whether an instance can serve several requests at the same time.
    pub(super) fn serves_several(&self) -> bool {
        self.world == World::Service
    }

    /// What an instance takes of its tenant's memory beside its own, in bytes.
    pub(super) fn beside(&self) -> usize {
        let streams = if self.engine.kind.is_concurrent() { STREAMS } else { 0 };
        guest_stack(self.engine.kind) + streams
    }

    /// A component of its code.
    ///
    /// # Errors
    /// It does not answer requests: a sentence says why, and the mend.
    pub(super) fn new(
        engine: Arc<Engine>,
        identity: &Identity,
        code: Code,
    ) -> Result<Component, String> {
        let (world, name) = (identity.world, &identity.export);
        let export = match world {
            World::Application => check_application(&engine.wasm, &code.component, name)?,
            World::Wsgi | World::JavaScript => check_script(&engine.wasm, &code.component, name)?,
            World::Proxy | World::Service => find_handle(&code.component, name)?,
        };
        let instance_pre = engine.linker.instantiate_pre(&code.component).map_err(|error| {
            format!("needs what the server does not offer: {}", cause::of_load(&error))
        })?;
        let (content, bytes, used) = (identity.content, code.bytes, AtomicU64::new(0));
        let usual_reuse = if identity.scripts { SCRIPTS_SERVE } else { 1 };
        let reads = identity.reads.clone();
        Ok(Component {
            engine,
            instance_pre,
            world,
            export,
            content,
            bytes,
            used,
            usual_reuse,
            reads,
        })
    }
}

/// Tells other files from components by their first bytes
/// (Component Model, Binary.md: the version's upper half is the layer).
pub(super) fn check_kind(bytes: &[u8]) -> Result<(), String> {
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
        |error| {
            format!(
                "its `{name}` has another type than wit/handler.wit: {}",
                cause::of_load(&error)
            )
        },
    )?;
    Ok(index)
}

/// Finds the function that takes a request as a text, and checks its type.
fn check_script(
    engine: &wasmtime::Engine,
    component: &wasmtime::component::Component,
    interface: &str,
) -> Result<ComponentExportIndex, String> {
    let component_type = component.component_type();
    let found = component_type.get_export(engine, interface).map(|found| found.ty);
    let found = match &found {
        Some(ComponentItem::ComponentInstance(instance)) => instance.get_export(engine, CALL),
        _ => None,
    };
    let Some(ComponentItem::ComponentFunc(function)) = found.map(|found| found.ty) else {
        return Err(format!("its `{interface}` has no function `{CALL}`; build it again"));
    };
    let checked =
        function.typecheck::<script::Params<'_>, script::Results>(&component_type.instance_type());
    checked.map_err(|error| {
        format!("its `{CALL}` has another type: {}; build it again", cause::of_load(&error))
    })?;
    find(component, interface, CALL)
}

/// Finds the function of an interface of `wasi:http`. Its type is checked when
/// it is called: it names resources, which there are then.
fn find_handle(
    component: &wasmtime::component::Component,
    interface: &str,
) -> Result<ComponentExportIndex, String> {
    find(component, interface, HANDLE)
}

fn find(
    component: &wasmtime::component::Component,
    interface: &str,
    name: &str,
) -> Result<ComponentExportIndex, String> {
    let instance = component.get_export_index(None, interface);
    let function = instance.and_then(|instance| component.get_export_index(Some(&instance), name));
    function.ok_or_else(|| {
        format!("its `{}` has no function `{name}`; build it again", excerpt(interface))
    })
}

/// The functions of the interfaces of `wasi:http`, and of those of scripts.
const HANDLE: &str = "handle";
const CALL: &str = "call";

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
