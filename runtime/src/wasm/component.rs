//! A component that was loaded, checked and compiled, with its grants and limits.

use std::sync::Arc;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

use super::Engine;
use super::bindings::{Params, Results};
use super::host::{self, Host};
use super::pool::Pool;
use crate::capability::files::GrantedFiles;
use crate::limits::Limits;

/// The name of the export that answers requests.
const EXPORT: &str = "application";

/// A component with its grants and limits.
pub(crate) struct App {
    pub(super) engine: Arc<Engine>,
    pub(super) instance_pre: InstancePre<Host>,
    pub(super) export: ComponentExportIndex,
    pub(super) limits: Arc<Limits>,
    pub(super) files: GrantedFiles,
    pub(super) pool: Pool,
}

impl App {
    /// Compiles a component.
    ///
    /// # Errors
    /// The bytes are no component that answers requests: a sentence says what
    /// they are, and the mend.
    pub(crate) fn new(
        engine: &Arc<Engine>,
        bytes: &[u8],
        limits: &Arc<Limits>,
        files: GrantedFiles,
        reuse: u32,
    ) -> Result<App, String> {
        check_kind(bytes)?;
        let component = Component::from_binary(&engine.wasm, bytes)
            .map_err(|error| format!("not a valid component: {error:#}; build it again"))?;
        let export = check_exports(&engine.wasm, &component)?;
        let instance_pre = host::link(&engine.wasm)
            .and_then(|linker| linker.instantiate_pre(&component))
            .map_err(|error| format!("needs what the server does not offer: {error:#}"))?;
        let pool = Pool::new(reuse);
        Ok(App {
            engine: engine.clone(),
            instance_pre,
            export,
            limits: limits.clone(),
            files,
            pool,
        })
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
fn check_exports(
    engine: &wasmtime::Engine,
    component: &Component,
) -> Result<ComponentExportIndex, String> {
    let component_type = component.component_type();
    let found = component_type.get_export(engine, EXPORT);
    let (Some(item), Some(index)) = (found, component.get_export_index(None, EXPORT)) else {
        let names: Vec<String> =
            component_type.exports(engine).map(|(name, _)| format!("`{name}`")).collect();
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        return Err(format!(
            "exports {names}, but a handler exports `{EXPORT}` of myweb:handler@0.1.0; \
             build it with the myweb SDK, or against wit/handler.wit"
        ));
    };
    let ComponentItem::ComponentFunc(function) = item.ty else {
        return Err(format!("exports `{EXPORT}`, but not as a function; see wit/handler.wit"));
    };
    function.typecheck::<Params<'_>, Results>(&component_type.instance_type()).map_err(
        |error| format!("its `{EXPORT}` has another type than wit/handler.wit: {error:#}"),
    )?;
    Ok(index)
}

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
