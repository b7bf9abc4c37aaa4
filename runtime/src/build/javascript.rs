//! JavaScript: bundled by esbuild, made a component by componentize-js.

use std::path::{Path, PathBuf};

use super::stage::Source;
use super::{Place, Recipe};

/// What is installed from npm.
pub(super) const TOOLS: &[&str] = &["esbuild@0.28.2", "@bytecodealliance/componentize-js@0.23.0"];

/// The adapter's files, by their names in its folder.
pub(super) fn adapter() -> &'static [(&'static str, &'static str)] {
    &[]
}

/// Builds in an empty folder; the component's file.
pub(super) fn build(
    recipe: &Recipe,
    _files: &[Source],
    _place: &Place,
    _work: &Path,
) -> Result<PathBuf, String> {
    Err(recipe.wrong("JavaScript is not built yet"))
}
