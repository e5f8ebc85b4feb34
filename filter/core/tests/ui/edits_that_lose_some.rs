//! What is stripped stays stripped.

use portcullis_core::HeaderEdits;

fn lose(mut edits: HeaderEdits) -> HeaderEdits {
    edits.remove.clear();
    edits
}

fn main() {
    let _ = lose(HeaderEdits::default());
}
