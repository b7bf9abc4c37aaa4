//! Variables of the environment: what an app reads at import is told, and what it reads
//! in a request is what was granted.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::json;
use crate::broken::said_at_start;
use crate::hostile::{ask, good_tenant};
use crate::support::scripts::{build, component};
use crate::support::{Answer, BUILD_PATIENCE, Server, blocks, run_for};

/// Builds the app of these files as `app.wasm` in the folder; what the build said.
/// `None` where the tools cannot be installed.
fn built(folder: &Path, files: &[(&str, &str)], target: &str) -> Option<(Option<i32>, String)> {
    component(&["--wsgi", "plain/app:app"], "plain")?;
    let source = folder.join("source");
    for (name, text) in files {
        let path = source.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    let output = folder.join("app.wasm").display().to_string();
    Some(build(&source, &["--wsgi", target, "-o", &output]))
}

/// A configuration with the app and these grants, beside a victim.
fn configure(folder: &Path, grants: &str) {
    let toml = format!(
        "[[tenant]]\nname = \"a\"\nhosts = [\"a.example\"]\n[[tenant.route]]\npath = \"/*\"\n\
         app = \"app.wasm\"\n[tenant.route.grants]\n{grants}\n{}",
        good_tenant()
    );
    fs::write(folder.join("myweb.toml"), toml).expect("a file");
}

/// Runs `check`, which compiles an interpreter.
fn check(folder: &Path) -> (Option<i32>, String) {
    run_for(folder, &["check"], BUILD_PATIENCE)
}

fn get(server: &Server, target: &str) -> Answer {
    ask(&mut server.connect(), "a.example", target)
}

/// That `check` names the read, and the app alone responds 500 with the reason in the log.
fn is_refused(folder: &Path, said: &str) {
    let (code, output) = check(folder);
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(said) && output.contains("docs/values.md"), "{said}: {output}");
    assert!(!output.contains("granted-key"), "{output}");
    let server = Server::start_in(folder, &[]);
    said_at_start(&server, said);
    assert_eq!(get(&server, "/").status, 500);
    let line = server.wait_for_log(said);
    assert!(line.contains("tenant a ") && !line.contains("granted-key"), "{line}");
    let victim = ask(&mut server.connect(), "good.example", "/good/sayhello");
    assert_eq!(victim.text(), "Hello, world!\n");
}

/// The key of a cookie's signature is this one: by Python, which has the digests.
fn is_signed_with(kind: &str, cookie: &str, key: &str) -> bool {
    let code = r#"
import base64, hashlib, hmac, sys
kind, cookie, key = sys.argv[1], sys.argv[2], sys.argv[3].encode()
if kind == "flask":
    value, _, signature = cookie.rpartition(".")
    derived, digest = hmac.new(key, b"cookie-session", "sha1").digest(), "sha1"
else:
    value, _, signature = cookie.rpartition(":")
    salt = b"django.contrib.sessions.backends.signed_cookies"
    derived, digest = hashlib.sha256(salt + b"signer" + key).digest(), "sha256"
made = hmac.new(derived, value.encode(), digest).digest()
sys.exit(base64.urlsafe_b64encode(made).rstrip(b"=").decode() != signature)
"#;
    let status = Command::new("python3").args(["-c", code, kind, cookie, key]).status();
    status.expect("python3 runs").success()
}

/// Counts visits in a session whose cookie is signed with the granted key, and with no
/// other.
fn signs_with_the_granted_key(server: &Server, kind: &str) {
    let first = get(server, "/");
    assert_eq!(first.text(), "1", "{first:?}");
    let line = first.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let pair = line.and_then(|line| line.split(';').next()).expect("a cookie");
    let (_, cookie) = pair.split_once('=').expect("a cookie");
    assert!(is_signed_with(kind, cookie, "granted-key"), "{cookie}");
    assert!(!is_signed_with(kind, cookie, "dev"), "{cookie}");
    let mut client = server.connect();
    let request = format!("GET / HTTP/1.1\r\nHost: a.example\r\nCookie: {pair}\r\n\r\n");
    client.send(request.as_bytes());
    assert_eq!(client.read_answer().expect("an answer").text(), "2");
}

const GRANTED: &str = "env = { SECRET_KEY = \"granted-key\" }";
const FLASK: &str = "Flask==3.1.3\n";

#[test]
fn a_secret_that_flask_reads_at_import_is_refused_until_the_grant_says_that_it_is_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let recipe = blocks("docs/values.md", "python").remove(0);
    let start = recipe.find("class App").expect("the recipe");
    let end = recipe.find("@app.get").expect("the recipe");
    let users =
        "app = Flask(__name__)\napp.secret_key = os.environ.get(\"SECRET_KEY\", \"dev\")\n\n\n";
    let text = format!("{}{users}{}", &recipe[..start], &recipe[end..]);
    let line = text.lines().position(|line| line.starts_with("app.secret_key")).expect("a line");
    let files = [("app.py", text.as_str()), ("requirements.txt", FLASK)];
    let Some((code, said)) = built(folder.path(), &files, "app:app") else { return };
    assert_eq!(code, Some(0), "{said}");
    configure(folder.path(), GRANTED);
    is_refused(folder.path(), &format!("app.py:{} reads SECRET_KEY at import", line + 1));
    // Nothing of it is granted, or the value at import is meant: the default is used.
    let meant = format!("{GRANTED}\nenv-at-import = [\"SECRET_KEY\"]");
    for grants in ["env = { OTHER = \"x\" }", &meant] {
        configure(folder.path(), grants);
        assert_eq!(check(folder.path()).0, Some(0), "{grants}");
        let server = Server::start_in(folder.path(), &[]);
        let first = get(&server, "/");
        let cookie = first.header("set-cookie").and_then(|line| line.split([';', '=']).nth(1));
        assert!(is_signed_with("flask", cookie.expect("a cookie"), "dev"), "{grants}");
    }
    configure(folder.path(), &format!("{GRANTED}\nenv-at-import = [\"SECRET\"]"));
    let (code, output) = check(folder.path());
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("env-at-import[0] = \"SECRET\": env grants no variable"), "{output}");
}

#[test]
fn the_recipe_for_flask_signs_with_the_granted_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let recipe = blocks("docs/values.md", "python").remove(0);
    let files = [("app.py", recipe.as_str()), ("requirements.txt", FLASK)];
    let Some((code, said)) = built(folder.path(), &files, "app:app") else { return };
    assert_eq!(code, Some(0), "{said}");
    configure(folder.path(), GRANTED);
    let (code, output) = check(folder.path());
    assert_eq!((code, output.as_str()), (Some(0), "valid: 2 tenants, 2 routes\n"));
    let server = Server::start_in(folder.path(), &[]);
    signs_with_the_granted_key(&server, "flask");
}

#[test]
fn the_recipe_for_django_signs_with_the_granted_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = blocks("docs/values.md", "python").remove(1);
    let wsgi = "import os\n\nfrom django.core.wsgi import get_wsgi_application\n\n\
                os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"settings\")\n\n\
                application = get_wsgi_application()\n";
    let urls = "from django.http import HttpResponse\nfrom django.urls import path\n\n\n\
                def count(request):\n    \
                request.session[\"count\"] = request.session.get(\"count\", 0) + 1\n    \
                return HttpResponse(str(request.session[\"count\"]))\n\n\n\
                urlpatterns = [path(\"\", count)]\n";
    let files = [
        ("settings.py", settings.as_str()),
        ("wsgi.py", wsgi),
        ("urls.py", urls),
        ("requirements.txt", "Django==5.2.19\n"),
    ];
    let Some((code, said)) = built(folder.path(), &files, "wsgi:application") else { return };
    assert_eq!(code, Some(0), "{said}");
    configure(folder.path(), GRANTED);
    assert_eq!(check(folder.path()).0, Some(0));
    let server = Server::start_in(folder.path(), &[]);
    signs_with_the_granted_key(&server, "django");
}

/// An app whose requests show the environment, after these lines.
fn showing(lines: &str) -> String {
    format!(
        "import json\nimport os\n{lines}\n\n\ndef app(environ, start):\n    \
         start('200 OK', [('content-type', 'text/plain')])\n    \
         return [json.dumps(dict(os.environ)).encode()]\n"
    )
}

#[test]
fn every_way_to_read_a_variable_at_import_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    // Each way, with the name that it reads.
    let ways = [
        ("A = os.getenv('A')", "A"),
        ("B = 'B' in os.environ", "B"),
        ("C = os.environb.get(b'C')", "C"),
        ("D = os.environ.pop('D', None)", "D"),
        ("E = os.environ.setdefault('E', 'x')", "E"),
        ("F = os.path.expandvars('$F')", "F"),
        ("G = (lambda: os.environ.get('G'))()", "G"),
    ];
    let lines = ways.map(|(line, _)| line).join("\n");
    let conf = "from os import environ\n\nH = environ.get('H')\n";
    let files = [("app.py", &*showing(&format!("import conf\n{lines}"))), ("conf.py", conf)];
    let Some((code, said)) = built(folder.path(), &files, "app:app") else { return };
    assert_eq!(code, Some(0), "{said}");
    for (place, (_, name)) in ways.iter().enumerate() {
        configure(folder.path(), &format!("env = {{ {name} = \"granted-key\" }}"));
        let (code, output) = check(folder.path());
        let said = format!("app.py:{} reads {name} at import", place + 4);
        assert!(code == Some(1) && output.contains(&said), "{said}: {output}");
    }
    configure(folder.path(), "env = { H = \"granted-key\" }");
    is_refused(folder.path(), "conf.py:3 reads H at import");
    configure(folder.path(), "env = { I = \"granted-key\" }");
    assert_eq!(check(folder.path()).0, Some(0));
}

/// A package that reads a variable when it is imported, and another when it is told to.
const WHEEL: &str = r#"
import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/reader-1-py3-none-any.whl", "w") as wheel:
    wheel.writestr("reader/__init__.py", """import os
ZONE = os.environ.get("ZONE")
def folder():
    return os.environ.get("PLACE")
""")
    info = "reader-1.dist-info/"
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: reader\nVersion: 1\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "")
"#;

fn write_wheel(folder: &Path) {
    let status = Command::new("python3").args(["-c", WHEEL]).arg(folder).status();
    assert!(status.expect("python3 runs").success());
}

#[test]
fn a_read_of_all_is_one_of_each_and_one_by_a_package_is_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = showing("ALL = dict(os.environ)");
    let Some((code, said)) = built(folder.path(), &[("app.py", &all)], "app:app") else { return };
    assert_eq!(code, Some(0), "{said}");
    configure(folder.path(), "env = { KEY = \"granted-key\" }");
    is_refused(folder.path(), "app.py:3 reads all variables at import");
    configure(folder.path(), "config = { KEY = \"granted-key\" }");
    assert_eq!(check(folder.path()).0, Some(0));
    let text = showing("import reader\nFOLDER = reader.folder()");
    let files = [("app.py", text.as_str()), ("requirements.txt", "./reader-1-py3-none-any.whl\n")];
    write_wheel(&folder.path().join("source"));
    let Some((code, said)) = built(folder.path(), &files, "app:app") else { return };
    assert_eq!(code, Some(0), "{said}");
    configure(folder.path(), "env = { ZONE = \"granted-key\" }");
    let (code, output) = check(folder.path());
    assert_eq!(code, Some(0), "{output}");
    let warning = |text: &str| text.contains("the package file reader/") && text.contains("ZONE");
    assert!(output.contains("warning: ") && warning(&output), "{output}");
    let server = Server::start_in(folder.path(), &[]);
    let line = said_at_start(&server, "the package file reader/");
    assert!(line.contains(" WARN ") && warning(&line), "{line}");
    assert_eq!(get(&server, "/").status, 200);
    configure(folder.path(), "env = { PLACE = \"granted-key\" }");
    is_refused(folder.path(), "app.py:4 reads PLACE at import");
}

#[test]
fn what_an_app_puts_there_at_import_is_there_in_requests_and_granted_values_go_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = showing("os.environ['MINE'] = 'app'\nos.environ['GRANTED'] = 'app'");
    let Some((code, said)) = built(folder.path(), &[("app.py", &text)], "app:app") else { return };
    assert_eq!(code, Some(0), "{said}");
    configure(folder.path(), "env = { GRANTED = \"server\", OTHER = \"server\" }");
    let server = Server::start_in(folder.path(), &[]);
    for _ in 0..2 {
        let seen = json(&get(&server, "/"));
        let expected = serde_json::json!({ "MINE": "app", "GRANTED": "server", "OTHER": "server" });
        assert_eq!(seen, expected);
    }
}

#[test]
fn a_variable_that_is_not_there_at_import_explains_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = showing("\n\ndef key():\n    return os.environ['SECRET_KEY']\n\n\nKEY = key()");
    let Some((code, said)) = built(folder.path(), &[("app.py", &text)], "app:app") else { return };
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "KeyError: 'SECRET_KEY'",
        "app.py:6 reads the variable SECRET_KEY at import",
        "no variable is set while an app is built: read it in the request",
        "docs/values.md",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// What a component says of its reads, replaced by something else of the same length.
fn forged(component: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = component.windows(from.len()).position(|part| part == from).expect("the list");
    [&component[..at], to, &component[at + from.len()..]].concat()
}

#[test]
fn a_forged_list_of_reads_harms_its_own_app_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = showing("A = os.environ.get('SECRET_KEY')");
    let Some((code, said)) = built(folder.path(), &[("app.py", &text)], "app:app") else { return };
    assert_eq!(code, Some(0), "{said}");
    let path = folder.path().join("app.wasm");
    let sound = fs::read(&path).expect("a component");
    configure(folder.path(), GRANTED);
    fs::write(&path, forged(&sound, b"\"by\":\"own\"", b"\"by\":\"me!\"")).expect("a file");
    let (code, output) = check(folder.path());
    assert!(code == Some(1) && output.contains("is damaged; build it again"), "{output}");
    // A name with a line's end in it is shown as something else.
    fs::write(&path, forged(&sound, b"\"file\":\"app.py\"", b"\"file\":\"a\\n.py\""))
        .expect("a file");
    is_refused(folder.path(), "a\u{fffd}.py:3 reads SECRET_KEY at import");
}
