#!/usr/bin/env bash
# Makes a bare Debian-like machine ready: Python packages as locked, Java, Maven, Kafka's jars. Quick when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
UV_VERSION=0.13.9
export UV_PYTHON_DOWNLOADS=never # the machine's own Python, or none

fail() {
  echo "$1 is missing: install it (Debian: apt-get install $2)" >&2
  exit 1
}

# install WHAT PACKAGE…: by apt as root, else one line that says what to do.
install() {
  local what=$1
  shift
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then fail "$what" "$*"; fi
  echo "installing $*" >&2
  apt-get update -qq >/dev/null || true # an old list may still do
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null || fail "$what" "$*"
}

python_ok() { python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

java_ok() {
  local version
  version=$("${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p') || return 1
  [ "${version:-0}" -ge 17 ]
}

uv() {
  local program
  program=$(type -P uv || echo .tools/uv/bin/uv)
  if ! [ -x "$program" ]; then
    python3 -m venv .tools/uv
    .tools/uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
  fi
  "$program" --quiet "$@"
}

jars() { .venv/bin/python -m infra.local.kafka.jars >/dev/null; }

stamp=.venv/.ready
wanted=$(cat requirements.lock pyproject.toml infra/local/kafka/pom.xml infra/local/bootstrap.sh | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  jars && exit 0 # checks Java and the jars, and fetches them again where `.tools` was emptied
fi

python_ok || install "Python 3.11 or newer" python3 python3-venv
python_ok || fail "Python 3.11 or newer" "python3 python3-venv"
java_ok || install "Java 17 or newer" default-jre-headless
java_ok || install "Java 17 or newer" openjdk-17-jre-headless
command -v mvn >/dev/null || install Maven maven

[ -x .venv/bin/python ] || uv venv --python python3 .venv
export VIRTUAL_ENV=$PWD/.venv
uv pip sync --require-hashes requirements.lock
uv pip install --no-deps --editable .
jars
.venv/bin/python -m services.scheduler.domain.policies.warm # compiled once, kept beside the code
echo "$wanted" >"$stamp"
