#!/usr/bin/env bash
# Sees that the C interface can be tested: a C++ compiler, valgrind, strace, nm and pkg-config. Installs
# what is missing where that can be done; else its tests are skipped aloud, an error under
# BEVEL_REQUIRE=models.
set -euo pipefail
[ "$(uname -s)" = Linux ] || exit 0

missing() {
    for pair in c++:g++ nm:binutils pkg-config:pkg-config strace:strace valgrind:valgrind; do
        command -v "${pair%%:*}" >/dev/null || echo "${pair##*:}"
    done
}
mapfile -t packages < <(missing)
[ "${#packages[@]}" = 0 ] && exit 0
"$(dirname "$0")/apt.sh" "tests of the C interface need" "${packages[@]}" || true
mapfile -t packages < <(missing)
[ "${#packages[@]}" = 0 ] && exit 0
echo "missing for tests of the C interface; install it: sudo apt-get install ${packages[*]}" >&2
[ "${BEVEL_REQUIRE:-}" != models ]
