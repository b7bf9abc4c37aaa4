//! What becomes part of a component that is built from a folder, and what a folder cannot make the
//! build read or run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::scripts::build;
use crate::support::{Server, run};

/// Whether the build could not be tried.
fn lacks_tools(said: &str) -> bool {
    let lacks = said.contains("is not on PATH") || said.contains("cannot install");
    lacks && std::env::var_os("CI").is_none()
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, text).expect("a file");
    }
}

/// What is said of a Python app that names its packages so. No tool is needed to say so.
fn refused(files: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state").display().to_string();
    let app = folder.path().join("app");
    write(&app, &[("app.py", "app = print\n")]);
    write(&app, files);
    let arguments = ["build", "--state", &state, "--wsgi", "app:app", "-o", "../out.wasm"];
    let (code, said) = run(&app, &arguments);
    assert_eq!(code, Some(1), "{said}");
    assert!(!folder.path().join("state/build/tools/python").exists(), "{said}");
    said
}

#[test]
fn requirements_that_run_code_or_reach_elsewhere_are_refused() {
    for (line, part) in [
        ("-e .", "installs from sources"),
        ("flask \\\n  --index-url https://a.example/simple", "has an option that is not known"),
        ("--extra-index-url https://a.example", "chooses where packages come from"),
        ("flask @ git+https://a.example/x", "is an address"),
        ("./lib", "installs from sources"),
        ("-r /etc/passwd", "is outside of the app's folder"),
        ("-c ../bounds.txt", "is outside of the app's folder"),
        ("${X}", "has a variable"),
    ] {
        let said = refused(&[("requirements.txt", &format!("# all\n{line}\n"))]);
        assert!(said.contains("requirements.txt:2: ") && said.contains(part), "{line}: {said}");
    }
    let project =
        "[project]\ndependencies = [\"shop\"]\n[tool.uv.sources]\nshop = { path = \"..\" }\n";
    let said = refused(&[("pyproject.toml", project)]);
    assert!(said.contains("pyproject.toml:3: \"tool.uv.sources\" is refused"), "{said}");
}

#[test]
fn code_of_a_folder_is_not_run_by_the_build() {
    let mark = tempfile::tempdir().expect("a folder");
    let mark = mark.path().join("ran").display().to_string();
    let backend = format!("open({mark:?}, 'w')\n");
    let python = format!("#!/bin/sh\ntouch {mark}\nexec python3 \"$@\"\n");
    let project = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
                   [project]\nname = \"x\"\nversion = \"1\"\n";
    let files = [
        ("backend.py", backend.as_str()),
        ("setup.py", backend.as_str()),
        ("pyproject.toml", project),
        (".venv/bin/python", python.as_str()),
    ];
    for requirements in ["-e .", ".", "./", "x @ file:."] {
        refused(&[&files[..], &[("requirements.txt", requirements)]].concat());
    }
    assert!(!Path::new(&mark).exists());
}

/// An app that tells what it has: the names of all its files, and what each begins with.
const TELLS: &str = r#"
import os

def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    here = os.path.dirname(os.path.abspath(__file__))
    lines = []
    for folder, _, names in os.walk(here):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                text = file.read(20).decode("latin-1").split()[0]
            lines.append(os.path.relpath(path, here) + "=" + text)
    return ["\n".join(sorted(lines)).encode()]
"#;

#[test]
fn a_component_has_the_apps_own_files_and_no_secret_link_or_file_of_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = folder.path().join("app");
    write(folder.path(), &[("outside.txt", "outside"), ("linked/x", "outside")]);
    let configuration = "[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\nlog = \"said.txt\"\n\
                         tls = { certificate = \"chain.crt\", key = \"private\" }\n\
                         [[tenant.route]]\npath = \"/*\"\napp = \"app.wasm\"\n\
                         grants = { env = { A = { file = \"word\" } } }\n";
    // A text of its own: the build of another run would tell nothing.
    let tells = format!("{TELLS}# {}\n", app.display());
    write(
        &app,
        &[
            ("app.py", &tells),
            ("data/words.txt", "words"),
            ("public.pem", "public"),
            ("server.key", "SECRET"),
            ("tls/KEY.PEM.bak", "SECRET"),
            (".env", "SECRET"),
            ("secrets/db", "SECRET"),
            ("id_rsa", "SECRET"),
            ("old/keyvalue.redb", "SECRET"),
            ("old/other", "SECRET"),
            ("state/keyvalue.redb", "SECRET"),
            ("site.toml", configuration),
            ("private", "SECRET"),
            ("chain.crt", "SECRET"),
            ("said.txt", "SECRET"),
            ("word", "SECRET"),
            ("big.bin", "left"),
            ("keep.bin", "kept"),
            (".mywebignore", "*.bin\n!keep.bin\n!public.pem\n"),
        ],
    );
    symlink("data/words.txt", app.join("inner")).expect("a link");
    symlink(app.join("data/words.txt"), app.join("absolute")).expect("a link");
    symlink("../outside.txt", app.join("outer")).expect("a link");
    symlink("/etc/hostname", app.join("host")).expect("a link");
    symlink("server.key", app.join("harmless.txt")).expect("a link");
    symlink("old/other", app.join("other.txt")).expect("a link");
    symlink("../linked", app.join("folder")).expect("a link");
    fs::hard_link(app.join("private"), app.join("hard")).expect("a hard link");
    let fifo = Command::new("mkfifo").arg(app.join("pipe")).status().expect("mkfifo runs");
    assert!(fifo.success());
    let link = folder.path().join("current");
    symlink(&app, &link).expect("a link");
    let (code, said) = build(folder.path(), &["--wsgi", "current/app:app", "-o", "out.wasm"]);
    if lacks_tools(&said) {
        return;
    }
    assert_eq!(code, Some(0), "{said}");
    let component = folder.path().join("out.wasm").display().to_string();
    let empty = tempfile::tempdir().expect("a folder");
    let server = Server::start_in(empty.path(), &["--app", &component]);
    let has = server.get("/");
    let names: Vec<&str> = has.text().lines().filter(|line| !line.starts_with("app.py=")).collect();
    let expected = [
        "absolute=words",
        "data/words.txt=words",
        "inner=words",
        "keep.bin=kept",
        "public.pem=public",
    ];
    assert_eq!(names, expected, "{said}");
    assert!(said.contains("takes 6 files, "), "{said}");
    assert!(said.contains("leaves out for safety \".env\" (may hold a secret), \"chain.crt\" (belongs to the server)"), "{said}");
    assert!(
        said.contains(" more; a line like !public.pem in .mywebignore lets one named file in"),
        "{said}"
    );
}

#[test]
fn packages_keep_their_own_certificates() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = "import certifi\nTEXT = open(certifi.where()).read(200)\n\
               def app(environ, start):\n    start('200 OK', [])\n    return [TEXT.encode()]\n";
    write(folder.path(), &[("app.py", app), ("requirements.txt", "certifi")]);
    let (code, said) = build(folder.path(), &["--wsgi", "app:app", "-o", "out.wasm"]);
    if !lacks_tools(&said) {
        assert_eq!(code, Some(0), "{said}");
    }
}

/// What is said of a module of JavaScript with these files beside it.
fn bundled(files: &[(&str, &str)], links: &[(&str, &str)]) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let app = folder.path().join("app");
    write(folder.path(), &[("outside.js", "export default 'SECRET'"), ("outside.json", "SECRET")]);
    write(&app, files);
    for (name, target) in links {
        fs::create_dir_all(app.join(name).parent().expect("a folder")).expect("folders");
        symlink(target, app.join(name)).expect("a link");
    }
    let arguments = ["app/app.js", "--engine", "quickjs", "-o", "out.wasm"];
    let (code, said) = build(folder.path(), &arguments);
    if lacks_tools(&said) {
        return None;
    }
    assert!(!said.contains("SECRET") && !said.contains("root:"), "{said}");
    (code != Some(0)).then_some(said).or(Some(String::new()))
}

#[test]
fn a_bundle_is_made_of_the_app_and_its_packages_alone() {
    let handler = "export const application = () => [200, {}, String(x)];\n";
    for import in [
        "import x from \"/etc/passwd?/node_modules/y\" with { type: \"text\" };",
        "import x from \"/etc/passwd\" with { type: \"json\" };",
        "import x from \"/etc/passwd#/node_modules/y\" with { type: \"text\" };",
        "import x from \"file:///etc/passwd\" with { type: \"text\" };",
        "import x from \"../outside.js\";",
        "import x from \"./a/../../outside.json\" with { type: \"json\" };",
        "import x from \"../outside.js?node_modules/\";",
        "import x from \"%2e%2e/outside.js\";",
        "const x = require(\"../outside.js\");",
        "const x = await import(\"../outside.js\");",
        "import x from \"./linked.js\";",
        "import x from \"mapped\";",
        "import x from \"@/outside.js\";",
        "import x from \"./secret.key\" with { type: \"text\" };",
        "import x from \"package\";",
    ] {
        let files = [
            ("app.js", format!("{import}\n{handler}")),
            ("secret.key", "SECRET".to_owned()),
            ("package.json", "{ \"browser\": { \"mapped\": \"../outside.js\" } }".to_owned()),
            (
                "tsconfig.json",
                "{ \"compilerOptions\": { \"paths\": { \"@/*\": [\"../*\"] } } }".to_owned(),
            ),
            (
                "node_modules/package/package.json",
                "{ \"main\": \"../../../outside.js\" }".to_owned(),
            ),
        ];
        let files: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let Some(said) = bundled(&files, &[("linked.js", "../outside.js")]) else { return };
        assert!(said.contains("app.js"), "{import}: {said}");
    }
}

#[test]
fn settings_and_packages_lead_a_bundler_to_no_other_file() {
    let app =
        ("app.js", "import \"package\";\nexport const application = () => [200, {}, \"\"];\n");
    let package = ("node_modules/package/index.js", "export default 1;\n");
    for (files, links, part) in [
        (
            &[app, package, ("tsconfig.json", "{ \"extends\": \"/etc/passwd\" }")][..],
            &[][..],
            "is outside of the app's folder",
        ),
        (
            &[app, package],
            &[("node_modules/package/package.json", "/etc/passwd")],
            "is a link out of the app's folder",
        ),
        (&[app, package], &[("node_modules/other", "../../outside")], ""),
        (
            &[app, ("package.json", "{ \"dependencies\": { \"package\": \"file:../x\" } }")],
            &[],
            "package.json:1: \"file:../x\" is no package of the registry",
        ),
        (
            &[
                app,
                ("package.json", "{ \"dependencies\": { \"package\": \"1\" } }"),
                (".npmrc", "registry=x"),
            ],
            &[],
            ".npmrc:1: the line names a registry",
        ),
        (&[app, ("node_modules/package/index.js", "1; //# sourceMappingURL=/dev/zero\n")], &[], ""),
    ] {
        let Some(said) = bundled(files, links) else { return };
        assert!(said.contains(part) && (part.is_empty() == said.is_empty()), "{part}: {said}");
    }
}
