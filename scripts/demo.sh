#!/usr/bin/env bash
set -euo pipefail
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  cat <<'HELP'
demo.sh [--keep]

Builds the filter, starts a real Envoy with it between an issuer and an application of its own, and walks through what
Portcullis admits and refuses. Installs what it needs into .tools/. Ends by itself and leaves nothing running.

  --keep      keep everything running after the tour, until Ctrl-C
  ENVOY_BIN   environment: use this Envoy instead of the pinned one
HELP
  exit
fi
source "$(dirname "$0")/lib.sh"

step "tools"
need_rust
scripts/tools.sh envoy
step "the filter"
scripts/build.sh
step "the tour"
exec cargo run --quiet --locked -p portcullis-tests --bin demo -- tour "$@"
