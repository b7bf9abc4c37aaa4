//! Names of functions in a component, before it is compiled. SECURITY: wasmtime copies
//! the name of each frame when a guest traps. Without a bound, a component of 60 MiB
//! could have 720 MiB copied for one request.

use std::borrow::Cow;

use wasmparser::{KnownCustom, Name, NameSectionReader, Parser, Payload};

/// The longest name of a function that is kept, in bytes. A module with a longer one has
/// no names: its frames are shown by their numbers.
const LONGEST: usize = 16 << 10;

/// Compiled code depends on this file: the version is part of its digest.
pub(super) const VERSION: &str = "names of at most 16 KiB";

/// The name of a section of names, and the name that hides the section from the compiler.
const READ: &[u8] = b"name";
const UNREAD: &[u8] = b"n/a.";

/// The component without names that are too long. A component that cannot be parsed is
/// left to the compiler, which tells why.
pub(super) fn bounded(component: &[u8]) -> Cow<'_, [u8]> {
    let mut bounded = Cow::Borrowed(component);
    for payload in Parser::new(0).parse_all(component) {
        let Ok(payload) = payload else { break };
        let Payload::CustomSection(section) = payload else { continue };
        let KnownCustom::Name(names) = section.as_known() else { continue };
        if !has_long_name(names) {
            continue;
        }
        let end = section.data_offset();
        let name = end.checked_sub(READ.len()).map(|start| start..end);
        if let Some(name) = name.and_then(|range| bounded.to_mut().get_mut(range)) {
            name.copy_from_slice(UNREAD);
        }
    }
    bounded
}

/// Whether a function has a longer name than is kept. The compiler, too, reads a section
/// as far as it is sound.
fn has_long_name(names: NameSectionReader<'_>) -> bool {
    names.into_iter().map_while(Result::ok).any(|part| match part {
        Name::Function(functions) => {
            let mut functions = functions.into_iter().map_while(Result::ok);
            functions.any(|function| function.name.len() > LONGEST)
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component of two modules whose functions have names of these lengths.
    fn component(one: usize, other: usize) -> Vec<u8> {
        let module = |length: usize| {
            let name = "x".repeat(length);
            format!("(core module (func) (func (@name \"{name}\")) (func (@name \"last\")))")
        };
        let (one, other) = (module(one), module(other));
        wat::parse_str(format!("(component {one} (component {other}))")).unwrap()
    }

    /// The names of functions that a compiler finds.
    fn found(component: &[u8]) -> usize {
        let payloads = Parser::new(0).parse_all(component).map(Result::unwrap);
        let names = payloads.filter_map(|payload| match payload {
            Payload::CustomSection(section) => match section.as_known() {
                KnownCustom::Name(names) => Some(names.into_iter().count()),
                _ => None,
            },
            _ => None,
        });
        names.sum()
    }

    #[test]
    fn a_module_with_a_long_name_has_none() {
        for (one, other, sections) in
            [(1, LONGEST, 2), (1, LONGEST + 1, 1), (LONGEST + 1, 1, 1), (LONGEST + 1, 1 << 20, 0)]
        {
            let component = component(one, other);
            let bounded = bounded(&component);
            assert_eq!(bounded.len(), component.len());
            assert_eq!(found(&bounded), sections, "{one} {other}");
            assert_eq!(matches!(bounded, Cow::Borrowed(_)), sections == 2);
        }
    }

    #[test]
    fn a_broken_section_loses_its_long_names_too() {
        let mut broken = component(LONGEST + 1, 1);
        // The last name of the first module ends beyond its section.
        let at = broken.windows(5).position(|window| window == b"\x04last").unwrap();
        broken[at] = 0x7f;
        assert_eq!(found(&bounded(&broken)), 1);
        for length in (0..broken.len()).step_by(101) {
            bounded(&broken[..length]);
        }
    }
}
