#!/bin/sh
# start.sh CONFIGURATION | check | passwords | join NODES
# Passwords come from files and go into files: an argument could be read by every user of the host.
set -eu
umask 077
# What a server was told since it started is newer than what it mounts.
own=/tmp/password
if [ -e "$own" ]; then password=$(cat "$own"); else password=$(cat /run/secrets/redis_password); fi
export REDISCLI_AUTH="$password"

case "$1" in
check) # Answers, and in a cluster knows a server for every slot.
    redis-cli ping | grep -q PONG
    if redis-cli info cluster | grep -q '^cluster_enabled:1'; then
        redis-cli cluster info | grep -q '^cluster_state:ok'
    fi
    ;;
passwords) # Take those on standard input, one a line, and no others; the first becomes this server's own.
    read -r first
    read -r second || second=
    redis-cli -e <<END
acl setuser default resetpass >$first ${second:+>$second}
config set masterauth $first
END
    printf %s "$first" >"$own.new"
    mv "$own.new" "$own"
    ;;
join) # Make one cluster of fresh nodes, leave one that exists as it is, and watch that it is whole.
    shift
    known() { redis-cli -h "${1%:*}" cluster info | sed -n 's/^cluster_known_nodes:\([0-9]*\).*/\1/p'; }
    for node in "$@"; do
        until redis-cli -h "${node%:*}" ping | grep -q PONG; do sleep 0.5; done
    done
    fresh=yes
    for node in "$@"; do
        [ "$(known "$node")" = 1 ] || fresh=no
    done
    if [ "$fresh" = yes ]; then
        redis-cli --cluster create "$@" --cluster-replicas 1 --cluster-yes
    fi
    while :; do
        blind=
        for node in "$@"; do
            redis-cli -h "${node%:*}" cluster info 2>/dev/null | grep -q '^cluster_state:ok' || blind="$blind ${node%:*}"
        done
        if [ -z "$blind" ]; then touch /tmp/whole; else rm -f /tmp/whole; fi
        [ "$blind" = "${told-?}" ] || echo "knows no server for some slots:${blind:- no node, the cluster is whole}"
        told=$blind
        sleep 1
    done
    ;;
*)
    printf %s "$password" >"$own"
    former=$(cat /run/secrets/redis_password_former)
    {
        cat "$1"
        printf 'user default on >%s %s ~* &* +@all\n' "$password" "${former:+>$former}"
        printf 'masterauth %s\n' "$password"
    } >/tmp/redis.conf
    exec redis-server /tmp/redis.conf
    ;;
esac
