//! Fuzzes `myweb_run::fuzzing::requirements`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| myweb_run::fuzzing::requirements(bytes));
