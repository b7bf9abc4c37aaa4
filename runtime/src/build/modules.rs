//! Packages that a developer has installed beside an app: a bundler reads some files of them by
//! itself, so no link in there may lead elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use super::wrong;

/// The most files and folders of all packages, and the deepest.
const MOST: usize = 500_000;
const DEEPEST: usize = 128;

/// Checks that links stay in the app's folder, and that all else are files and folders. Both paths
/// have no links.
///
/// # Errors
/// A sentence with the path and the mend.
pub(super) fn check(modules: &Path, folder: &Path) -> Result<(), String> {
    let mut left = vec![(modules.to_owned(), 0)];
    let mut count = 0;
    while let Some((path, depth)) = left.pop() {
        let wrong = |error: std::io::Error| wrong(&path, &error);
        for entry in fs::read_dir(&path).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let kind = entry.file_type().map_err(wrong)?;
            let path: PathBuf = entry.path();
            count += 1;
            if count > MOST || depth > DEEPEST {
                return Err(format!(
                    "{} holds more than {MOST} files, or folders more than {DEEPEST} deep; remove it, \
                     and the packages of package.json are installed",
                    modules.display()
                ));
            }
            if kind.is_dir() {
                left.push((path, depth + 1));
            } else if kind.is_symlink() {
                let target = fs::canonicalize(&path);
                if target.is_ok_and(|target| !target.starts_with(folder)) {
                    return Err(format!(
                        "{} is a link out of the app's folder; put the files in its place",
                        path.display()
                    ));
                }
            } else if !kind.is_file() {
                return Err(format!("{} is no regular file; remove it", path.display()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_of_a_package_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("a path");
        let modules = folder.join("app/node_modules");
        fs::create_dir_all(modules.join("a")).expect("folders");
        fs::write(modules.join("a/package.json"), "{}").expect("a file");
        symlink("a", modules.join("b")).expect("a link");
        symlink("../../nothing", modules.join("broken")).expect("a link");
        let app = folder.join("app");
        assert_eq!(check(&modules, &app), Ok(()));
        symlink("/etc/passwd", modules.join("a/tsconfig.json")).expect("a link");
        let why = check(&modules, &app).expect_err("it leads out");
        assert!(why.contains("a/tsconfig.json is a link out of the app's folder"), "{why}");
    }
}
