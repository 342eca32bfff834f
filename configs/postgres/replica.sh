#!/bin/sh
# Clones the primary into an empty volume, then follows it. To clone anew, remove the volume.
set -eu
umask 077
printf '*:*:*:replicator:%s\n' "$(cat /run/secrets/postgres_replication_password)" >/tmp/pgpass
export PGPASSFILE=/tmp/pgpass
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # What an interrupted clone left is not a database.
    find "$PGDATA" -mindepth 1 -delete
    pg_basebackup --host "$PRIMARY" --username replicator --no-password --pgdata "$PGDATA" \
        --wal-method stream --slot "$REPLICATION_SLOT" --write-recovery-conf --checkpoint fast
fi
exec postgres -c config_file=/etc/postgresql/postgresql.conf -c primary_slot_name="$REPLICATION_SLOT" \
    -c primary_conninfo="host=$PRIMARY user=replicator passfile=/tmp/pgpass application_name=$REPLICATION_SLOT"
