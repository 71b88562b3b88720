# What scripts/run and scripts/test share. Sourced, with bash.

# shellcheck shell=bash
unset CDPATH
ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# Where cargo puts what it builds, from the point of view of $ROOT.
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
# A user's path often lacks the administrator's tools.
PATH=$PATH:/usr/sbin:/sbin

DPDK_VERSION=22.11
DPDK_DRIVERS=(mempool_ring net_af_packet net_null net_pcap net_ring)

say() { printf '%s\n' "$*"; }

die() {
    printf '%s\n' "$@" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" -eq 0 ]; }

can_be_root() { is_root || has sudo; }

as_root() {
    if is_root; then
        "$@"
    else
        sudo -- "$@"
    fi
}

# --- Rust -----------------------------------------------------------------------------------------------------------

cargo_version() { "$1" --version 2>/dev/null | awk '{print $2}'; }

# at_least FOUND WANTED
at_least() { [ -n "$1" ] && printf '%s\n%s\n' "$2" "$1" | sort -V -C; }

# Ends with instructions unless there is a cargo that can build this.
need_cargo() {
    local wanted found='' candidate where
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$ROOT/Cargo.toml")
    for candidate in cargo "${CARGO_HOME:-$HOME/.cargo}/bin/cargo"; do
        where=$(command -v "$candidate") || continue
        found=$(cargo_version "$where")
        if at_least "$found" "$wanted"; then
            PATH=$(dirname -- "$where"):$PATH
            return
        fi
    done
    local lines=("macsec-gw needs Rust $wanted or newer, and this machine has ${found:-none}.")
    if has rustup; then
        lines+=("Get it with:" "  rustup default stable && rustup update stable")
    else
        lines+=("Get it from https://rustup.rs, as the user who builds:")
        has curl || lines+=("  ${SUDO}apt-get install curl ca-certificates")
        lines+=("  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y")
        lines+=("  . \"\$HOME/.cargo/env\"")
    fi
    if is_root && [ -n "${SUDO_USER:-}" ]; then
        lines+=("If $SUDO_USER has it: run this without sudo; it asks for sudo itself where it must.")
    fi
    die "${lines[@]}"
}

# --- Packages -------------------------------------------------------------------------------------------------------

SUDO=$(is_root || echo 'sudo ')

compiles() { echo '#include <stdlib.h>' | cc -E -x c - >/dev/null 2>&1; }

has_dpdk() { pkg-config --atleast-version="$DPDK_VERSION" libdpdk 2>/dev/null; }

# The library and, apart from it, the headers that belong to the compiler.
has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] || {
        compgen -G '/usr/lib*/llvm*/lib*/libclang*.so*' || compgen -G '/usr/lib*/libclang*.so*' ||
            compgen -G '/usr/lib/*/libclang*.so*'
    } >/dev/null && {
        compgen -G '/usr/lib*/llvm*/lib*/clang/*/include/stddef.h' || compgen -G '/usr/lib*/clang/*/include/stddef.h'
    } >/dev/null
}

# has_driver NAME: whether DPDK would find this plugin.
has_driver() { compgen -G "$(pkg-config --variable=libdir libdpdk)/dpdk/pmds-*/librte_$1.so*" >/dev/null; }

# What building needs and this machine lacks, as names of Debian's and Ubuntu's packages.
missing_to_build() {
    has cc && compiles || printf '%s\n' gcc libc6-dev
    has pkg-config || echo pkg-config
    has_dpdk || echo libdpdk-dev
    has_libclang || echo libclang-dev
    # Without it cargo trusts no registry.
    ! has apt-get || [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
}

# The same for the demo: a command that proves the package is there, and the package.
missing_to_demonstrate() {
    has ip || echo iproute2
    has ping || echo iputils-ping
    has ethtool || echo ethtool
    has tcpdump || echo tcpdump
    has setpriv || echo util-linux
}

# Drivers that libdpdk-dev did not bring. Their packages are named after DPDK's ABI.
missing_drivers() {
    local driver prefix
    for driver in "${DPDK_DRIVERS[@]}"; do
        has_driver "$driver" && continue
        prefix=librte-${driver//_/-}
        apt-cache pkgnames "$prefix" 2>/dev/null | grep -E "^$prefix-?[0-9.]+$" | sort -V | tail -n 1 | grep . ||
            echo "$prefix"
    done
}

# install_packages WHAT-FOR PACKAGE…: nothing is asked, and nothing is done without packages.
install_packages() {
    local purpose=$1
    shift
    [ $# -gt 0 ] || return 0
    if ! has apt-get; then
        die "$purpose takes what Debian calls: $*" "Install it with this system's package manager, then run this again."
    fi
    can_be_root || die "$purpose takes packages that only root can install: apt-get install $*"
    say "installing with apt, $purpose takes it: $*"
    local log
    log=$(mktemp)
    if ! { apt_get update && apt_get install --yes --no-install-recommends "$@"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "apt-get could not install: $*"
    fi
    rm -f "$log"
}

apt_get() {
    # A fresh machine may still be busy with its first updates.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# Installs what building and the demo need.
need_packages() {
    local packages
    mapfile -t packages < <(missing_to_build)
    install_packages building "${packages[@]}"
    has_dpdk || die "DPDK $DPDK_VERSION or newer is needed; here is $(pkg-config --modversion libdpdk 2>/dev/null || echo none)." \
        "Debian 12 and Ubuntu 24.04 have it. One built from source: set PKG_CONFIG_PATH to where its libdpdk.pc is."
    mapfile -t packages < <(missing_drivers)
    install_packages "a port without a NIC" "${packages[@]}"
    mapfile -t packages < <(missing_to_demonstrate)
    install_packages "the demo" "${packages[@]}"
}
