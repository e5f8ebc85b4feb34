//! The demonstration: not written yet.
fn main() {}
