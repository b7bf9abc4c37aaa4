//! What fuzzers call: each function takes bytes of an attacker and panics where a
//! promise is broken. `runtime/fuzz` has a program for each; the test below calls
//! each with some thousand inputs.

use std::path::Path;

use crate::build::requirements::{self, Entry};
use crate::build::{package_json, package_lock, pyproject, takes};
use crate::{config, server, wasm};

/// A function for a fuzzer, and inputs that reach far.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Also the name of its program.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: &'static [&'static [u8]],
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "component", run: component, seeds: COMPONENTS },
    Target { name: "http1", run: http1, seeds: REQUESTS },
    Target { name: "configuration", run: configuration, seeds: CONFIGURATIONS },
    Target { name: "requirements", run: requirements, seeds: REQUIREMENTS },
    Target { name: "packages", run: packages, seeds: PACKAGES },
    Target { name: "mywebignore", run: mywebignore, seeds: PATTERNS },
];

/// Reads a component's exports, marks and names, before it is compiled.
pub fn component(bytes: &[u8]) {
    wasm::inspect(bytes);
}

/// Checks the framing of HTTP/1.1. Bytes that arrive in pieces are judged as bytes
/// that arrive together.
pub fn http1(bytes: &[u8]) {
    let together = server::framing_accepts(bytes.chunks(bytes.len().max(1)));
    for size in [1, 2, 3, 7, 64] {
        let apart = server::framing_accepts(bytes.chunks(size));
        assert_eq!(together, apart, "in pieces of {size} bytes");
    }
}

/// Reads a configuration file. Each fault has a line of the file.
pub fn configuration(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    config::judge(Path::new("/srv/myweb.toml"), &text);
}

/// Reads requirements. The line that uv gets of each means the same when it is read again.
pub fn requirements(bytes: &[u8]) {
    let _ = pyproject::parse(bytes);
    let _ = pyproject::check_settings(bytes);
    for (_, entry) in requirements::parse(bytes).unwrap_or_default() {
        let Entry::Package(package) = entry else { continue };
        let line = package.line();
        let again = requirements::parse(line.as_bytes()).map(|mut entries| entries.pop());
        let again = again.ok().flatten().map(|(_, entry)| entry);
        assert_eq!(again, Some(Entry::Package(package)), "{line}");
    }
}

/// Reads a `package.json` and a lock file.
pub fn packages(bytes: &[u8]) {
    let manifest = package_json::parse(bytes).unwrap_or_default();
    for registry in [None, Some("https://registry.example/")] {
        let _ = package_lock::parse(bytes, &manifest, registry);
    }
}

/// Reads a `.mywebignore`. A secret is let in by no line but one with `!`.
pub fn mywebignore(bytes: &[u8]) {
    for path in ["key.pem", "a/b.txt", ".env", "secrets/a", "a/b/c/d.key"] {
        let is_taken = takes(bytes, Path::new(path));
        let is_secret = path != "a/b.txt";
        assert!(!is_secret || bytes.contains(&b'!') || is_taken != Some(true), "{path}");
    }
}

const COMPONENTS: &[&[u8]] = &[
    b"\0asm\x0d\0\x01\0",
    // Exports an instance named `a`.
    b"\0asm\x0d\0\x01\0\x04\x08\0asm\x0d\0\x01\0\x05\x04\x01\0\0\0\x0b\x06\x01\0\x01a\x05\0\0",
    b"\0asm\x0d\0\x01\0\0\x13\x0cmyweb:sourcepython",
    // A module with a function that has a name.
    b"\0asm\x0d\0\x01\0\x01\x25\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x04\x01\x02\0\x0b\
      \0\x0b\x04name\x01\x04\x01\0\x01a",
    // A list of variables that are read at import.
    b"\0asm\x0d\0\x01\0\0\x0e\x0bmyweb:reads[]",
];

const REQUESTS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: x\r\n\r\n",
    b"GET / HTTP/1.2\r\nA: b\r\n c\r\n\r\n",
];

const CONFIGURATIONS: &[&[u8]] = &[
    b"listen = [\"127.0.0.1:0\"]\nlimits = { memory = \"16MiB\", cpu = \"50ms\" }\n\
      [[tenant]]\nname = \"a\"\nhosts = [\"a.example\", \"*.a.example\"]\n\
      [[tenant.route]]\npath = \"/*\"\nmethods = [\"GET\"]\napp = \"a.wasm\"\n\
      grants = { keyvalue = [\"visits\"], env = { A = \"b\" }, outbound = [\"https://b.example\"] }\n",
    b"[[tenant]]\nname = \"a\"\nhosts = [\"a\"]\n[[tenant.route]]\npath = \"/:b\"\nredirect = \"/c\"\n",
    b"access-log = { path = \"a.log\" }\nlimits = { rate = \"1/s\" }\n",
];

const REQUIREMENTS: &[&[u8]] = &[
    b"flask>=3,<4\n# a comment\nnumpy[a,b]==1.2.* ; python_version >= '3.8'\n",
    b"click==8.1.7 \\\n    --hash=sha256:ae74fb96c20a0277a1d615f1e4d73c8414f5a98db8b799a7931d1582f3390c28\n",
    b"-r base.txt\n-c bounds.txt\n--pre\n--require-hashes\n./a-1-py3-none-any.whl\n",
    b"-e .\n--index-url https://a.example\na @ git+https://b.example/a\n",
    b"[project]\nname = \"a\"\nversion = \"1\"\ndependencies = [\"flask>=3\"]\n[tool.uv]\nsources = {}\n",
];

const PACKAGES: &[&[u8]] = &[
    br#"{"dependencies":{"hono":"^4.0.0","a":"npm:b@1","c":"file:../c"},"scripts":{"install":"x"}}"#,
    br#"{"name":"a","lockfileVersion":3,"packages":{"":{"dependencies":{"hono":"^4"}},
        "node_modules/hono":{"version":"4.0.0","resolved":"https://registry.npmjs.org/hono/-/hono-4.0.0.tgz",
        "integrity":"sha512-AAAA"}}}"#,
];

const PATTERNS: &[&[u8]] = &[
    b"# tests\ntests/\n*.txt\n!public.pem\n/a/**/b\n",
    b"!key.pem\n[a-z]?.log\n\\#a\n",
    b"{a,b}/*.key\n**/secrets\n",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs of each target.
    const INPUTS: u32 = 20_000;

    /// A generator of numbers that are the same each time (xorshift).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % bound.max(1) as u64).unwrap()
        }

        /// A seed with some bytes changed, removed, repeated or taken from another.
        fn input(&mut self, seeds: &[&[u8]]) -> Vec<u8> {
            let mut input = seeds[self.below(seeds.len())].to_vec();
            for _ in 0..=self.below(4) {
                let at = self.below(input.len());
                let length = self.below(input.len() - at).min(16);
                match self.below(5) {
                    0 if !input.is_empty() => input[at] = u8::try_from(self.below(256)).unwrap(),
                    1 => drop(input.drain(at..at + length)),
                    2 => input.extend_from_within(at..at + length),
                    3 => input.insert(at, u8::try_from(self.below(256)).unwrap()),
                    _ => {
                        let other = seeds[self.below(seeds.len())];
                        let from = self.below(other.len());
                        input.truncate(at);
                        input.extend(&other[from..]);
                    }
                }
            }
            input
        }
    }

    #[test]
    fn hostile_inputs_break_no_promise() {
        for target in TARGETS {
            let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
            target.seeds.iter().for_each(|seed| (target.run)(seed));
            for _ in 0..INPUTS {
                (target.run)(&numbers.input(target.seeds));
            }
        }
    }

    #[test]
    fn each_target_has_a_program() {
        for Target { name, .. } in TARGETS {
            let program = format!("{}/fuzz/fuzz_targets/{name}.rs", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&program).unwrap_or_default();
            assert!(text.contains(&format!("fuzzing::{name}(")), "{program}");
        }
    }
}
