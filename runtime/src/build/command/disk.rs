//! The space on disk that a tool takes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A file without content takes space, too.
const OF_FILE: u64 = 4096;
/// The unit in which the system tells the space of a file.
const BLOCK: u64 = 512;

/// Whether files in these folders take more than so many bytes. Links are not followed.
pub(super) fn take_more_than(folders: &[PathBuf], most: u64) -> bool {
    let is_inside_another =
        |folder: &PathBuf| folders.iter().any(|other| other != folder && folder.starts_with(other));
    let mut left: Vec<PathBuf> =
        folders.iter().filter(|folder| !is_inside_another(folder)).cloned().collect();
    let mut bytes = 0;
    while let Some(folder) = left.pop() {
        // The tool may have removed a file meanwhile.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            bytes += OF_FILE + metadata.blocks() * BLOCK;
            if bytes > most {
                return true;
            }
            if metadata.is_dir() {
                left.push(entry.path());
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_all_folders_are_counted_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).expect("a folder");
        fs::write(inner.join("file"), vec![1; 100_000]).expect("a file");
        let folders = [folder.path().to_owned(), inner];
        assert!(take_more_than(&folders, 90_000));
        assert!(!take_more_than(&folders, 180_000));
        assert!(!take_more_than(&[folder.path().join("none")], 0));
    }
}
