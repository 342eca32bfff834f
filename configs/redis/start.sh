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
join) # Make one cluster of fresh nodes; one that exists is left as it is.
    shift
    for node in "$@"; do
        until redis-cli -h "${node%:*}" ping | grep -q PONG; do sleep 0.5; done
    done
    if ! redis-cli -h "${1%:*}" cluster info | grep -q '^cluster_state:ok'; then
        known=$(redis-cli -h "${1%:*}" cluster info | sed -n 's/^cluster_known_nodes:\([0-9]*\).*/\1/p')
        if [ "$known" != 1 ]; then
            echo "the cluster knows $known nodes and is not ok: it needs a person, not a new cluster" >&2
            exit 1
        fi
        redis-cli --cluster create "$@" --cluster-replicas 1 --cluster-yes
    fi
    for node in "$@"; do
        until redis-cli -h "${node%:*}" cluster info | grep -q '^cluster_state:ok'; do sleep 0.5; done
    done
    ;;
*)
    umask 077
    { cat "$1"; printf 'requirepass "%s"\nmasterauth "%s"\n' "$password" "$password"; } >/tmp/redis.conf
    exec redis-server /tmp/redis.conf
    ;;
esac
