//! Where key-value data is when nothing else is said.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{BINARY, Server, test_guest};

/// A folder for data, and one with an app.
struct Folders {
    _root: tempfile::TempDir,
    home: PathBuf,
    app: PathBuf,
}

fn folders() -> Folders {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().canonicalize().expect("a path");
    let (home, app) = (path.join("it's a home"), path.join("the shop"));
    fs::create_dir(&app).expect("a folder");
    Folders { _root: root, home, app }
}

fn command(folders: &Folders, folder: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.current_dir(folder).env("XDG_STATE_HOME", &folders.home);
    command
}

/// A server whose app may open the bucket `visits`.
fn start(folders: &Folders, folder: &Path, more: &[&str]) -> Server {
    let app = test_guest("store");
    let flags = [&["--app", &app, "--keyvalue", "visits"], more].concat();
    Server::start_by(&mut command(folders, folder), &flags)
}

/// The directories of data, sorted.
fn directories(folders: &Folders) -> Vec<PathBuf> {
    let entries = fs::read_dir(folders.home.join("myweb")).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn configure(folder: &Path, name: &str) {
    let app = test_guest("store");
    let toml = format!(
        "[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n[[tenant.route]]\npath = \"/*\"\n\
         app = \"{app}\"\ngrants = {{ keyvalue = [\"visits\"] }}\n"
    );
    fs::write(folder.join(name), toml).expect("a file");
}

#[test]
fn each_configuration_has_a_directory_of_its_own_outside_of_its_folder() {
    let folders = folders();
    configure(&folders.app, "one.toml");
    configure(&folders.app, "two.toml");
    for name in ["one.toml", "two.toml"] {
        for visit in ["1", "2"] {
            let server =
                Server::start_by(&mut command(&folders, &folders.app), &["--config", name]);
            assert_eq!(server.get("/visits").text(), visit, "{name}");
        }
    }
    assert_eq!(start(&folders, &folders.app, &[]).get("/visits").text(), "1", "without a file");
    let found = directories(&folders);
    let names: Vec<String> = found
        .iter()
        .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for (name, start) in names.iter().zip(["one-", "the_shop-", "two-"]) {
        assert!(name.starts_with(start), "{names:?}");
    }
    for path in found {
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode();
        assert_eq!(mode(&path) & 0o777, 0o700);
        assert_eq!(mode(&path.join("keyvalue.redb")) & 0o777, 0o600);
    }
    assert!(!folders.app.join("state").exists());
}

#[test]
fn a_link_to_the_current_release_names_the_same_data_for_each() {
    let folders = folders();
    let current = folders.app.join("current");
    let file = current.join("myweb.toml").display().to_string();
    for (release, visit) in [("r1", "1"), ("r2", "2")] {
        let folder = folders.app.join(release);
        fs::create_dir(&folder).expect("a folder");
        configure(&folder, "myweb.toml");
        let _ = fs::remove_file(&current);
        symlink(&folder, &current).expect("a link");
        let server = Server::start_by(&mut command(&folders, &folders.app), &["--config", &file]);
        assert_eq!(server.get("/visits").text(), visit);
    }
    // The folder as the shell names it.
    let mut shell = command(&folders, &current);
    let app = test_guest("store");
    let flags = ["--app", &app, "--keyvalue", "visits"];
    let server = Server::start_by(shell.env("PWD", &current), &flags);
    assert_eq!(server.get("/visits").text(), "1");
    assert!(
        directories(&folders).iter().any(|path| path.display().to_string().contains("/current-"))
    );
}

#[test]
fn data_from_before_stops_the_start_with_the_command_that_moves_it() {
    let folders = folders();
    let before = folders.app.join("state");
    let server = start(&folders, &folders.app, &["--state", "state"]);
    assert_eq!(server.get("/visits").text(), "1");
    drop(server);
    let app = test_guest("store");
    let flags = ["--addr", "127.0.0.1:0", "--app", &app, "--keyvalue", "visits"];
    let output = command(&folders, &folders.app).args(flags).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("data from before is in") && before.join("keyvalue.redb").exists());
    // A server without a grant does not need the data.
    Server::start_by(&mut command(&folders, &folders.app), &["--app", &app]);
    let move_it = said.find("mkdir -p").map(|at| said[at..].lines().next().unwrap_or_default());
    let moved = Command::new("sh").args(["-c", move_it.expect("a command")]).status();
    assert!(moved.expect("a shell").success(), "{said}");
    assert_eq!(start(&folders, &folders.app, &[]).get("/visits").text(), "2");
    // What is said still counts.
    let named = start(&folders, &folders.app, &["--state", "state"]);
    assert_eq!(named.get("/visits").text(), "1");
    drop(named);
    let output = command(&folders, &folders.app).args(flags).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("remove or rename one of them") && !said.contains("mkdir"), "{said}");
}

#[test]
fn without_a_home_the_mend_is_told() {
    let folders = folders();
    let app = test_guest("store");
    let run = |more: &[&str]| {
        let mut command = command(&folders, &folders.app);
        command.env_remove("XDG_STATE_HOME").env_remove("HOME").env_remove("XDG_CACHE_HOME");
        command.args(["--addr", "127.0.0.1:0", "--app", &app]).args(more);
        command
    };
    let output = run(&["--keyvalue", "visits"]).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("neither XDG_STATE_HOME nor HOME is set; name one with --state"),
        "{said}"
    );
}
