//! What the types promise to whoever uses this crate: none of the programs in `ui` compiles. The messages
//! are those of the pinned compiler; `TRYBUILD=overwrite` writes them anew.

#![cfg(not(target_family = "wasm"))]

#[test]
fn a_proof_is_made_by_nobody_else() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
