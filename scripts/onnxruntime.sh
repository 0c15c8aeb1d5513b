#!/usr/bin/env bash
# Puts ONNX Runtime under target/onnxruntime/ARCH, from its PyPI wheel, once: for this machine, or for
# the processor that is named (x86_64, aarch64).
# 1.28.0, because official builds from 1.29.0 on carry telemetry that is on by default.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.28.0
case "${1:-$(uname -m)}" in
x86_64)
    arch=x86_64
    hash=0a83bdb70d143cede762b677789bf2a7acca54b3fb82565601d5c30695aa933c
    ;;
aarch64 | arm64)
    arch=aarch64
    hash=4e81a23df16e7acb9d51b06d30cc098e49315ef9180f97bc2221d167b4b04d9c
    ;;
*)
    echo "no ONNX Runtime wheel for ${1:-$(uname -m)}; build it and set ORT_DYLIB_PATH" >&2
    exit 4
    ;;
esac

folder=target/onnxruntime/$arch
library=libonnxruntime.so.$version
if [ ! -f "$folder/$library" ]; then
    echo "fetching ONNX Runtime $version ($arch)"
    partial=$folder.partial
    rm -rf "$partial" && mkdir -p "$partial"
    echo "onnxruntime==$version --hash=sha256:$hash" >"$partial/requirements.txt"
    # The wheel of one Python version, whichever runs here, so that there is one hash.
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary=:all: --python-version 3.12 --implementation cp \
        --platform "manylinux_2_28_$arch" --platform "manylinux_2_27_$arch" \
        --dest "$partial" --requirement "$partial/requirements.txt"
    python3 -m zipfile -e "$partial"/onnxruntime-*.whl "$partial/wheel"
    mv "$partial/wheel/onnxruntime/capi/$library" "$partial/wheel/onnxruntime/LICENSE" \
        "$partial/wheel/onnxruntime/ThirdPartyNotices.txt" "$partial/"
    rm -rf "$partial/wheel" "$partial"/*.whl "$partial/requirements.txt" "$folder"
    ln -sfn "$library" "$partial/libonnxruntime.so"
    mv "$partial" "$folder"
fi
[ -z "${1:-}" ] || exit 0
ln -sfn "$arch" target/onnxruntime/host
# Programs in target/PROFILE look into ../lib.
ln -sfn onnxruntime/host target/lib
