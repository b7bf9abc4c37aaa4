//! What fuzzers call: each function takes bytes of an attacker and panics where a
//! promise is broken. `runtime/fuzz` has a program for each; the test below calls
//! each with some thousand inputs.

use std::path::Path;

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
];

/// Reads a component's exports and marks, before it is compiled.
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

const COMPONENTS: &[&[u8]] = &[
    b"\0asm\x0d\0\x01\0",
    // Exports an instance named `a`.
    b"\0asm\x0d\0\x01\0\x04\x08\0asm\x0d\0\x01\0\x05\x04\x01\0\0\0\x0b\x06\x01\0\x01a\x05\0\0",
    b"\0asm\x0d\0\x01\0\0\x13\x0cmyweb:sourcepython",
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
