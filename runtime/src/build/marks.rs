//! A mark at the end of a component that says what it was built from: an app of
//! scripts keeps an interpreter warm, so it is reused unless something else is
//! said.

use super::Kind;

/// A custom section: 0, its size, its name's size, its name, its content.
const PYTHON: &[u8] = b"\0\x13\x0cmyweb:sourcepython";
const JAVASCRIPT: &[u8] = b"\0\x17\x0cmyweb:sourcejavascript";

/// A component with its mark.
pub(super) fn marked(mut component: Vec<u8>, kind: Kind) -> Vec<u8> {
    component.extend(match kind {
        Kind::Wsgi | Kind::Asgi => PYTHON,
        Kind::JavaScript(_) => JAVASCRIPT,
    });
    component
}

/// Whether a component holds an interpreter with scripts.
pub(crate) fn is_of_scripts(component: &[u8]) -> bool {
    component.ends_with(PYTHON) || component.ends_with(JAVASCRIPT)
}

#[cfg(test)]
mod tests {
    use super::super::Engine;
    use super::*;
    use wasmparser::{Parser, Payload};

    #[test]
    fn a_mark_is_a_section_of_its_own() {
        let plain = wat::parse_str("(component)").unwrap();
        assert!(!is_of_scripts(&plain));
        for kind in [Kind::Wsgi, Kind::JavaScript(Engine::QuickJs)] {
            let marked = marked(plain.clone(), kind);
            assert!(is_of_scripts(&marked));
            let sections = Parser::new(0).parse_all(&marked).filter_map(Result::ok);
            let named = sections.filter(|payload| {
                matches!(payload, Payload::CustomSection(section) if section.name() == "myweb:source")
            });
            assert_eq!(named.count(), 1);
        }
    }
}
