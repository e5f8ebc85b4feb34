# shellcheck shell=bash
# Sourced by every script here: where the repository is, how progress looks, what happens when something is missing.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit
export PATH="$root/.tools/bin:$PATH"
export ENVOY_BIN="${ENVOY_BIN:-$root/.tools/bin/envoy}"

MISSING=77 # exit status: a prerequisite is missing (automake's number for a skipped test)

say() { printf '    %s\n' "$*"; }
step() { printf '\n==> %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
missing() { printf 'missing: %s\n' "$*" >&2; exit "$MISSING"; }

# need COMMAND DEBIAN-PACKAGE...: as root on Debian it is installed, anywhere else the reader is told what to install.
need() {
  local command=$1
  shift
  command -v "$command" >/dev/null && return
  if [[ $EUID != 0 ]] || ! command -v apt-get >/dev/null; then
    missing "$command; install it (Debian: apt-get install $*)"
  fi
  say "apt-get install $*"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >/dev/null ||
    missing "$command; apt-get could not install $*"
}

# Rust is never installed behind the reader's back; what this project needs on top of it is.
need_rust() {
  command -v cargo >/dev/null || missing "cargo; install Rust with rustup"
  need cc gcc libc6-dev
}

# need_target TRIPLE: rustup is asked to change something only when something is missing.
need_target() {
  need_rust
  command -v rustup >/dev/null || missing "rustup, to find the target $1"
  grep -qx "$1" <<<"$(rustup target list --installed)" && return
  say "rustup target add $1"
  rustup target add "$1" || missing "the Rust target $1; rustup could not add it"
}

# need_component NAME COMMAND...: the command proves that the component is there.
need_component() {
  local name=$1
  shift
  "$@" >/dev/null 2>&1 && return
  say "rustup component add $name"
  rustup component add "$name" || missing "the Rust component $name; rustup could not add it"
}
