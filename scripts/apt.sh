#!/usr/bin/env bash
# Installs packages of the system where apt-get is at hand and may do so; says what for.
# Usage: apt.sh WHAT-FOR PACKAGE... Prints nothing on standard output; fails where nothing was installed.
set -euo pipefail
purpose=$1
shift
command=(apt-get install -y --no-install-recommends "$@")
root=()
[ "$(id -u)" = 0 ] || root=(sudo -n)
command -v apt-get >/dev/null || exit 1
[ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || exit 1
echo "installing $*, which $purpose" >&2
export DEBIAN_FRONTEND=noninteractive
"${root[@]}" "${command[@]}" >/dev/null 2>&1 ||
    { "${root[@]}" apt-get update >/dev/null 2>&1 && "${root[@]}" "${command[@]}" >/dev/null 2>&1; } ||
    { echo "apt-get has failed" >&2 && exit 1; }
