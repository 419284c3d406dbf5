#!/usr/bin/env bash
# Makes a bare Debian-like machine ready: Python packages as locked, Java, Maven, Kafka's jars. Quick when all is there.
set -euo pipefail
cd "$(dirname "$0")/../.."
UV_VERSION=0.13.9

need() { # need PROGRAM DEBIAN_PACKAGE
  command -v "$1" >/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing $2" >&2
    apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null
  else
    echo "$1 is missing: install it (Debian: apt-get install $2)" >&2
    exit 1
  fi
}

python=$(command -v python3 || true)
[ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  { echo "Python 3.11 or newer is missing: install it (Debian: apt-get install python3 python3-venv)" >&2; exit 1; }

wanted=$(cat requirements.lock pyproject.toml infra/local/kafka/pom.xml | sha256sum | cut -d' ' -f1)
stamp=.venv/.ready
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && command -v java >/dev/null; then exit 0; fi

uv=$(command -v uv || echo .tools/uv/bin/uv)
if ! [ -x "$uv" ]; then
  "$python" -m venv .tools/uv
  .tools/uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
fi
[ -x .venv/bin/python ] || "$uv" venv --quiet --python "$python" .venv
VIRTUAL_ENV=$PWD/.venv "$uv" pip sync --quiet --require-hashes requirements.lock
VIRTUAL_ENV=$PWD/.venv "$uv" pip install --quiet --no-deps --editable .

need java default-jre-headless
need mvn maven
.venv/bin/python -m infra.local.kafka.jars >/dev/null
echo "$wanted" >"$stamp"
