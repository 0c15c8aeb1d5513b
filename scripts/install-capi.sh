#!/usr/bin/env bash
# Installs the C interface: libbevel.so with its version links, libbevel.a, the headers, bevel.pc and the
# licences. Usage: install-capi.sh FOLDER-OF-THE-BUILD PREFIX [DESTDIR]
set -euo pipefail
build=$(realpath "$1") prefix=$2 destination=${3:-}
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
abi=$(sed -n 's/^#define BEVEL_ABI_VERSION //p' runtime/capi/include/bevel.h)
to=$destination$prefix
install -d "$to/lib/pkgconfig" "$to/include" "$to/share/licenses/bevel"
install -m 755 "$build/libbevel_capi.so" "$to/lib/libbevel.so.$abi.$version"
ln -sf "libbevel.so.$abi.$version" "$to/lib/libbevel.so.$abi"
ln -sf "libbevel.so.$abi" "$to/lib/libbevel.so"
install -m 644 "$build/libbevel_capi.a" "$to/lib/libbevel.a"
install -m 644 runtime/capi/include/bevel.h runtime/capi/include/bevel.hpp "$to/include"
install -m 644 LICENSE-APACHE LICENSE-MIT "$to/share/licenses/bevel"
sed -e "s|@PREFIX@|$prefix|" -e "s|@VERSION@|$version|" runtime/capi/bevel.pc.in \
    >"$to/lib/pkgconfig/bevel.pc"
