//! What is taken of folders of many kinds.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::super::Private;
use super::*;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().canonicalize().expect("a path");
    (folder, path)
}

fn listed(folder: &Path) -> Result<Taken, String> {
    let kept = Private::default().kept_out_of(folder).expect("an app's folder");
    list(folder, &rules(folder)?, &kept)
}

fn names(taken: &Taken) -> Vec<String> {
    taken.files.iter().map(|file| file.name.display().to_string()).collect()
}

#[test]
fn names_that_are_not_utf_8_and_links_that_lead_nowhere_are_named() {
    let (_held, path) = folder();
    fs::write(path.join("app.py"), "1").expect("a file");
    fs::write(path.join(OsStr::from_bytes(b"\xff")), "1").expect("a file");
    fs::write(path.join("line\nend.txt"), "1").expect("a file");
    symlink("loop", path.join("loop")).expect("a link");
    symlink(".", path.join("here")).expect("a link");
    symlink("/proc/self/environ", path.join("environ")).expect("a link");
    symlink("/dev/zero", path.join("zero")).expect("a link");
    let taken = listed(&path).expect("it is read");
    assert_eq!(names(&taken), ["app.py", "line\nend.txt"]);
    assert_eq!(taken.shown(), "2 files, 2 bytes");
    let left = taken.shown_left().expect("some were left out");
    for part in [
        "\"\\xFF\" (its name is not UTF-8)",
        "\"loop\" (is a link to nothing)",
        "\"here\" (is a link to a folder)",
        "\"environ\" (is a link out of the folder)",
        "\"zero\" (is a link out of the folder)",
    ] {
        assert!(left.contains(part), "{part}: {left}");
    }
}

#[test]
fn the_first_ten_that_are_left_out_are_named_and_the_rest_is_counted() {
    let (_held, path) = folder();
    (10..30).for_each(|at| fs::write(path.join(format!("{at}.pem")), "").expect("a file"));
    let left = listed(&path).expect("it is read").shown_left().expect("some were left out");
    assert!(left.contains("\"10.pem\"") && left.contains("\"19.pem\""), "{left}");
    assert!(!left.contains("\"20.pem\"") && left.contains(", and 10 more; "), "{left}");
}

#[test]
fn a_folder_that_is_too_large_or_too_deep_is_refused() {
    let (_held, path) = folder();
    let large = File::create(path.join("large")).expect("a file");
    large.set_len(MOST).expect("a size");
    assert!(listed(&path).is_ok());
    fs::write(path.join("more"), "1").expect("a file");
    let why = listed(&path).err().expect("it is too large");
    assert!(why.contains("holds more than 64MiB"), "{why}");
    let (_held, path) = folder();
    fs::create_dir_all(path.join("a/".repeat(70))).expect("folders");
    let why = listed(&path).err().expect("it is too deep");
    assert!(why.contains("is more than 64 folders deep"), "{why}");
}

#[test]
fn rules_are_read_from_a_regular_file_alone() {
    let (_held, path) = folder();
    let (_other, outside) = folder();
    fs::write(outside.join("x"), "SECRET [").expect("a file");
    symlink(outside.join("x"), path.join(".mywebignore")).expect("a link");
    let why = listed(&path).err().expect("it is a link");
    assert!(why.contains("is a link") && !why.contains("SECRET"), "{why}");
    fs::remove_file(path.join(".mywebignore")).expect("it is removed");
    fs::write(path.join(".mywebignore"), "a\n[z-a]\n").expect("a file");
    let why = listed(&path).err().expect("it is no pattern");
    assert!(why.contains(".mywebignore:2: \"[z-a]\" is no pattern"), "{why}");
}

#[test]
fn the_folder_of_the_server_is_no_app() {
    let (_held, path) = folder();
    let private = Private { states: vec![path.clone()], files: Vec::new() };
    fs::create_dir(path.join("build")).expect("a folder");
    for folder in [path.clone(), path.join("build")] {
        assert!(private.kept_out_of(&folder).is_err());
    }
    let granted = Private { states: Vec::new(), files: vec![path.clone()] };
    assert!(granted.kept_out_of(&path).is_ok(), "an app may read its own folder");
}
