//! Claims are not even named outside, so nothing outside can decide by those of a token that was not verified.

use portcullis_core::jose::claims::Claims;

fn main() {}
