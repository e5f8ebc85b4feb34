#!/usr/bin/env bash
set -euo pipefail
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  cat <<'HELP'
bench.sh [--quick] [--only ROW[,ROW...]] [--rounds N] [--seconds N] [--tokens N] [--json FILE] [--profile] [--publish] [--list]

Measures what Portcullis costs in a real Envoy, beside no filter, an empty wasm filter, and Envoy's own jwt_authn and rbac: CPU
time of the Envoy process for each request, throughput, latency, memory of a VM, size and start. Everything listens on the
loopback; nothing is left running. The machine should have nothing else to do. About a quarter of an hour, with --rounds 3 about
ten minutes; the first run mints tokens for a minute or two more, which serve for a day.

  --quick     the rows that the targets need, briefly: under 3 minutes
  --only      these rows; --list names them
  --rounds    how often each row is measured (5, quick: 3)
  --seconds   how long a load lasts at most (5, quick: 1)
  --tokens    how many different tokens there are of each kind (24000, a sixth of them for the warm-up)
  --json      writes the medians to FILE
  --profile   one more round, in which perf tells whether the time goes to the kernel, to Envoy or into the VM
  --publish   puts the report and the chart into filter/docs
  ENVOY_BIN   environment: use this Envoy instead of the pinned one

Writes report.json, report.md and chart.svg to target/bench.
HELP
  exit
fi
source "$(dirname "$0")/lib.sh"

step "tools"
need_rust
need wrk wrk
[[ " $* " != *" --profile "* ]] || need perf linux-perf
scripts/tools.sh envoy
step "the filter, an empty filter, the benchmark"
scripts/build.sh
cargo build --quiet --locked -p portcullis-noop --target wasm32-wasip1 --release
cargo build --locked -p portcullis-bench --profile tool
step "the benchmark"
exec "${CARGO_TARGET_DIR:-target}/tool/portcullis-bench" "$@"
