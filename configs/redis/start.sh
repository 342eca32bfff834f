#!/bin/sh
# start.sh CONFIGURATION | check | join NODES
# The password comes from a file and goes into a file: an argument could be read by every user of the host.
set -eu
password=$(cat /run/secrets/redis_password)
export REDISCLI_AUTH="$password"

case "$1" in
check) # Answers, and in a cluster knows a server for every slot.
    redis-cli ping | grep -q PONG
    if redis-cli info cluster | grep -q '^cluster_enabled:1'; then
        redis-cli cluster info | grep -q '^cluster_state:ok'
    fi
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
    umask 077
    { cat "$1"; printf 'requirepass "%s"\nmasterauth "%s"\n' "$password" "$password"; } >/tmp/redis.conf
    exec redis-server /tmp/redis.conf
    ;;
esac
