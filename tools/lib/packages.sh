# SPDX-License-Identifier: Apache-2.0
# Debian packages, by what needs them; sourced by scripts.

packages_build=(
    build-essential cmake ninja-build pkg-config
    libcurl4-openssl-dev libev-dev libjansson-dev libmicrohttpd-dev libnghttp2-dev libssl-dev
    libyaml-dev protobuf-compiler
)
packages_sandbox=(libgrpc-dev libprotobuf-c-dev protobuf-c-compiler zlib1g-dev)
packages_bench=(haproxy nghttp2-proxy openssl python3 python3-venv util-linux)
packages_test=(
    busybox ca-certificates chromium chromium-driver clang clang-format clang-tidy curl git iproute2
    libclang-rt-14-dev libcmocka-dev openssl pmccabe procps prometheus python3 python3-jsonschema
    python3-pytest python3-pytest-xdist python3-selenium python3-venv python3-yaml shellcheck
    systemd util-linux
)

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# install_packages NAME...: those that are missing, and nothing when none is.
install_packages() {
    local package missing=()
    for package in "$@"; do
        if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$'; then
            missing+=("$package")
        fi
    done
    if [ ${#missing[@]} = 0 ]; then
        return 0
    fi
    echo "installing Debian packages: ${missing[*]}"
    as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
            --no-install-recommends "${missing[@]}"
}
