#!/usr/bin/env bash
# Installs and starts what Firstlight uses on Debian or Ubuntu, and leaves alone what is there already.
#
#   tests/machine.sh setup    what `make setup` needs: venv
#   tests/machine.sh demo     … and `make demo`: aria2, caddy, git, a C compiler
#   tests/machine.sh          … and the whole test suite: Docker with BuildKit, a registry, mmdebstrap, tini, mkfs.ext2,
#                             Chromium
#
# Exit 1, with the commands to run, when it is neither root nor allowed to use sudo without a password.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
PATH=$PATH:/usr/sbin:/sbin # where an ordinary user of Debian does not look: dockerd, mkfs.ext2

what=${1:-all}
oldest_docker=23
packages=()

has() { command -v "$1" >/dev/null 2>&1; }
say() { printf 'machine.sh: %s\n' "$*"; }
die() { printf 'machine.sh: %s\n' "$@" >&2; exit 1; }
want() { has "$1" || packages+=("${2:-$1}"); }

case $what in
    setup | demo | all) ;;
    *) printf 'usage: tests/machine.sh [setup|demo|all]\n' >&2; exit 2 ;;
esac

has python3 || packages+=(python3)
if has python3; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "python3 is $(python3 -V | cut -d' ' -f2), and Firstlight needs 3.11 or later" \
            'hint: use Debian 12 or Ubuntu 24.04 or later, or put a newer python3 first on PATH'
fi
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
if [[ $what != setup ]]; then
    want aria2c aria2
    want caddy
    want git
    has cc || packages+=(gcc libc6-dev)
    python3 -c 'import pathlib, sysconfig, sys; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' \
        2>/dev/null || packages+=(python3-dev)
fi

docker_answers() { docker version --format '{{.Server.Version}}' 2>/dev/null; }
docker_is_fine() {
    local version
    version=$(docker_answers) && ((${version%%.*} >= oldest_docker)) && docker buildx version >/dev/null 2>&1
}
if [[ $what == all ]]; then
    want tini
    want mmdebstrap
    want docker-registry
    want ps procps
    want mkfs.ext2 e2fsprogs
    has chromium || packages+=(chromium fonts-dejavu-core)
    if ! docker_is_fine; then
        # A remote or foreign daemon is somebody's choice: it is reported, not replaced.
        [[ -z ${DOCKER_HOST:-} ]] || die "no usable Docker answers at DOCKER_HOST=$DOCKER_HOST" \
            'hint: start it, or unset DOCKER_HOST to use one on this machine'
        has dockerd || packages+=(docker.io)
        docker buildx version >/dev/null 2>&1 || packages+=(docker-buildx)
    fi
fi

if [[ $(id -u) == 0 ]]; then
    root=()
elif has sudo && sudo -n true 2>/dev/null; then
    root=(sudo -n env DEBIAN_FRONTEND=noninteractive)
else
    root=(none)
fi

refuse() {
    die "$1 needs root, and there is no sudo without a password" 'hint: run as root:' "    $2"
}

debian_mirror() { # the mirror that this machine already uses for its own packages
    local uri
    uri=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
    [[ -n $uri ]] || uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
        sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+) +bookworm +.*/\2/p' | head -1)
    printf '%s' "$uri"
}

# Debian 12 has Docker 20.10, whose BuildKit knows neither heredocs nor build contexts. These packages of Debian 13 run
# on Debian 12 as they are; the pin keeps everything else away.
pin_trixie() {
    local mirror
    grep -qrs trixie /etc/apt/sources.list /etc/apt/sources.list.d && return
    mirror=$(debian_mirror)
    [[ -n $mirror ]] || die 'no Debian mirror found in /etc/apt' 'hint: write the mirror of this machine into /etc/apt/sources.list'
    printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
        "$mirror" | "${root[@]}" tee /etc/apt/sources.list.d/trixie.sources >/dev/null
    printf 'Package: *\nPin: release n=trixie\nPin-Priority: -10\n\n%s\nPin: release n=trixie\nPin-Priority: 990\n' \
        'Package: docker.io docker-cli docker-buildx containerd docker-registry mmdebstrap' |
        "${root[@]}" tee /etc/apt/preferences.d/docker-from-trixie >/dev/null
}

if ((${#packages[@]})); then
    command="apt-get update && apt-get install -y --no-install-recommends ${packages[*]}"
    has apt-get || die "missing: ${packages[*]}" 'hint: install them with your package manager; only Debian and Ubuntu are known here'
    [[ ${root[0]:-} != none ]] || refuse "installing ${packages[*]}" "$command"
    say "installing ${packages[*]}"
    # shellcheck source=/dev/null
    if [[ " ${packages[*]} " == *" docker"* && $(. /etc/os-release && echo "${VERSION_CODENAME:-}") == bookworm ]]; then
        pin_trixie
    fi
    # caddy, docker-registry and aria2 are used as programs; their packages would start servers on well-known ports.
    quiet=
    if [[ ! -e /usr/sbin/policy-rc.d ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee /usr/sbin/policy-rc.d >/dev/null
        "${root[@]}" chmod 755 /usr/sbin/policy-rc.d
        quiet=yes
    fi
    failed=
    "${root[@]}" apt-get update -q || failed=yes
    # Debian has split the client from docker.io since 13, Ubuntu has not.
    [[ " ${packages[*]} " != *" docker.io "* ]] || ! apt-cache show docker-cli >/dev/null 2>&1 || packages+=(docker-cli)
    [[ -n $failed ]] || "${root[@]}" apt-get install -y -q --no-install-recommends "${packages[@]}" || failed=yes
    [[ -z $quiet ]] || "${root[@]}" rm -f /usr/sbin/policy-rc.d
    [[ -z $failed ]] || die 'the installation failed (see above)' "hint: $command"
    if [[ -d /run/systemd/system ]]; then
        for server in caddy docker-registry; do
            [[ " ${packages[*]} " != *" $server "* ]] || "${root[@]}" systemctl disable -q --now "$server" 2>/dev/null || true
        done
    fi
fi
[[ $what == all ]] || exit 0

# A daemon that was killed leaves its number behind, and another process, or its own remains, may bear it now. Docker
# takes either for the daemon itself: it waits for a containerd that is no more, and does not start beside a dockerd.
forget() { # FILE PROGRAM: remove FILE unless PROGRAM lives under the number in it
    local number
    number=$("${root[@]}" cat "$1" 2>/dev/null || true)
    [[ -n $number ]] || return 0
    ! { grep -qs '^State:[[:space:]]*[RSDT]' "/proc/$number/status" &&
        [[ $(cat "/proc/$number/comm" 2>/dev/null) == "$2" ]]; } || return 0
    "${root[@]}" rm -f "$1"
}

if ! docker_answers >/dev/null; then
    [[ ${root[0]:-} != none ]] || refuse 'starting Docker' 'systemctl start docker    # or: setsid dockerd >/var/log/dockerd.log 2>&1 &'
    if [[ ! -e /etc/docker/daemon.json ]]; then
        "${root[@]}" mkdir -p /etc/docker
        printf '{"features": {"containerd-snapshotter": true}}\n' | "${root[@]}" tee /etc/docker/daemon.json >/dev/null
    fi
    if [[ -d /run/systemd/system ]]; then
        say 'starting Docker with systemd'
        "${root[@]}" systemctl start docker
    else
        forget /var/run/docker.pid dockerd
        forget /var/run/docker/containerd/containerd.pid containerd
        say 'starting dockerd; its log is /var/log/dockerd.log'
        "${root[@]}" sh -c 'setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null 9>&- &'
    fi
    for ((i = 0; i < 300; i++)); do
        "${root[@]}" docker version >/dev/null 2>&1 && break
        sleep 0.2
    done
    "${root[@]}" docker version >/dev/null 2>&1 || {
        "${root[@]}" tail -n 20 /var/log/dockerd.log >&2 2>/dev/null || true
        die 'Docker did not start within a minute' 'hint: the lines above, or `journalctl -u docker`, say why'
    }
    docker_answers >/dev/null || die "Docker runs, and $(id -un) may not use it" \
        "hint: sudo usermod -aG docker $(id -un), then log in again"
fi
docker_is_fine || die "Docker $(docker_answers) is too old, or has no buildx: $oldest_docker with buildx is needed" \
    'hint: install docker.io and docker-buildx of your distribution, or the packages of docs.docker.com/engine/install'
say "ready: Docker $(docker_answers), $(docker buildx version | cut -d' ' -f1-2)"
