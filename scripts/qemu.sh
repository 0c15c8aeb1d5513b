#!/usr/bin/env bash
# Sees that programs for ARM run on this machine, emulated by QEMU: the emulator, the system's
# libraries for both kinds of ARM, and target/qemu, which stands in for the board's own files.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(qemu-user-static)
for arch in arm64 armhf; do
    packages+=("libc6:$arch" "libgcc-s1:$arch")
done
packages+=(libstdc++6:arm64)
found() {
    command -v qemu-aarch64-static qemu-arm-static >/dev/null &&
        [ -e /lib/ld-linux-aarch64.so.1 ] && [ -e /lib/ld-linux-armhf.so.3 ] &&
        [ -e /usr/lib/aarch64-linux-gnu/libstdc++.so.6 ]
}
found || scripts/apt.sh "runs for other processors need" "${packages[@]}" || true
if ! found; then
    echo "missing: QEMU, or libraries for ARM; install them: sudo dpkg --add-architecture arm64;" \
        "sudo dpkg --add-architecture armhf; sudo apt-get update; sudo apt-get install ${packages[*]}" >&2
    exit 4
fi

# QEMU shows the processor of this machine under the name of the board's, which the library that ONNX
# Runtime asks about processors does not survive. With `-L target/qemu` it shows this one: a Cortex-A72.
mkdir -p target/qemu/proc
for core in 0 1; do
    printf '%s\t: %s\n' processor $core BogoMIPS 108.00 Features "fp asimd evtstrm crc32 cpuid" \
        "CPU implementer" 0x41 "CPU architecture" 8 "CPU variant" 0x0 "CPU part" 0xd08 "CPU revision" 3
    echo
done >target/qemu/proc/cpuinfo
