#!/bin/sh
# Runs @NAME@ with Bevel on @BOARD@; README.txt says how.
set -eu

here=$(dirname -- "$(readlink -f -- "$0")")
bevel=$here/bin/bevel
model=$here/model.bevel
ORT_DYLIB_PATH=$here/lib/libonnxruntime.so.1
ORT_DISABLE_TELEMETRY=1
# A service has no home folder to keep engines of TensorRT in.
BEVEL_CACHE_DIR=${BEVEL_CACHE_DIR:-${STATE_DIRECTORY:-}}
export ORT_DYLIB_PATH ORT_DISABLE_TELEMETRY BEVEL_CACHE_DIR

threads=${BEVEL_THREADS:-@THREADS@}
device=${BEVEL_DEVICE:-@DEVICES@}
memory_cap=${BEVEL_MEMORY_CAP:-@MEMORY_MIB@MiB}
cores=${BEVEL_CORES-@CORES@}

# Becomes `bevel VERB` of the model within its limits.
within_limits() {
    verb=$1
    shift
    exec "$bevel" "$verb" "$model" --threads "$threads" --device "$device" --memory-cap "$memory_cap" \
        ${cores:+--cores "$cores"} "$@"
}

usage() {
    cat <<END
usage: run.sh [run] INPUT…       answers; --json for programs, - for standard input
@LISTEN_USAGE@       run.sh bench [INPUT]    how fast it is here
       run.sh doctor           what of this board can be used, and what is wrong
       run.sh self-test        whether everything is as it was deployed and answers alike
       run.sh install          as a service of systemd that starts with the board (asks for root)
       run.sh uninstall        takes the service and /opt/bevel/@NAME@ away
The first start does the self-test. BEVEL_THREADS, BEVEL_DEVICE, BEVEL_MEMORY_CAP and BEVEL_CORES
stand for the options of bevel and their values here: $threads, $device, $memory_cap, ${cores:-all cores}.
END
}

fail() {
    code=$1
    shift
    printf 'self-test: %s\n' "$*" >&2
    return "$code"
}

# Codes are those of bevel: 3 for a file that is not what it was, 4 for another board, 7 for another answer.
self_test() {
    # The last line is there only where all are.
    grep -q '  target\.toml$' "$here/SHA256SUMS" 2>/dev/null ||
        fail 3 "SHA256SUMS is missing or cut off, copy it again" || return
    if command -v sha256sum >/dev/null; then
        sums=$(cd "$here" && LC_ALL=C sha256sum -c SHA256SUMS 2>/dev/null) || {
            bad=$(printf '%s\n' "$sums" | grep -v ': OK$') || true
            fail 3 "not as it was deployed, copy it again:" $bad || return
        }
    fi
    started=$("$bevel" --version 2>&1) ||
        fail 4 "bin/bevel does not start here: $started; it is for @TRIPLE@ with glibc @GLIBC@ or newer" || return
    found=$("$bevel" doctor --target "$here/target.toml" 2>/dev/null) || {
        code=$?
        printf '%s\n' "$found" | grep -A1 '^PROBLEM' >&2 || true
        fail "$code" "this is not @BOARD@ as it was deployed for, or it lacks something" || return
    }
    (within_limits verify --io "$here/self-test.safetensors" --other-machine) >/dev/null ||
        fail $? "the model does not answer as it did when it was deployed" || return
}

# What has passed: this content, within these limits, with this kernel on this kind of machine.
tested() {
    uname -mr
    echo "$threads $device $memory_cap $cores"
    cat "$here/SHA256SUMS"
}

# Where it is remembered: for a service its own folder, else this one. One that may not be written
# means that the next start tests again.
state=${STATE_DIRECTORY:-$here}
stamp=$state/.self-test

first_start() {
    if [ -f "$stamp" ] && [ "$(tested)" = "$(cat "$stamp")" ]; then
        return
    fi
    self_test
    echo "self-test: OK" >&2
    if [ -w "$state" ]; then
        tested >"$stamp.$$"
        mv "$stamp.$$" "$stamp"
    fi
}

# DESTDIR puts it below another folder, without starting anything: for making images.
install() {
    umask 022
    root=${DESTDIR-}
    [ -n "$root" ] || [ "$(id -u)" = 0 ] || exec sudo "$0" install
    to=$root/opt/bevel/@NAME@
    if [ "$here" != "$to" ]; then
        mkdir -p "$root/opt/bevel"
        rm -rf "$to.new" "$to.old"
        cp -R "$here" "$to.new"
        # Whoever unpacked it, the user of the service reads it.
        chmod -R u=rwX,go=rX "$to.new"
        rm -f "$to.new/.self-test"
        if [ -e "$to" ]; then mv "$to" "$to.old"; fi
        mv "$to.new" "$to"
        rm -rf "$to.old"
    fi
    mkdir -p "$root/etc/systemd/system"
    cp "$to"/systemd/* "$root/etc/systemd/system/"
    if [ -z "$root" ]; then
        systemctl daemon-reload
        systemctl enable @UNIT@
        systemctl restart @UNIT@
    fi
}

uninstall() {
    [ "$(id -u)" = 0 ] || exec sudo "$0" uninstall
    systemctl disable --now @UNIT@ || true
    for unit in "$here"/systemd/*; do rm -f "/etc/systemd/system/${unit##*/}"; done
    systemctl daemon-reload
    rm -rf /opt/bevel/@NAME@
}

case ${1-} in
'' | help | -h | --help)
    usage
    exit
    ;;
self-test)
    self_test
    echo OK
    exit
    ;;
install | uninstall)
    "$1"
    exit
    ;;
doctor)
    shift
    exec "$bevel" doctor --target "$here/target.toml" "$@" "$model"
    ;;
run | listen | bench)
    verb=$1
    shift
    ;;
*) verb=run ;;
esac
first_start
within_limits "$verb" "$@"
