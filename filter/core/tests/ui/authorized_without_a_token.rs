//! That a token fulfils a requirement is said by `authorize` alone.

use portcullis_core::{Authorized, Ground};

fn main() {
    let _ = Ground::Token(Authorized { until: None });
}
