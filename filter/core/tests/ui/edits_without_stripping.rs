//! What is changed of a request begins with what is stripped: no edits come from elsewhere.

use portcullis_core::HeaderEdits;

fn main() {
    let _ = HeaderEdits { remove: Vec::new(), set: Vec::new() };
}
