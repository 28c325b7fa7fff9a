#!/usr/bin/env bash
# Prepare everything the project needs: system packages, .venv, the pinned Python packages, the project.
# Does nothing where it is already done (the Makefile calls it only when its inputs changed).
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "setup: $1" >&2; exit 1; }

missing_packages() {
  grep -v '^#' envs/system-packages.txt | while read -r package; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || echo "$package"
  done
}

install_system_packages() {
  command -v dpkg-query >/dev/null ||
    fail "this is not Debian or Ubuntu; install the equivalents of envs/system-packages.txt, then run with SYSTEM_PACKAGES=skip"
  local packages
  packages=$(missing_packages | xargs)
  [ -z "$packages" ] && return
  if [ "$(id -u)" -ne 0 ]; then
    fail "system packages are missing; run: sudo apt-get install --no-install-recommends $packages"
  fi
  echo "setup: installing system packages: $packages"
  apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
}

[ "${SYSTEM_PACKAGES:-install}" = skip ] || install_system_packages

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$("$python" --version) is too old; Python 3.11 or newer is needed (set PYTHON=/path/to/python3.11)"

[ -x .venv/bin/python ] || "$python" -m venv .venv
echo "setup: installing Python packages into .venv (several gigabytes the first time)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r envs/requirements.lock
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
touch .venv/.ready
