//! Landlock: the paths that a tool may read, execute and write. All others are refused.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::Sandbox;
use super::system::{DEVICES, EXECUTABLE, NETWORK, READABLE};

/// The newest version whose restrictions are known here. An older kernel enforces those
/// that it has; it must have the first.
const NEWEST: ABI = ABI::V6;

/// Restricts this process.
///
/// # Errors
/// The system has no Landlock, or it is switched off: a sentence.
pub(super) fn restrict(sandbox: &Sandbox) -> Result<(), String> {
    let restricted = try_restrict(sandbox);
    let status = restricted.map_err(|error| format!("Landlock failed: {error}"))?;
    match status {
        RulesetStatus::NotEnforced => Err("this kernel has no Landlock".to_owned()),
        _ => Ok(()),
    }
}

fn try_restrict(sandbox: &Sandbox) -> Result<RulesetStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        // Without network no socket is made at all; with it, none accepts connections.
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(NEWEST))?;
    if !sandbox.network {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let created = allow(ruleset.create()?, EXECUTABLE, execute())?;
    let created = allow(created, READABLE, read())?;
    let created = allow(created, DEVICES, read() | AccessFs::WriteFile)?;
    let created = allow(created, NETWORK.iter().filter(|_| sandbox.network), read())?;
    let created = allow(created, &sandbox.read, read())?;
    let created = allow(created, &sandbox.execute, execute())?;
    let created = allow(created, &sandbox.write, write())?;
    Ok(created.restrict_self()?.ruleset)
}

fn allow(
    ruleset: RulesetCreated,
    paths: impl IntoIterator<Item = impl AsRef<Path>>,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    ruleset.add_rules(path_beneath_rules(paths, access))
}

fn read() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir
}

fn execute() -> BitFlags<AccessFs> {
    read() | AccessFs::Execute
}

/// Files, folders and links; no devices, pipes or sockets.
fn write() -> BitFlags<AccessFs> {
    let folders = AccessFs::MakeDir | AccessFs::RemoveDir | AccessFs::Refer;
    let files = AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::MakeSym;
    read() | folders | files | AccessFs::WriteFile | AccessFs::Truncate
}
