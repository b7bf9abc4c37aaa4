//! Fuzzes `myweb_run::fuzzing::mywebignore`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| myweb_run::fuzzing::mywebignore(bytes));
