#!/usr/bin/env bash
set -euo pipefail
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  cat <<'HELP'
demo.sh [--keycloak] [--keep]

Builds the filter, starts a real Envoy with it between two issuers and an application of its own, and walks through what
Portcullis admits and refuses, and how browsers sign in, work and sign out. Installs what it needs into .tools/. Ends by
itself and leaves nothing running.

  --keycloak     two real Keycloaks in place of Portcullis' own issuers; needs Java 17, and some minutes the first time
  --keep         keep everything running after the tour, until Ctrl-C, with two portals to try the use cases in a browser of your
                 own: addresses, users, passwords, one-time codes; the Keycloaks' admin consoles too
  ENVOY_BIN      environment: use this Envoy instead of the pinned one
  KEYCLOAK_HOME  environment: use this Keycloak instead of the pinned one
HELP
  exit
fi
source "$(dirname "$0")/lib.sh"

step "tools"
need_rust
scripts/tools.sh envoy
[[ " $* " != *" --keycloak "* ]] || scripts/tools.sh keycloak
step "the filter"
scripts/build.sh
step "the tour"
exec cargo run --quiet --locked -p portcullis-tests --bin demo -- tour "$@"
