//! Generated from the WIT files by wit-bindgen: what the server offers beside the
//! handler's own interfaces. A component imports what it uses.
#![allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, clippy::pedantic)]

wit_bindgen::generate!({
    world: "capabilities",
    path: "wit",
    generate_all,
});
