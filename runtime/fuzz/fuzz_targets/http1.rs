//! Fuzzes `myweb_run::fuzzing::http1`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| myweb_run::fuzzing::http1(bytes));
