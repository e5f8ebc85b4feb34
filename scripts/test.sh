#!/usr/bin/env bash
# test.sh [STAGE...]: every check of this repository, or the stages named; -h lists them.
# A missing prerequisite skips its stage, loudly; with CI=true it fails it.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

stages=(format clippy deny docs unit wasm fuzz build e2e keycloak browser demo)

describe() {
  case $1 in
    format) echo "rustfmt changes nothing" ;;
    clippy) echo "clippy has nothing to say, natively and for WebAssembly" ;;
    deny) echo "licences, duplicates and sources of the dependencies" ;;
    docs) echo "the documentation builds without a warning" ;;
    unit) echo "the core's tests, natively" ;;
    wasm) echo "the core's tests in WebAssembly, in Node" ;;
    fuzz) echo "each fuzz target, briefly, from its seeds" ;;
    build) echo "the filter: size, imports, no machine path" ;;
    e2e) echo "the filter in a real Envoy" ;;
    keycloak) echo "the filter with two real Keycloaks" ;;
    browser) echo "the use cases in Chromium, with two real Keycloaks" ;;
    demo) echo "the demonstration runs from start to end" ;;
    advisories) echo "RustSec advisories; on demand only: their database is on the network" ;;
    *) return 1 ;;
  esac
}

stage_format() {
  need_component rustfmt cargo fmt --version
  cargo fmt --all --check
  [[ ! -e filter/fuzz/Cargo.toml ]] || cargo fmt --manifest-path filter/fuzz/Cargo.toml --check # not in the workspace
}

stage_clippy() {
  need_component clippy cargo clippy --version
  need_target wasm32-wasip1
  cargo clippy --locked --workspace --all-targets -- -D warnings
  cargo clippy --locked -p portcullis --target wasm32-wasip1 -- -D warnings
}

stage_deny() {
  scripts/tools.sh deny
  cargo-deny --locked check --allow duplicate licenses bans sources
  # Two versions of one crate cost bytes and audits in what ships; what only the tests link may have them.
  cargo-deny --locked --exclude portcullis-tests --exclude portcullis-bench --exclude-dev check bans
}

stage_advisories() {
  scripts/tools.sh deny
  cargo-deny --locked check advisories
}

stage_docs() { RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps; }

# Cargo calls it a success when no test ran.
some_test_ran() { grep -q '^test result: ok\. [1-9]' "$log" || die "no test ran"; }

stage_unit() {
  cargo test --locked -p portcullis-core | tee "$log"
  some_test_ran
}

# 32-bit usize, and time and entropy of another host: the same tests, as wasm-bindgen-test runs them.
stage_wasm() {
  need node nodejs
  need_target wasm32-unknown-unknown
  scripts/tools.sh wasm-bindgen-test-runner
  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner WASM_BINDGEN_TEST_TIMEOUT=600 \
    cargo test --locked -p portcullis-core --lib --target wasm32-unknown-unknown | tee "$log"
  some_test_ran
}

stage_fuzz() {
  need_rust
  need c++ g++
  command -v rustup >/dev/null || missing "rustup, to find a nightly toolchain"
  if ! grep -q '^nightly' <<<"$(rustup toolchain list)"; then
    say "rustup toolchain install nightly"
    rustup toolchain install nightly --profile minimal || missing "a nightly toolchain, which libFuzzer needs"
  fi
  scripts/tools.sh fuzz
  cargo metadata --locked --format-version 1 --manifest-path filter/fuzz/Cargo.toml >/dev/null # is its Cargo.lock up to date?
  local targets target
  targets=$(cargo +nightly fuzz list --fuzz-dir filter/fuzz)
  [[ $targets ]] || die "no fuzz target"
  for target in $targets; do
    say "fuzz target $target"
    mkdir -p "filter/fuzz/corpus/$target"
    cargo +nightly fuzz run --fuzz-dir filter/fuzz "$target" "filter/fuzz/corpus/$target" "filter/fuzz/seeds/$target" -- \
      -runs=20000 -max_total_time=20 -seed=1 -dict="filter/fuzz/dictionaries/$target.txt" -verbosity=0 -print_final_stats=1
  done
}

stage_build() { scripts/build.sh; }

stage_e2e() {
  scripts/tools.sh envoy
  [[ ${verdict[build]:-} ]] || scripts/build.sh
  cargo test --locked -p portcullis-tests --lib --bins --test e2e
  cargo test --locked -p portcullis-tests --doc
}

stage_keycloak() {
  scripts/tools.sh envoy keycloak
  [[ ${verdict[build]:-} ]] || scripts/build.sh
  cargo test --locked -p portcullis-tests --test keycloak | tee "$log"
  some_test_ran
}

stage_browser() {
  scripts/tools.sh envoy keycloak
  [[ ${CHROMEDRIVER:-} ]] || need chromedriver chromium chromium-driver fonts-dejavu-core
  [[ ${verdict[build]:-} ]] || scripts/build.sh
  rm -rf target/browser
  # Two at a time: a browser of its own for each, beside the two servers.
  cargo test --locked -p portcullis-tests --test browser -- --test-threads=2 | tee "$log"
  some_test_ran
  say "what was to be seen: target/browser"
}

stage_demo() { scripts/demo.sh; }

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  printf 'test.sh [STAGE...]\n\n'
  for stage in "${stages[@]}" advisories; do printf '  %-12s%s\n' "$stage" "$(describe "$stage")"; done
  exit
fi
(($# == 0)) || stages=("$@")
for stage in "${stages[@]}"; do describe "$stage" >/dev/null || die "no such stage: $stage (see test.sh -h)"; done

need_rust
log=$(mktemp)
trap 'rm -f "$log"' EXIT
declare -A verdict took
passed=0 failed=0 skipped=0

for stage in "${stages[@]}"; do
  step "$stage: $(describe "$stage")"
  SECONDS=0
  if [[ ${verdict[build]:-} == failed && $stage =~ ^(e2e|keycloak|browser|demo)$ ]]; then
    say "there is no module to test"
    status=1
  else
    # Not in a condition: there, bash would go on after a command that failed.
    set +e
    (set -e; "stage_$stage") </dev/null
    status=$?
    set -e
  fi
  took[$stage]=$SECONDS
  if ((status == 0)); then
    verdict[$stage]=passed passed=$((passed + 1))
  elif ((status == MISSING)) && [[ ${CI:-} != true ]]; then
    verdict[$stage]=SKIPPED skipped=$((skipped + 1))
  else
    verdict[$stage]=FAILED failed=$((failed + 1))
  fi
  say "$stage ${verdict[$stage]} after ${took[$stage]} s"
done

step "summary"
for stage in "${stages[@]}"; do printf '%-12s%-8s%5d s  %s\n' "$stage" "${verdict[$stage]}" "${took[$stage]}" "$(describe "$stage")"; done
printf '\n%d passed, %d failed' "$passed" "$failed"
((skipped == 0)) || printf ', %d skipped' "$skipped"
printf '\n'
((failed == 0))
