//! What the compiler says to a handler that is none: part of the interface.

#[test]
fn mistakes_are_told_where_they_are_with_a_hint() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
