#!/bin/sh
# server.sh run | promote
# One of two servers. Which of them may be written says /run/primary; the other one follows it, whatever it was before.
set -eu
configuration=config_file=/etc/postgresql/postgresql.conf

case "$1" in
run)
    primary=$(cat /run/primary)
    if [ "$primary" = "$SERVER" ]; then exec docker-entrypoint.sh postgres -c "$configuration"; fi
    umask 077
    printf '*:*:*:replicator:%s\n' "$(cat /run/secrets/postgres_replication_password)" >/tmp/pgpass
    export PGPASSFILE=/tmp/pgpass
    # Only what follows already can go on: an empty volume, an interrupted clone and a former primary are cloned anew.
    if [ ! -e "$PGDATA/standby.signal" ]; then
        until pg_isready --quiet --host "$primary"; do sleep 1; done
        find "$PGDATA" -mindepth 1 -delete
        pg_basebackup --host "$primary" --username replicator --no-password --pgdata "$PGDATA" \
            --wal-method stream --slot "$REPLICATION_SLOT" --write-recovery-conf --checkpoint fast
    fi
    exec postgres -c "$configuration" -c primary_slot_name="$REPLICATION_SLOT" \
        -c primary_conninfo="host=$primary user=replicator passfile=/tmp/pgpass application_name=$REPLICATION_SLOT"
    ;;
promote) # Take writes, and keep the log for the one that is to follow. Once more changes nothing.
    psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet --username postgres --dbname postgres \
        --set slot="$REPLICATION_SLOT" <<'SQL'
SELECT pg_promote() WHERE pg_is_in_recovery();
SELECT pg_create_physical_replication_slot(:'slot', true)
WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = :'slot');
SQL
    ;;
*)
    sed -n 2p "$0" >&2
    exit 2
    ;;
esac
