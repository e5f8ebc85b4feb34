#!/usr/bin/env bash
# Builds the filter for Envoy, and refuses a module that Envoy could not load or that names this machine.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

limit=900000 # bytes; every worker thread compiles the module
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
module=$target/wasm32-wasip1/release/portcullis.wasm

need_target wasm32-wasip1
need node nodejs
scripts/tools.sh wasm-opt

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

# Cargo puts its own module back whenever it is asked to build, so wasm-opt never reads what it wrote. The flags name what
# rustc uses beyond wasm-opt's defaults.
small=${module%.wasm}.opt
if [[ ! $small -nt $module || ! $small -nt scripts/build.sh || ! $small -nt .tools/wasm-opt.pin ]]; then
  wasm-opt -O3 --enable-bulk-memory --enable-nontrapping-float-to-int "$module" -o "$small"
fi
cp --remove-destination "$small" "$module"

node scripts/wasm-check.mjs "$module" "$limit" "$cargo_home" "$sysroot" "$root" "$target"
