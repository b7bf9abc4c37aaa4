//! Causes of failures as the log shows them. SECURITY: names of functions, imports and
//! exports are a guest's own text. The log shows the beginning of each, as it is; no
//! function here formats the whole chain of an error that carries a backtrace.

use wasmtime::{Error, Trap, WasmBacktrace};

use crate::bounded_text::cut;
use crate::capability::log::{EXCERPT, escape, excerpt};

/// Frames of a guest's stack that the log shows, innermost first. Wasmtime copies the
/// name of each when a guest traps; `names.rs` bounds how long a name is.
pub(super) const FRAMES: usize = 12;
/// The longest text of an error that the log shows, in bytes.
const TEXT: usize = 1 << 10;

/// Wasmtime's words for a guest that hands over too much. The error has no public type;
/// the guest does not choose its text. `tests/guests.rs` fails when the text changes.
const FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// Whether a guest handed over more in one call than it may.
pub(super) fn is_fuel_exhausted(error: &Error) -> bool {
    cut(error.root_cause(), TEXT).contains(FUEL_EXHAUSTED)
}

/// The trap and the functions it happened in, on one line.
pub(super) fn of_trap(error: &Error) -> String {
    let cause = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => escape(cut(error.root_cause(), TEXT).as_bytes()),
    };
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return cause };
    let frames = backtrace.frames().iter().take(FRAMES);
    let frames: Vec<String> = frames
        .map(|frame| match frame.func_name() {
            Some(name) => function(name),
            None => format!("function {}", frame.func_index()),
        })
        .collect();
    format!("{cause}, in {}", frames.join(" < "))
}

/// Why a component is not loaded: the causes of an error that no running guest
/// brought about, which therefore has no backtrace.
pub(super) fn of_load(error: &Error) -> String {
    cut(format_args!("{error:#}"), TEXT)
}

/// Why a component cannot be read.
pub(super) fn of_parser(error: &wasmparser::BinaryReaderError) -> String {
    cut(error, TEXT)
}

/// A value of a guest as programs write it.
pub(super) fn debug(value: &impl std::fmt::Debug) -> String {
    cut(format_args!("{value:?}"), EXCERPT)
}

/// The beginning of the error that a compiling process wrote.
pub(super) fn of_compiler(said: &[u8]) -> String {
    String::from_utf8_lossy(said.get(..TEXT).unwrap_or(said)).into_owned()
}

/// The name of a function. Names of Rust's older kind (`_ZN`) are shown without their
/// hash and their escapes: they are no longer for it than by half. SECURITY: names of
/// the newer kind (`_R`) and of C++ refer to their own parts, so that a name of 200
/// bytes can stand for gigabytes; they stay as they are.
fn function(name: &str) -> String {
    if name.len() > EXCERPT || !name.starts_with("_ZN") {
        return excerpt(name);
    }
    let demangled = format_args!("{:#}", rustc_demangle::demangle(name)).to_string();
    excerpt(&demangled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_functions_are_short_and_on_one_line() {
        let long = "x".repeat(1 << 20);
        let elements = format!("_ZN{}E", "1a".repeat(98));
        let bomb = "_RYIC1aNvNvNvC0000TB6_B6_B6_B6_B6_EE";
        for (name, shown) in [
            ("main", "main".to_owned()),
            ("_ZN4core3ops8function6FnOnce9call_once17h05af221e174051e9E", {
                "core::ops::function::FnOnce::call_once".to_owned()
            }),
            ("_ZN36_$LT$alloc..vec..Vec$LT$T$GT$$GT$4push17h05af221e174051e9E", {
                "_ZN36_$LT$alloc..vec..Vec$LT$T$GT$$GT$4push17h05af221e174051e9E".to_owned()
            }),
            (bomb, bomb.to_owned()),
            ("_Z1fI1AIaaES1_IS2_S2_EEvv", "_Z1fI1AIaaES1_IS2_S2_EEvv".to_owned()),
            ("a\r\nb\x1b[31m", "a\\r\\nb\\u{1b}[31m".to_owned()),
            (&long, format!("{}...", "x".repeat(200))),
            (&format!("_ZN{}E", "1a".repeat(10_000)), format!("_ZN{}1...", "1a".repeat(98))),
        ] {
            assert_eq!(function(name), shown, "{name:.80}");
        }
        assert!(function(&elements).starts_with("a::a::a"));
        assert!(function(&elements).len() <= EXCERPT + 3);
    }

    #[test]
    fn what_an_error_says_is_cut() {
        let error = Error::msg("x".repeat(1 << 20));
        for said in [of_trap(&error), of_load(&error), debug(&"x".repeat(1 << 20))] {
            assert!(said.len() <= TEXT + 3, "{} bytes", said.len());
        }
        assert_eq!(of_compiler(&[b'x'; 1 << 20]).len(), TEXT);
        assert_eq!(of_trap(&Error::msg("a\nb")), "a\\nb");
        assert!(!is_fuel_exhausted(&Error::msg("another").context(FUEL_EXHAUSTED)));
    }
}
