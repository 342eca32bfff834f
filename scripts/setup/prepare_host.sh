#!/bin/sh
# Prepares a fresh Debian or Ubuntu host for the deployments of one environment. Running it again changes
# nothing that is as it should be.
#
#   sh prepare_host.sh --check                        what it would do; changes nothing, needs no root
#   sudo sh prepare_host.sh --key-file deploy.pub     do it
#
#   --user NAME       who deploys (default: deploy)
#   --key-file FILE   public SSH key of whoever deploys from elsewhere; a runner on the host needs none
#   --docker WHERE    where Docker comes from: any (default: the distribution when it is new enough, else
#                     Docker's own repository), distribution, or docker
#
# Exit codes: 0 nothing is left to do, 1 with --check something is, 2 wrong use or host, 4 a download failed.
set -eu

ENGINE=28
COMPOSE=2.38
PYTHON=3.11
DOCKER_SOURCE=https://download.docker.com/linux
# The key that Docker signs its repository with: https://docs.docker.com/engine/install/debian/
DOCKER_KEY=9DC858229FC7DD38854AE2D88D81803C0EBFCD88

check=false user=deploy key_file='' docker=any
changes=0

fail() {
    code=$1
    shift
    printf 'error: %s\n' "$*" >&2
    exit "$code"
}

ok() {
    printf '✓ %s\n' "$*"
}

# Says what is done, or would be; succeeds when it shall be done.
change() {
    changes=$((changes + 1))
    if "$check"; then
        printf '+ would %s\n' "$*"
        return 1
    fi
    printf '+ %s\n' "$*"
}

note() {
    printf '  note: %s\n' "$*"
}

at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

number() {
    sed -n 's/[^0-9]*\([0-9][0-9]*\(\.[0-9][0-9]*\)*\).*/\1/p' | head -n 1
}

installed() {
    dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

candidate() {
    apt-cache policy "$1" 2>/dev/null | sed -n 's/ *Candidate: *\([0-9]*:\)\{0,1\}//p' | number
}

refreshed=false
refresh() {
    if ! "$refreshed"; then
        apt-get update --quiet=2 || fail 4 "the package lists cannot be fetched: see /etc/apt/sources.list.d"
        refreshed=true
    fi
}

install_packages() {
    refresh
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "$@" >/dev/null ||
        fail 4 "apt-get could not install $*"
}

need() {
    missing=''
    for package in "$@"; do
        installed "$package" || missing="$missing $package"
    done
    if [ -z "$missing" ]; then
        ok "packages $*"
    elif change "install$missing"; then
        # shellcheck disable=SC2086 # a list of names
        install_packages $missing
    fi
}

the_system() {
    [ -r /etc/os-release ] || fail 2 "this is neither Debian nor Ubuntu: there is no /etc/os-release"
    # shellcheck disable=SC1091 # the host's own
    . /etc/os-release
    case "$ID ${ID_LIKE:-}" in
        debian* | ubuntu* | *debian*) ok "system ${PRETTY_NAME:-$ID}" ;;
        *) fail 2 "this is ${PRETTY_NAME:-$ID}: only Debian and Ubuntu are prepared by this script" ;;
    esac
    family=debian
    case "$ID ${ID_LIKE:-}" in *ubuntu*) family=ubuntu ;; esac
    release=${UBUNTU_CODENAME:-${VERSION_CODENAME:-}}
}

the_python() {
    need python3 python3-venv ca-certificates git
    if command -v python3 >/dev/null; then
        found=$(python3 --version | number)
        at_least "$found" "$PYTHON" || fail 2 "Python $found is too old, $PYTHON is needed: take a newer system"
        ok "Python $found"
    fi
}

docker_is_good() {
    command -v docker >/dev/null || return 1
    engine=$(docker version --format '{{.Server.Version}}' 2>/dev/null | number)
    compose=$(docker compose version --short 2>/dev/null | number)
    [ -n "$engine" ] && [ -n "$compose" ] && docker buildx version >/dev/null 2>&1 || return 1
    at_least "$engine" "$ENGINE" && at_least "$compose" "$COMPOSE"
}

the_docker() {
    if docker_is_good; then
        ok "Docker Engine $engine, compose $compose, buildx"
        return
    fi
    "$check" || refresh
    plugin='docker-compose'
    if [ "$family" = ubuntu ]; then plugin='docker-compose-v2'; fi
    engine=$(candidate docker.io) compose=$(candidate "$plugin")
    if [ "$docker" != docker ] && [ -n "$engine" ] && at_least "$engine" "$ENGINE" &&
        [ -n "$compose" ] && at_least "$compose" "$COMPOSE"; then
        buildx='docker-buildx'
        if [ -z "$(candidate "$buildx")" ]; then buildx='docker-buildx-plugin'; fi
        if change "install Docker $engine and compose $compose from the distribution"; then
            install_packages docker.io docker-cli "$plugin" "$buildx"
        fi
    elif [ "$docker" = distribution ]; then
        fail 2 "the distribution has Docker ${engine:-not at all}, compose ${compose:-not at all}; needed are" \
            "$ENGINE and $COMPOSE: choose --docker docker"
    elif change "install Docker from its own repository ($DOCKER_SOURCE/$family $release); the distribution has" \
        "Docker ${engine:-not at all}, compose ${compose:-not at all}"; then
        from_docker
    fi
    if ! "$check"; then
        start_docker
        docker_is_good || fail 4 "Docker was installed, but its engine does not answer: see journalctl -u docker"
        ok "Docker Engine $engine, compose $compose, buildx"
    fi
}

from_docker() {
    install_packages ca-certificates curl gnupg
    keyring=/etc/apt/keyrings/docker.asc
    install -d -m 0755 /etc/apt/keyrings
    curl --fail --silent --show-error --location --max-time 60 --output "$keyring.new" \
        "$DOCKER_SOURCE/$family/gpg" || fail 4 "$DOCKER_SOURCE cannot be reached"
    gpg --show-keys --with-colons "$keyring.new" | grep -q "^fpr:::::::::$DOCKER_KEY:" || {
        rm -f "$keyring.new"
        fail 4 "the key at $DOCKER_SOURCE/$family/gpg is not Docker's, $DOCKER_KEY: nothing was installed"
    }
    mv "$keyring.new" "$keyring"
    chmod 0644 "$keyring"
    printf 'deb [arch=%s signed-by=%s] %s/%s %s stable\n' "$(dpkg --print-architecture)" "$keyring" \
        "$DOCKER_SOURCE" "$family" "$release" >/etc/apt/sources.list.d/docker.list
    refreshed=false
    install_packages docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin
}

start_docker() {
    if [ -d /run/systemd/system ]; then
        systemctl enable --now docker >/dev/null 2>&1 || fail 4 "the Docker service does not start"
    fi
}

the_user() {
    if id "$user" >/dev/null 2>&1; then
        ok "user $user"
    elif change "add the user $user, without a password"; then
        useradd --create-home --shell /bin/bash "$user"
    fi
    if id -nG "$user" 2>/dev/null | tr ' ' '\n' | grep -qx docker; then
        ok "$user is in the group docker"
    elif change "put $user into the group docker"; then
        usermod --append --groups docker "$user"
    fi
    note "the group docker is as good as root: give the key of $user to nobody else"
    home=$(getent passwd "$user" | cut -d: -f6)
    home=${home:-/home/$user}
}

# A folder of the user's that nobody else can look into.
own_folder() {
    if [ -d "$1" ] && [ "$(stat -c '%a %U' "$1")" = "700 $user" ]; then
        ok "$1"
    elif change "make $1, mode 0700, of $user"; then
        install -d -m 0700 -o "$user" -g "$(id -gn "$user")" "$1"
    fi
}

the_state() {
    for folder in .local .local/state .local/state/kickoff; do
        own_folder "$home/$folder"
    done
}

the_key() {
    [ -n "$key_file" ] || return 0
    own_folder "$home/.ssh"
    keys=$home/.ssh/authorized_keys
    if [ -r "$keys" ] && grep -qxF "$(cat "$key_file")" "$keys"; then
        ok "the key of $key_file"
    elif change "let the key of $key_file in as $user"; then
        cat "$key_file" >>"$keys"
        chown "$user:$(id -gn "$user")" "$keys"
        chmod 0600 "$keys"
    fi
}

the_ssh_server() {
    if ! command -v sshd >/dev/null && [ ! -x /usr/sbin/sshd ]; then
        note "no SSH server here: deployments have to run on this host, by a runner of $user"
        return
    fi
    drop_in=/etc/ssh/sshd_config.d/10-kickoff.conf
    if [ -f "$drop_in" ]; then
        ok "SSH takes keys alone ($drop_in)"
    elif [ ! -s "$home/.ssh/authorized_keys" ] && [ -z "$key_file" ]; then
        note "SSH is left as it is: without --key-file, keys alone might lock you out"
    elif change "let SSH take keys alone ($drop_in)"; then
        printf '%s\n' 'PasswordAuthentication no' 'KbdInteractiveAuthentication no' \
            'PermitRootLogin prohibit-password' >"$drop_in"
        if ! /usr/sbin/sshd -t; then
            rm -f "$drop_in"
            fail 2 "the SSH server does not take $drop_in; it was removed again"
        fi
        if [ -d /run/systemd/system ]; then systemctl reload ssh; fi
        note "your own session stays; try a new one with a key before you end it"
    fi
}

the_updates() {
    need unattended-upgrades
    periodic=/etc/apt/apt.conf.d/20auto-upgrades
    if [ -r "$periodic" ] && grep -q 'Unattended-Upgrade "1"' "$periodic"; then
        ok "security updates by themselves"
    elif change "turn security updates on ($periodic)"; then
        printf '%s\n' 'APT::Periodic::Update-Package-Lists "1";' 'APT::Periodic::Unattended-Upgrade "1";' \
            >"$periodic"
    fi
    note "an update of Docker restarts the containers: hold it with 'apt-mark hold docker.io docker-ce', and" \
        "update it yourself"
}

while [ $# -gt 0 ]; do
    case $1 in
        --check) check=true ;;
        --user | --key-file | --docker)
            [ $# -ge 2 ] || fail 2 "$1 needs a value"
            case $1 in --user) user=$2 ;; --key-file) key_file=$2 ;; --docker) docker=$2 ;; esac
            shift
            ;;
        --help | -h)
            sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        *) fail 2 "unknown argument $1: see --help" ;;
    esac
    shift
done
case $docker in any | distribution | docker) ;; *) fail 2 "--docker is any, distribution or docker" ;; esac
printf '%s' "$user" | grep -qxE '[a-z][a-z0-9-]{0,30}' || fail 2 "--user is no name of a user"
if [ -n "$key_file" ]; then
    [ -r "$key_file" ] || fail 2 "$key_file cannot be read"
    [ "$(wc -l <"$key_file")" -le 1 ] || fail 2 "$key_file has more than one line: give one public key"
    grep -qE '^(ssh-(ed25519|rsa)|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+) ' "$key_file" ||
        fail 2 "$key_file is no public SSH key"
fi
"$check" || [ "$(id -u)" = 0 ] || fail 2 "this needs root: run it with sudo, or look first with --check"

the_system
the_python
the_docker
the_user
the_state
the_key
the_ssh_server
the_updates
note "firewall: let 22, 80 and 443 in (staging: its PUBLIC_PORT) and nothing else. Ports that Docker publishes" \
    "pass by ufw: keep to the provider's firewall, or to the chain DOCKER-USER"

if "$check"; then
    printf '\n%s changes would be made\n' "$changes"
    [ "$changes" -eq 0 ] || exit 1
else
    printf '\n%s changes were made; next: kickoff doctor --env staging\n' "$changes"
fi
