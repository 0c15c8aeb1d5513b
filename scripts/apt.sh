#!/usr/bin/env bash
# Installs Debian packages where apt-get is at hand and may do so, else fails and leaves it to the
# caller to say what is missing. NAME:ARCH is a package of another architecture.
# Usage: apt.sh WHAT-FOR PACKAGE...
set -uo pipefail
purpose=$1
shift
command -v apt-get >/dev/null || exit 1
root=()
if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || exit 1
    root=(sudo -n)
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing $*, which $purpose" >&2
for package in "$@"; do
    arch=${package##*:}
    [ "$arch" = "$package" ] || "${root[@]}" dpkg --add-architecture "$arch" || exit 1
done
install=(apt-get install -y --no-install-recommends "$@")
"${root[@]}" "${install[@]}" >/dev/null 2>&1 && exit 0
"${root[@]}" apt-get update >/dev/null 2>&1
"${root[@]}" "${install[@]}" >/dev/null 2>&1 && exit 0
echo "apt-get has failed" >&2
exit 1
