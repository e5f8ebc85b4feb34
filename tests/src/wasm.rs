//! The test filters in `tests/wasm`, built when a test needs them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Builds a filter of `tests/wasm` as the product is built, once in a process, and says where it is.
///
/// # Panics
/// When it does not build.
pub fn build(package: &str) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    // Whoever comes second waits for the first.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    built.entry(package.to_owned()).or_insert_with(|| cargo(package)).clone()
}

fn cargo(package: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(crate::repository());
    command.args(["build", "--quiet", "--locked", "--release", "--target", "wasm32-wasip1", "-p", package]);
    let output = command.output().unwrap_or_else(|e| panic!("cargo does not run: {e}"));
    assert!(output.status.success(), "{package}: {}", String::from_utf8_lossy(&output.stderr));
    let module = format!("wasm32-wasip1/release/{}.wasm", package.replace('-', "_"));
    crate::envoy::target().join(module)
}
