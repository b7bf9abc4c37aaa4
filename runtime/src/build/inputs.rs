//! The files beside an app's own that its component was made of: packages in a
//! folder that npm has made. No key is made of them, as only the bundler finds them;
//! they are kept with the component, and looked at before it is used again.

use std::fs;
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::stage::setting;
use super::write_whole;

/// The most bytes of a file that are looked at.
const LARGEST: usize = 64 << 20;

/// Writes down what a component was made of, by paths from the app's folder.
///
/// # Errors
/// A sentence: they cannot be read, or not be written down.
pub(super) fn keep(component: &Path, folder: &Path, names: &[String]) -> Result<(), String> {
    if names.is_empty() {
        let _ = fs::remove_file(place(component));
        return Ok(());
    }
    let lines: String =
        names.iter().map(|name| format!("{} {name}\n", digest(folder, name))).collect();
    write_whole(&place(component), lines.as_bytes())
}

/// Whether all that a component was made of is as it was.
pub(super) fn are_same(component: &Path, folder: &Path) -> bool {
    let kept = fs::read_to_string(place(component)).unwrap_or_default();
    kept.lines()
        .all(|line| line.split_once(' ').is_some_and(|(kept, name)| kept == digest(folder, name)))
}

fn place(component: &Path) -> PathBuf {
    component.with_extension("inputs")
}

/// Of nothing, if it is not there, or no regular file any more.
fn digest(folder: &Path, name: &str) -> String {
    let mut digest = Digest::default();
    let content = setting(folder, name, LARGEST).ok().flatten();
    digest.add(&content.unwrap_or_default());
    digest.name()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_has_changed_is_another_component() {
        let folder = tempfile::tempdir().expect("a folder");
        let component = folder.path().join("a.wasm");
        let app = folder.path().join("app");
        fs::create_dir(&app).expect("a folder");
        assert!(are_same(&component, &app), "nothing was written down");
        let package = folder.path().join("package.js");
        fs::write(&package, "1").expect("a file");
        keep(&component, &app, &["../package.js".to_owned()]).expect("it is written down");
        assert!(are_same(&component, &app));
        fs::write(&package, "2").expect("a file");
        assert!(!are_same(&component, &app));
        fs::remove_file(&package).expect("a file");
        assert!(!are_same(&component, &app));
    }
}
