#!/usr/bin/env bash
# Builds the filter for Envoy, and refuses a module that Envoy could not load or that names this machine.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

limit=900000 # bytes; every worker thread compiles the module
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
module=$target/wasm32-wasip1/release/portcullis.wasm

need_target wasm32-wasip1
need node nodejs

# The same source gives the same bytes wherever it is built: no path of this machine reaches a panic message.
# The last prefix that matches counts, so the narrow ones come last.
cargo fetch --locked --target wasm32-wasip1
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
flags=("--remap-path-prefix=$cargo_home=/cargo" "--remap-path-prefix=$sysroot=/rust"
  "--remap-path-prefix=$root=/portcullis" "--remap-path-prefix=$target=/target")
for registry in "$cargo_home"/registry/src/*/; do
  flags+=("--remap-path-prefix=${registry%/}=/crates")
done
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS
cargo build --locked -p portcullis --target wasm32-wasip1 --release

node scripts/wasm-check.mjs "$module" "$limit" "$cargo_home" "$sysroot" "$root" "$target"
