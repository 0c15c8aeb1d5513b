#!/usr/bin/env bash
# Builds what ships to a board: scripts/cross.sh rpi4, or a profile FILE.toml. It comes to stand in
# target/cross/NAME: the program, and libbevel.so and libbevel.a.
#
# It needs Rust's standard library for the board's processor, from rustup or from Debian, and zig, a
# linker that has every version of the C library: what is linked here would else need the C library
# of this machine. Both are fetched where that may be done.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${1:?a board, such as rpi4: one of targets/, or a profile FILE.toml}
[ -f "$profile" ] || profile=targets/$profile.toml
if [ ! -f "$profile" ]; then
    echo "no target \`$1\`; known: $(basename -s .toml targets/*.toml | tr '\n' ' ')" >&2
    exit 2
fi
value() { sed -nE "s/^$1 *= *\"([^\"]+)\".*/\1/p" "$profile"; }
name=$(value name) triple=$(value triple) glibc=$(value glibc)
: "${name:?in $profile}" "${triple:?in $profile}" "${glibc:?in $profile}"
# What a board runs; no microphone, for which the program would need ALSA's library to start. Providers have
# features of their names, and link nothing.
providers=$(sed -n '/^providers *=/,/]/p' "$profile" | tr -d ' "\n' | sed -E 's/^providers=\[//; s/].*//' |
    tr ',' '\n' | sed -E 's/:.*//; /^(cpu)?$/d; s/^/,/' | sort -u | tr -d '\n')
features=${FEATURES:-runtime,text,vision,speech,listen}$providers
build=${PROFILE:-device}

case $triple in
aarch64-*) machine=AArch64 debian=arm64 ;;
armv7-*) machine=ARM debian=armhf ;;
x86_64-*) machine=X86-64 debian=amd64 ;;
esac

# The compiler that has the standard library: the usual one, or Debian's beside it.
compiler() {
    for rustc in "${RUSTC:-rustc}" /usr/bin/rustc; do
        folder=$("$rustc" --print target-libdir --target "$triple" 2>/dev/null) || continue
        compgen -G "$folder/libstd-*.rlib" >/dev/null && echo "$rustc" && return
    done
    return 1
}
packages=(rustc-web "libstd-rust-web-dev:$debian")
if ! compiler >/dev/null; then
    rustup target add "$triple" >/dev/null 2>&1 || scripts/apt.sh "a build for the board needs" "${packages[@]}" || true
fi
if ! RUSTC=$(compiler); then
    echo "missing: Rust's standard library for $triple; install it: rustup target add $triple, or" \
        "sudo apt-get install ${packages[*]}" >&2
    exit 4
fi
export RUSTC

if [ ! -x target/zig/bin/cargo-zigbuild ]; then
    echo "fetching zig, the linker"
    rm -rf target/zig && python3 -m venv target/zig
    # A wheel for x86_64 and one for aarch64 of each.
    target/zig/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
        --require-hashes --only-binary=:all: --requirement /dev/stdin <<'END' ||
ziglang==0.17.1 \
    --hash=sha256:ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54 \
    --hash=sha256:b7c5f02fccd40f89b999ee16a1f5ddced56e6182370f8affe494bcf8a28cf07e
cargo-zigbuild==0.24.0 \
    --hash=sha256:484412e39e4c6039474535ce97ee75a22bab22d58233056f8ec8a8f9034bb957 \
    --hash=sha256:6942e4320f7b05d8fb29e0a8ce5670bcbb3d254275100b85b5b7c86552f9a744
END
        {
            echo "missing: zig; it is the package ziglang of PyPI, beside cargo-zigbuild" >&2
            exit 4
        }
fi
export CARGO_ZIGBUILD_ZIG_PATH=$PWD/target/zig/bin/python-zig

cargo_build() {
    target/zig/bin/cargo-zigbuild zigbuild --locked --profile "$build" --target "$triple.$glibc" \
        --target-dir target/cross/build "$@"
}
cargo_build -p bevel-cli --no-default-features --features "$features"
[ ! -d runtime/capi ] || cargo_build -p bevel-capi ${providers:+--features "${providers#,}"}

# The file is for the board's processor and needs no newer C library than the board has.
check() {
    local needs
    LC_ALL=C readelf -h "$1" | grep -q "Machine:.*$machine" ||
        { echo "$1 is not for $machine" >&2 && return 1; }
    needs=$(LC_ALL=C readelf -W -V "$1" | grep -oE 'Name: GLIBC_[0-9.]+' | grep -oE '[0-9.]+' | sort -V | tail -n 1)
    [ "$(printf '%s\n' "$needs" "$glibc" | sort -V | tail -n 1)" = "$glibc" ] ||
        { echo "$1 needs glibc $needs, $name has $glibc" >&2 && return 1; }
    printf '%-40s %9d bytes  %s, glibc %s or newer\n' "$1" "$(stat -c %s "$1")" "$machine" "$needs"
}
mkdir -p "target/cross/$name"
for file in bevel libbevel.so libbevel.a; do
    # The package has another name, because the Rust library is called bevel.
    made=target/cross/build/$triple/$build/${file/libbevel/libbevel_capi}
    [ -f "$made" ] || continue
    cp "$made" "target/cross/$name/$file"
    case $file in
    *.a) printf '%-40s %9d bytes\n' "target/cross/$name/$file" "$(stat -c %s "$made")" ;;
    *) check "target/cross/$name/$file" ;;
    esac
    # Programs look for a library by the name that it says it has.
    soname=$(LC_ALL=C readelf -d "$made" 2>/dev/null | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
    [ -z "$soname" ] || ln -sfn "$file" "target/cross/$name/$soname"
done
case $machine in
ARM) echo "there is no wheel of ONNX Runtime for $triple: build it, and set ORT_DYLIB_PATH" ;;
*) scripts/onnxruntime.sh "${triple%%-*}" ;;
esac
