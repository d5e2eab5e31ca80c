#!/usr/bin/env bash
# Installs what is missing on Debian 12. `build`: what compiling needs; `test`: what the tests need besides.
# A call that finds everything there neither asks the network nor needs any privilege.
set -euo pipefail
cd "$(dirname "$0")/.."

nextest_version=0.9.151

# A program that must be there, and the package that brings it.
build_programs=(cc:gcc ld:binutils)
test_programs=(
    chromium:chromium ffmpeg:ffmpeg ffprobe:ffmpeg ip:iproute2 tc:iproute2 unshare:util-linux mount:mount
    promtool:prometheus python3:python3 setpriv:util-linux srt-live-transmit:srt-tools systemd-analyze:systemd
    cvlc:vlc-bin
)

# Runs the OpenAPI document against the real processes; lives in a folder of its own.
schemathesis_version=4.32.5
peers=target/peers

programs=("${build_programs[@]}")
case "${1:-}" in
build) ;;
test) programs+=("${test_programs[@]}") ;;
*)
    echo "usage: $0 build|test" >&2
    exit 2
    ;;
esac

# tc and ip are in sbin, which is not on everybody's path.
PATH=$PATH:/usr/sbin:/sbin

if ! command -v cargo >/dev/null; then
    echo "cargo is missing. Install Rust first: https://rustup.rs" >&2
    exit 1
fi

packages=()
for entry in "${programs[@]}"; do
    command -v "${entry%%:*}" >/dev/null || packages+=("${entry##*:}")
done
# The plugin has no program of its own.
if [ "$1" = test ] && ! gst-inspect-1.0 --exists rtpst2022-1-fecdec 2>/dev/null; then
    packages+=(gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good)
fi
# Nor have VLC's modules.
if [ "$1" = test ] && ! compgen -G '/usr/lib/*/vlc/plugins/access/libaccess_srt_plugin.so' >/dev/null; then
    packages+=(vlc-plugin-base vlc-plugin-access-extra)
fi

# The compiler alone cannot link without the C library's own files.
if ! [ -e /usr/include/stdio.h ]; then
    packages+=(libc6-dev)
fi

if [ "$1" = test ] && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    packages+=(python3-venv)
fi

if [ ${#packages[@]} -gt 0 ]; then
    mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
    if ! command -v apt-get >/dev/null; then
        echo "These Debian packages, or what your system calls them, are missing: ${packages[*]}" >&2
        exit 1
    fi
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Packages are missing and this user is not root. Have somebody run:" >&2
            echo "    apt-get install ${packages[*]}" >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    echo "installing ${packages[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

if [ "$1" = test ] && ! cargo nextest --version >/dev/null 2>&1; then
    echo "installing cargo-nextest $nextest_version"
    # The runner has nothing heavy to do, so it is compiled for a short build rather than for speed.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --locked --version "$nextest_version" cargo-nextest
fi

if [ "$1" = test ] && ! [ -x "$peers/bin/schemathesis" ]; then
    echo "installing schemathesis $schemathesis_version"
    python3 -m venv "$peers"
    if ! "$peers/bin/pip" install --quiet "schemathesis==$schemathesis_version"; then
        # Its test fails then, unless BILBYCAST_PEERS=optional skips it; all others run.
        echo "schemathesis could not be installed" >&2
        rm -rf "$peers"
    fi
fi
