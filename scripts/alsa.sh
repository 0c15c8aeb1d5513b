#!/usr/bin/env bash
# Sees that the microphone can be built: on Linux it needs the header files of ALSA and pkg-config.
# Installs them where that can be done, else names the command. Prints the flags for
# cargo: none, or those that leave the microphone out, which it says aloud
# (an error under BEVEL_REQUIRE=models).
set -euo pipefail
cd "$(dirname "$0")/.."

found() { [ "$(uname -s)" != Linux ] || { command -v pkg-config && pkg-config --exists alsa; } >/dev/null 2>&1; }
found && exit 0

packages=(libasound2-dev pkg-config)
"$(dirname "$0")/apt.sh" "the microphone needs" "${packages[@]}" || true
found && exit 0

echo "missing: the header files of ALSA; install them: sudo apt-get install ${packages[*]}" >&2
if [ "${BEVEL_REQUIRE:-}" = models ]; then
    echo "BEVEL_REQUIRE=models is set: nothing may be left out" >&2
    exit 1
fi
echo "going on WITHOUT the microphone: \`bevel listen\` hears files and standard input only" >&2
echo "--no-default-features --features bevel-cli/convert,bevel-cli/listen"
