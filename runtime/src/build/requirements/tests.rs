//! Lines of requirements that are accepted, with their normal form, and lines that are refused.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;

const SHA: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn one(text: &str) -> Result<Option<Entry>, Problem> {
    Ok(parse(text.as_bytes())?.pop().map(|(_, entry)| entry))
}

#[test]
fn names_with_versions_are_written_in_normal_form() {
    let hash = format!("--hash=sha256:{SHA}");
    let upper = format!("a==1 --hash sha256:{}", SHA.to_ascii_uppercase());
    let with_hash = format!("a==1 {hash}");
    let two = format!("a==1 {hash} {hash}");
    let over_lines = format!("a==1 \\\r\n    {hash} \\\r\n    {hash}");
    let marked = format!("a==1 ; os_name == \"nt\" {hash}");
    let accepted = [
        ("flask", "flask"),
        ("Flask==3.1.3", "Flask==3.1.3"),
        ("  flask \t", "flask"),
        ("flask==3.1.3\r", "flask==3.1.3"),
        ("flask # the framework", "flask"),
        ("flask\t# the framework", "flask"),
        ("flask>=3,<4", "flask>=3,<4"),
        ("flask >= 3 , < 4", "flask>=3,<4"),
        ("flask (>=3)", "flask>=3"),
        ("flask ( >=3, <4 )", "flask>=3,<4"),
        ("flask~=3.1", "flask~=3.1"),
        ("flask!=3.0.*", "flask!=3.0.*"),
        ("flask===3.1.3", "flask===3.1.3"),
        ("flask<4", "flask<4"),
        ("flask>3", "flask>3"),
        ("flask<=3.1", "flask<=3.1"),
        ("flask==3.1.3.post1", "flask==3.1.3.post1"),
        ("flask==1!3.1", "flask==1!3.1"),
        ("flask==3.1+local.1", "flask==3.1+local.1"),
        ("flask==3.1a1.dev2", "flask==3.1a1.dev2"),
        ("zope.interface", "zope.interface"),
        ("python_multipart", "python_multipart"),
        ("a", "a"),
        ("a1-b.c_d2", "a1-b.c_d2"),
        ("flask[async]", "flask[async]"),
        ("flask[async,dotenv]>=3", "flask[async,dotenv]>=3"),
        ("flask [ async , dotenv ] >=3", "flask[async,dotenv]>=3"),
        ("flask[]", "flask"),
        ("a; python_version < \"3.9\"", "a ; python_version < \"3.9\""),
        ("a;python_version<'3.9'", "a ; python_version < '3.9'"),
        ("a ; 'linux' in sys_platform", "a ; 'linux' in sys_platform"),
        ("a ; sys_platform not  in 'x'", "a ; sys_platform not in 'x'"),
        ("a ; extra == 'x'", "a ; extra == 'x'"),
        ("a ; os_name=='a'and os_name=='b'", "a ; os_name == 'a' and os_name == 'b'"),
        ("a ; (os_name == 'a' or os_name == 'b')", "a ; (os_name == 'a' or os_name == 'b')"),
        ("a ; ((os_name == 'a'))", "a ; ((os_name == 'a'))"),
        ("a ; os_name == 'it is \"b\"'", "a ; os_name == 'it is \"b\"'"),
        ("a ; python_full_version ~= '3.1.0'", "a ; python_full_version ~= '3.1.0'"),
        ("a>=1;platform_machine==='x86_64'", "a>=1 ; platform_machine === 'x86_64'"),
        (with_hash.as_str(), with_hash.as_str()),
        (upper.as_str(), with_hash.as_str()),
        (over_lines.as_str(), two.as_str()),
        (marked.as_str(), marked.as_str()),
        ("flask\\\n==3.1", "flask==3.1"),
        ("\u{feff}flask", "flask"),
    ];
    assert!(accepted.len() >= 40);
    for (text, normal) in accepted {
        let entry = one(text);
        let Ok(Some(Entry::Package(package))) = entry else { panic!("{text:?}: {entry:?}") };
        assert_eq!(package.line(), normal, "{text:?}");
        assert_eq!(one(normal), Ok(Some(Entry::Package(package))), "the normal form is stable");
    }
}

#[test]
fn files_wheels_and_settings_are_accepted() {
    let file = |path: &str, constraint| Some(Entry::File { path: path.to_owned(), constraint });
    let wheel = |path: &str, extras: &[&str], marker: &str| {
        let extras = extras.iter().map(|extra| (*extra).to_owned()).collect();
        let package = Package { extras, marker: marker.to_owned(), ..Package::default() };
        Some(Entry::Wheel(path.to_owned(), package))
    };
    for (text, expected) in [
        ("-r base.txt", file("base.txt", false)),
        ("-rbase.txt", file("base.txt", false)),
        ("--requirement=base.txt", file("base.txt", false)),
        ("--requirement base.txt # all", file("base.txt", false)),
        ("-c ../c.txt", file("../c.txt", true)),
        ("--constraint c.txt", file("c.txt", true)),
        ("./shop-1-py3-none-any.whl", wheel("./shop-1-py3-none-any.whl", &[], "")),
        ("vendor/shop-1-py3-none-any.whl", wheel("vendor/shop-1-py3-none-any.whl", &[], "")),
        ("a.whl[x] ; os_name == 'a'", wheel("a.whl", &["x"], "os_name == 'a'")),
        ("--pre", Some(Entry::Prereleases)),
        ("--require-hashes", Some(Entry::RequireHashes)),
        ("--prefer-binary", None),
        ("--only-binary :all:", None),
        ("--only-binary=flask", None),
        ("", None),
        ("# -e .", None),
        ("  # C:\\folder\\", None),
        ("#\\", None),
    ] {
        assert_eq!(one(text), Ok(expected), "{text:?}");
    }
}

#[test]
fn lines_that_run_code_or_reach_elsewhere_are_refused() {
    let short = "a==1 --hash=sha256:0123";
    let weak = "a==1 --hash=md5:0123456789abcdef0123456789abcdef";
    let deep = format!("a ; {}os_name == 'a'{}", "(".repeat(40), ")".repeat(40));
    let long = format!("{}==1", "a".repeat(200));
    let huge = format!("a>={}", "1".repeat(70_000));
    let config = "flask --config-settings=x=y";
    let refused = [
        "-e .",
        "-e.",
        "--editable=./shop",
        "-e git+https://a.example/x#egg=x",
        "flask\\\n\n-e .",
        "flask # \\\n-e .",
        "\\\n-e .",
        "-\\\ne .",
        "flask\\",
        ".",
        "..",
        "./shop",
        "../shop",
        "/srv/shop",
        "~/shop",
        "shop/",
        "shop\\lib",
        "shop-1.tar.gz",
        "./shop-1.zip",
        "Shop-1.TGZ",
        "https://a.example/x-1-py3-none-any.whl",
        "http://169.254.169.254/latest",
        "file:x-1-py3-none-any.whl",
        "file:///etc/passwd",
        "git+ssh://git@a.example/x.git",
        "git+file:///srv/x",
        "hg+http://a.example/x",
        "name @ https://a.example/x-1-py3-none-any.whl",
        "name@https://a.example/x.whl",
        "name[x]@file:x.whl",
        "name @ ./x-1-py3-none-any.whl",
        "C:\\x.whl",
        "--index-url https://a.example/simple",
        "--index-url=https://a.example/simple",
        "-i https://a.example/simple",
        "-ihttps://a.example/simple",
        "--extra-index-url https://a.example",
        "--find-links /srv/wheels",
        "-f .",
        "--no-index",
        "--trusted-host a.example",
        "--no-binary :all:",
        "--no-binary=flask",
        "--config-settings x=y",
        "--global-option=x",
        "--use-feature=x",
        "--index-ur https://a.example",
        "-x",
        "-",
        "--",
        "-\u{e9}x",
        "${INDEX}/x.whl",
        "flask==${VERSION}",
        "$HOME",
        config,
        "flask --index-url https://a.example",
        short,
        weak,
        "a==1 --hash",
        "a==1 --hash=sha256:",
        "-r",
        "-c   ",
        "flask==",
        "flask=3",
        "flask 3",
        "flask>=3,",
        "flask>=3 <4",
        "flask (>=3",
        "flask[async",
        "flask[a b]",
        "-flask",
        "_flask",
        "flask-",
        "fl\u{e4}sk",
        "flask\u{a0}>=3",
        "a ;",
        "a ; os_name",
        "a ; os_name == nt",
        "a ; os_name == 'nt",
        "a ; os_name == 'n\\t'",
        "a ; os.system('x') == 'a'",
        "a ; __import__ == 'a'",
        "a ; os_name == 'a' and",
        "a ; (os_name == 'a'",
        "a ; os_name == 'a')",
        "a ; os_name == 'a' xor os_name == 'b'",
        deep.as_str(),
        long.as_str(),
        huge.as_str(),
        "flask\0",
        "flask\x0b-e .",
        "flask\r-e .",
        "flask\u{85}-e .",
        "\u{feff}\u{feff}-e .",
    ];
    assert!(refused.len() >= 40);
    for text in refused {
        assert!(one(text).is_err(), "{text:?}");
    }
    let utf_16: Vec<u8> = "\u{feff}-e .".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(parse(&utf_16).is_err());
    assert!(parse(&vec![b'\n'; 2 << 20]).is_err());
}

#[test]
fn a_refusal_names_the_line_the_value_and_the_mend() {
    let problem = parse(b"flask\n\n  -e . # here\n").expect_err("it is refused");
    assert_eq!(problem.line, 3);
    let told = problem.told("requirements.txt");
    assert!(told.starts_with("requirements.txt:3: \"-e .\" installs from sources"), "{told}");
    assert!(told.contains("name a package with a version"), "{told}");
}

fn collected(files: &[(&str, &str)]) -> Result<Wanted, String> {
    let files: BTreeMap<&Path, &[u8]> =
        files.iter().map(|(name, text)| (Path::new(*name), text.as_bytes())).collect();
    collect(Path::new("requirements.txt"), |path| files.get(path).copied())
}

fn lines(packages: &[Package]) -> Vec<String> {
    packages.iter().map(Package::line).collect()
}

#[test]
fn included_files_are_followed_within_the_folder() {
    let wanted = collected(&[
        ("requirements.txt", "flask\n-r more/all.txt\n-c bounds.txt\n"),
        ("more/all.txt", "-r ../last.txt\n./a-1-py3-none-any.whl\n-r all.txt\n--pre\n"),
        ("more/a-1-py3-none-any.whl", ""),
        ("last.txt", "jinja2\n-r requirements.txt\n"),
        ("bounds.txt", "werkzeug<4\n-r deeper.txt\n"),
        ("deeper.txt", "click<9\n"),
    ])
    .expect("all is sound");
    assert_eq!(lines(&wanted.packages), ["flask", "jinja2"]);
    assert_eq!(lines(&wanted.constraints), ["werkzeug<4", "click<9"]);
    assert_eq!(wanted.wheels.len(), 1);
    assert_eq!(wanted.wheels[0].0, Path::new("more/a-1-py3-none-any.whl"));
    assert!(wanted.prereleases && !wanted.require_hashes);
}

#[test]
fn included_files_have_the_same_rules_and_bounds() {
    for (files, said) in [
        (&[("requirements.txt", "-r a.txt"), ("a.txt", "x\n-e .")][..], "a.txt:2: \"-e .\""),
        (&[("requirements.txt", "-r ../a.txt")], "is outside of the app's folder"),
        (&[("requirements.txt", "-c /etc/passwd")], "is outside of the app's folder"),
        (&[("requirements.txt", "-r https://a.example/r.txt")], "is no path of a file"),
        (&[("requirements.txt", "-r none.txt")], "is no file of the app"),
        (&[("requirements.txt", "none-1-py3-none-any.whl")], "is no file of the app"),
        (&[("requirements.txt", "-c c.txt"), ("c.txt", "a.whl")], "is no constraint"),
        (&[], "no such file of the app"),
    ] {
        let why = collected(files).expect_err(said);
        assert!(why.contains(said), "{why}");
    }
    let chain: Vec<(String, String)> = (0..40)
        .map(|at| (format!("{at}.txt"), format!("-r {}.txt", at + 1)))
        .chain([("requirements.txt".to_owned(), "-r 0.txt".to_owned())])
        .collect();
    let chain: Vec<(&str, &str)> = chain.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert!(collected(&chain).expect_err("too deep").contains("16 deep"));
    let many = "a\n".repeat(10_001);
    assert!(collected(&[("requirements.txt", &many)]).expect_err("too many").contains("10000"));
}
