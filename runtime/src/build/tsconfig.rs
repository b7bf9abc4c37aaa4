//! `tsconfig.json`: the options that esbuild knows, written again. esbuild itself would follow
//! `extends` to any file. Pure.

use std::path::Path;

use serde_json::{Map, Value};

use super::text::{Problem, decode, inside};

const LARGEST: usize = 1 << 20;
/// The most files that one extends.
const MOST: usize = 8;
/// The options of the compiler that change what esbuild writes.
const OPTIONS: [&str; 15] = [
    "alwaysStrict",
    "baseUrl",
    "experimentalDecorators",
    "importsNotUsedAsValues",
    "jsx",
    "jsxFactory",
    "jsxFragmentFactory",
    "jsxImportSource",
    "paths",
    "preserveValueImports",
    "strict",
    "target",
    "useDefineForClassFields",
    "verbatimModuleSyntax",
    "moduleSuffixes",
];

/// The options of a file and of those that it extends, and the names of packages that it extends,
/// which are not read.
///
/// # Errors
/// A sentence: a file is not there, or has a mistake.
pub fn options<'a>(
    first: &Path,
    read: impl Fn(&Path) -> Option<&'a [u8]>,
) -> Result<(Value, Vec<String>), String> {
    let (mut options, mut unread) = (Map::new(), Vec::new());
    let mut left = vec![first.to_owned()];
    let mut count = 0;
    while let Some(path) = left.pop() {
        count += 1;
        let file = path.display().to_string();
        if count > MOST {
            return Err(format!(
                "{file}: more than {MOST} files extend each other; put them together"
            ));
        }
        let bytes = read(&path).ok_or_else(|| format!("{file}: no such file of the app"))?;
        let table = parse(bytes).map_err(|problem| problem.told(&file))?;
        let own = table.get("compilerOptions").and_then(Value::as_object);
        for (key, value) in
            own.into_iter().flatten().filter(|(key, _)| OPTIONS.contains(&key.as_str()))
        {
            // What extends another file goes before it.
            options.entry(key.clone()).or_insert_with(|| value.clone());
        }
        let extended: Vec<&str> = match table.get("extends") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        for text in extended {
            let is_path = text.starts_with(['.', '/']) || text.contains(['\\', ':']);
            if !is_path {
                unread.push(text.to_owned());
                continue;
            }
            let wrong = |why: &str| format!("{file}: extends {text:?} {why}");
            let from = path.parent().unwrap_or(Path::new(""));
            let plain = inside(from, text).map_err(|why| wrong(&why))?;
            let with_end = plain.with_added_extension("json");
            let found = [plain, with_end].into_iter().find(|path| read(path).is_some());
            left.push(found.ok_or_else(|| wrong("is no file of the app; check the path"))?);
        }
    }
    Ok((serde_json::json!({ "compilerOptions": options }), unread))
}

fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    let plain = without_comments(decode(bytes, LARGEST)?);
    let value: Value = serde_json::from_str(&plain)
        .map_err(|error| Problem::new(error.line(), "", format!("no JSON: {error}")))?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Problem::of_file("no object of JSON; write { \"compilerOptions\": {} }")),
    }
}

/// JSON without its comments and without commas before a closing bracket; lines stay.
fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    let mut comma = None;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string(rest),
            '/' if rest.starts_with("//") => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            '/' if rest.starts_with("/*") => {
                let end = rest[2..].find("*/").map_or(rest.len(), |at| at + 4);
                plain.extend(rest[..end].chars().filter(|c| *c == '\n'));
                rest = &rest[end..];
                continue;
            }
            other => other.len_utf8(),
        };
        match first {
            ',' => comma = Some(plain.len()),
            ']' | '}' => {
                if let Some(at) = comma.take() {
                    plain.replace_range(at..=at, " ");
                }
            }
            c if c.is_whitespace() => {}
            _ => comma = None,
        }
        plain.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    plain
}

/// The length of a text in quotes.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<(Value, Vec<String>), String> {
        let files: BTreeMap<&Path, &[u8]> =
            files.iter().map(|(name, text)| (Path::new(*name), text.as_bytes())).collect();
        options(Path::new("tsconfig.json"), |path| files.get(path).copied())
    }

    #[test]
    fn options_are_read_with_those_that_are_extended() {
        let text = "{ // one\n \"extends\": [\"./base\", \"@tsconfig/strict\"], /* \"a */ \"compilerOptions\": \
                    { \"jsx\": \"react-jsx\", \"outDir\": \"/x\", \"paths\": { \"@/*\": [\"./src/*\",], }, }, }";
        let base = "{ \"compilerOptions\": { \"jsx\": \"preserve\", \"jsxImportSource\": \"a//b\\\"/*\" } }";
        let options = json!({ "compilerOptions": { "jsx": "react-jsx", "jsxImportSource": "a//b\"/*",
            "paths": { "@/*": ["./src/*"] } } });
        let expected = (options, vec!["@tsconfig/strict".to_owned()]);
        assert_eq!(read(&[("tsconfig.json", text), ("base.json", base)]), Ok(expected));
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for (text, said) in [
            ("{ \"extends\": \"/etc/passwd\" }", "is outside of the app's folder"),
            ("{ \"extends\": \"../x.json\" }", "is outside of the app's folder"),
            ("{ \"extends\": \"file:///x\" }", "is no path of a file"),
            ("{ \"extends\": \"./none\" }", "is no file of the app"),
            ("{ \"extends\": \"./tsconfig.json\" }", "more than 8 files"),
            ("{", "tsconfig.json:1: no JSON"),
            ("[]", "no object of JSON"),
            ("{ /*", "no JSON"),
            ("\"", "no JSON"),
        ] {
            let why = read(&[("tsconfig.json", text)]).expect_err(text);
            assert!(why.contains(said), "{text}: {why}");
        }
    }
}
