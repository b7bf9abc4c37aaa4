//! Capabilities of the server, such as the one for ports below 1024, are not for tools.

use rustix::process::geteuid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities,
};

/// Drops all capabilities. With `no_new_privs` no program gets them back.
///
/// # Errors
/// The process runs as root, and keeps them: a sentence.
pub(super) fn drop_all() -> Result<(), String> {
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    let ambient = clear_ambient_capability_set();
    match set_capabilities(None, none) {
        // A program that is started by another user than root has ambient ones alone.
        Err(_) if !geteuid().is_root() && ambient.is_ok() => Ok(()),
        dropped => dropped.map_err(|error| format!("cannot drop capabilities: {error}")),
    }
}
