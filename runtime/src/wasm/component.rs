//! A component that was loaded, checked and compiled.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{ComponentExportIndex, InstancePre};

use super::Engine;
use super::bindings::{Params, Results};
use super::host::{self, Host};

/// The name of the export that answers requests.
const EXPORT: &str = "application";

/// A compiled component. Apps of any tenants share it.
pub(crate) struct Component {
    pub(super) engine: Arc<Engine>,
    pub(super) instance_pre: InstancePre<Host>,
    pub(super) export: ComponentExportIndex,
    /// What tells it from others: the digest of its file.
    pub(crate) content: [u8; 32],
}

impl Component {
    /// The digest of a component's file.
    pub(crate) fn content(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    /// Compiles a component.
    ///
    /// # Errors
    /// The bytes are no component that answers requests: a sentence says what
    /// they are, and the mend.
    pub(crate) fn new(
        engine: &Arc<Engine>,
        bytes: &[u8],
        content: [u8; 32],
    ) -> Result<Component, String> {
        check_kind(bytes)?;
        let component = wasmtime::component::Component::from_binary(&engine.wasm, bytes)
            .map_err(|error| not_usable(&format!("{error:#}")))?;
        let export = check_exports(&engine.wasm, &component)?;
        let instance_pre = host::link(&engine.wasm)
            .and_then(|linker| linker.instantiate_pre(&component))
            .map_err(|error| format!("needs what the server does not offer: {error:#}"))?;
        Ok(Component { engine: engine.clone(), instance_pre, export, content })
    }
}

/// What wasmtime says of a component, with the mend.
fn not_usable(error: &str) -> String {
    let mend = if error.contains("memory") && error.contains("exceeds the limit") {
        "raise --max-memory, or let it start with less"
    } else if error.contains("enabled") || error.contains("disabled") {
        "build it without that feature"
    } else {
        "build it again"
    };
    format!("not a valid component: {}; {mend}", error.replace('\n', ", "))
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
    component: &wasmtime::component::Component,
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
