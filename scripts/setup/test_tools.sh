#!/bin/sh
# Puts promtool, amtool, prometheus, alertmanager, pebble, etcd and etcdctl into .kickoff/tools, where tests look.
# They come from the packages of this Debian or Ubuntu, which are unpacked and not installed: no root is needed.
# What is on the PATH already, or was unpacked before, is not fetched again.
#
# Exit codes: 0 all are there, 2 not a Debian or Ubuntu, 4 a download failed.
set -eu
cd "$(dirname "$0")/../.."
folder=$PWD/.kickoff/tools

missing() {
    for name in promtool amtool prometheus prometheus-alertmanager pebble pebble-challtestsrv etcd etcdctl; do
        command -v "$name" >/dev/null || [ -x "$folder/$name" ] || return 0
    done
    return 1
}

fail() {
    code=$1
    shift
    printf 'error: %s\n' "$*" >&2
    exit "$code"
}

missing || exit 0
for program in apt-get apt-cache dpkg-deb; do
    command -v "$program" >/dev/null ||
        fail 2 "$program is missing: put promtool, amtool, prometheus, prometheus-alertmanager, pebble, etcd and etcdctl on the PATH by hand"
done
mkdir -p "$folder"
work=$(mktemp -d "$folder/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Lists of its own: those of the machine may be old, and only root may renew them.
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/deb" "$work/tree"
apt() {
    program=$1
    shift
    "$program" -qq -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives" \
        -o APT::Sandbox::User= -o APT::Get::List-Cleanup=0 -o Acquire::Retries=1 -o Acquire::http::Timeout=20 "$@"
}
apt apt-get update || fail 4 "the lists of packages could not be fetched"
packages="prometheus prometheus-alertmanager pebble etcd-server etcd-client"
# Newer releases have it apart.
if apt apt-cache show promtool >/dev/null 2>&1; then packages="$packages promtool"; fi
# shellcheck disable=SC2086  # names of packages
(cd "$work/deb" && apt apt-get download $packages) || fail 4 "the packages could not be fetched: $packages"
for package in "$work"/deb/*.deb; do dpkg-deb --extract "$package" "$work/tree"; done
for program in "$work"/tree/usr/bin/*; do mv "$program" "$folder/"; done
# Debian's Alertmanager opens its templates below /usr/share, where what is only unpacked has none. So it is told
# another place, of the same length, and started where that place is.
rm -rf "$folder/alertmanager_shared"
mv "$work/tree/usr/share/prometheus/alertmanager" "$folder/alertmanager_shared"
LC_ALL=C sed 's,/usr/share/prometheus/alertmanager,/proc/self/cwd/alertmanager_shared,g' \
    "$folder/prometheus-alertmanager" >"$folder/alertmanager.unpacked"
cat >"$folder/prometheus-alertmanager" <<'END'
#!/bin/sh
# Paths in the arguments have to be absolute.
cd "$(dirname "$0")" && exec ./alertmanager.unpacked "$@"
END
chmod 755 "$folder/alertmanager.unpacked" "$folder/prometheus-alertmanager"
if missing; then fail 4 "the packages $packages do not have every program"; fi
echo "promtool, amtool, prometheus, alertmanager, pebble, etcd and etcdctl are in $folder"
