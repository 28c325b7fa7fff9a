#!/usr/bin/env bash
# Install what only tests need, where that is possible: as root on Debian or Ubuntu, with a network. Elsewhere
# nothing happens; tests that miss a package are skipped and name it. SYSTEM_PACKAGES=skip keeps hands off.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "${SYSTEM_PACKAGES:-install}" = skip ] && exit
[ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || exit 0
# A machine of a real cluster has its own Slurm.
[ -e /etc/slurm/slurm.conf ] && exit
packages=$(grep -v '^#' envs/test-packages.txt | while read -r package; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || echo "$package"
done | xargs)
[ -z "$packages" ] && exit
echo "setup: installing packages for tests: $packages"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null || true
# Each by itself: one that a distribution lacks (Ubuntu has no Chromium to install) keeps none of the others away.
for package in $packages; do
  apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
    echo "setup: not installed ($package); tests that need it are skipped" >&2
done
