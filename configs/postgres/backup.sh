#!/bin/sh
# backup.sh schedule | once | prove | check | list | copy [anew] | recover latest|TIME [ENVIRONMENT] | install
# Barman keeps base backups and every change since; restic carries both away, encrypted, where BACKUP_REPOSITORY says.
set -eu
umask 077
cd /backups
# Of several servers, the one that can be written.
export PGHOST="${DATABASE_HOST:-postgres}" PGTARGETSESSIONATTRS=read-write PGUSER=replicator PGPASSFILE=/tmp/pgpass
printf '*:*:*:replicator:%s\n' "$(cat /run/secrets/postgres_replication_password)" >"$PGPASSFILE.$$"
mv "$PGPASSFILE.$$" "$PGPASSFILE"
mkdir -p staging

settings() { sed "s,BACKUP_KEEP,$BACKUP_KEEP,; s,BACKUP_HOME,${1:-/backups}," /etc/barman.conf; }
settings >"/tmp/barman.conf.$$"
mv "/tmp/barman.conf.$$" /tmp/barman.conf

catalogue() { barman --config "${settings:-/tmp/barman.conf}" --quiet "$@"; }
asked() { psql --no-psqlrc --quiet --tuples-only --no-align --username "${2:-replicator}" --dbname football --command "$1"; }

# For the node exporter, which is another user.
tell() { # NAME: standard input has its metrics
    cat >"$1.prom.part"
    chmod 644 "$1.prom.part"
    mv "$1.prom.part" "$1.prom"
}

said() { sed -n "s/^$1 //p" "$2"; }
received() { [ "$(asked "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'barman_receive_wal'")" = 1 ]; }

# By the server itself, in a folder of its own, and read from end to end: what cannot be, is no backup.
recovered() { # MOMENT
    rm -rf restored restored.log
    # What was received and not filed yet.
    catalogue archive-wal football
    if [ "$1" = latest ]; then set --; else set -- --target-time "$1" --target-action promote; fi
    catalogue restore --no-get-wal --partial-wal "$@" football auto /backups/restored
    options="-c config_file=/etc/postgresql/postgresql.conf -c listen_addresses= -c unix_socket_directories=/tmp"
    if ! pg_ctl --silent --pgdata restored --timeout 86400 --log restored.log start \
        --options "$options -c shared_buffers=32MB"; then
        cat restored.log >&2
        exit 1
    fi
    trap 'pg_ctl --silent --pgdata restored --mode immediate stop' EXIT
    export PGHOST=/tmp PGTARGETSESSIONATTRS=any
    until [ "$(asked 'SELECT pg_is_in_recovery()' postgres)" = f ]; do
        if ! pg_ctl --silent --pgdata restored status; then cat restored.log >&2; exit 1; fi
        sleep 0.5
    done
    pg_dump --username postgres --dbname football --file /dev/null
    # What the recovery was told must not reach the servers that are cloned from this one.
    asked 'ALTER SYSTEM RESET ALL' postgres
}

ended() {
    trap - EXIT
    pg_ctl --silent --pgdata restored --mode fast stop
}

once() {
    # Of a database that nothing was written to yet, barman would wait for a first segment.
    [ -d football/base ] && [ -n "$(ls football/base)" ] ||
        catalogue switch-wal --force --archive --archive-timeout 60 football
    catalogue backup --wait --wait-timeout 600 football
    began=$(date +%s)
    if ! sh "$0" prove; then
        # Kept, it would take the place of one that can be restored.
        catalogue delete football latest
        return 1
    fi
    now=$(date +%s)
    tell backup <<METRICS
backup_last_success_timestamp_seconds $now
backup_last_size_bytes $(du -sb football/base | cut -f 1)
backup_last_restore_seconds $((now - began))
backup_interval_seconds $BACKUP_INTERVAL_SECONDS
METRICS
    echo "backed up, and restored in $((now - began)) s"
}

# Of this database; empty before its first backup.
identity() { sed -n 's/.*"systemid": "\([0-9]*\)".*/\1/p' football/identity.json 2>/dev/null; }

# A host that was set up anew must not make the copies of the lost one older than its own empty ones.
require_same() {
    if [ -z "$(identity)" ]; then
        echo "no database was met yet" >&2
        exit 1
    fi
    [ ! -e adopted ] || return 0
    there=$(restic --quiet snapshots --json --latest 1 --host "$APP_ENV" | sed -n 's/.*"tags":\["\([0-9]*\)"\].*/\1/p')
    if [ -n "$there" ] && [ "$there" != "$(identity)" ]; then
        echo "the copies of $APP_ENV at $BACKUP_REPOSITORY are of another database: restore them, or begin" \
            "anew beside them by 'copy anew'" >&2
        exit 1
    fi
}

copy() {
    [ -e copy.prom ] || echo "backup_copy_timestamp_seconds 0" | tell copy
    # Another host may have begun it; what is wrong with the place, the copy itself says.
    if [ "$(cat copied-to 2>/dev/null)" != "$BACKUP_REPOSITORY" ] && ! restic init; then
        echo "going on with what is there"
    fi
    require_same
    # Of a run that was killed; one that is at work keeps its own.
    restic --quiet unlock
    # It says 3 when a file went while it looked, as one of the log does that is filed.
    for _ in 1 2 3; do
        code=0
        restic --quiet --retry-lock 10m backup --host "$APP_ENV" --tag "$(identity)" /backups \
            --exclude staging --exclude fetched --exclude 'restored*' --exclude '*.prom*' --exclude adopted || code=$?
        [ "$code" = 3 ] || break
    done
    [ "$code" = 0 ]
    rm -f adopted
    # Each has the whole catalogue: older ones are for what somebody deleted in it.
    restic --quiet forget --host "$APP_ENV" --keep-last 12 --keep-daily "$BACKUP_KEEP"
    if [ -z "$(find pruned -mmin -1440 2>/dev/null)" ]; then
        restic --quiet --retry-lock 10m prune
        touch pruned
    fi
    echo "$BACKUP_REPOSITORY" >copied-to
    echo "backup_copy_timestamp_seconds $(date +%s)" | tell copy
}

# In a process of its own: within a condition, the shell stops at no error.
every() { # SECONDS VERB
    while :; do
        if sh "$0" "$2"; then pause=$1; else pause=30; fi
        sleep "$pause" &
        wait $!
    done
}

if [ -n "${BACKUP_REPOSITORY:-}" ]; then
    export RESTIC_REPOSITORY="$BACKUP_REPOSITORY" RESTIC_PASSWORD_FILE=/run/secrets/backup_key RESTIC_CACHE_DIR=/backups/staging/restic
    AWS_ACCESS_KEY_ID=$(cat /run/secrets/backup_access_id) AWS_SECRET_ACCESS_KEY=$(cat /run/secrets/backup_access_key)
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
fi

case "$1" in
once) once ;;
copy)
    if [ "${2:-}" = anew ]; then touch adopted; fi
    copy
    ;;
prove)
    recovered latest
    ended
    rm -rf restored restored.log
    ;;
list) barman --config /tmp/barman.conf list-backups football ;;
receive)
    while :; do
        catalogue cron
        for _ in 1 2 3 4; do
            if received; then date +'backup_stream_timestamp_seconds %s' | tell stream; fi
            sleep 5
        done
    done
    ;;
schedule)
    every 5 receive &
    until received; do sleep 2; done
    if [ -n "${BACKUP_REPOSITORY:-}" ]; then every "$BACKUP_COPY_SECONDS" copy & fi
    every "$BACKUP_INTERVAL_SECONDS" once
    ;;
recover) # With an environment: from its copies, where this one's are kept, too.
    rm -rf fetched
    if [ -n "${3:-}" ]; then
        restic --quiet restore latest --host "$3" --target fetched
        settings=/tmp/barman.fetched
        settings /backups/fetched/backups >"$settings"
    fi
    recovered "$2"
    # Another host, or a password that was replaced since, has other ones than the backup.
    sh /stack/init.sh
    ended
    ;;
install) # Into the volumes below /servers, while no server runs; what was recovered stays until all is done.
    [ -f restored/PG_VERSION ] || { echo "nothing was recovered: 'recover' first" >&2; exit 2; }
    primary=$(cat /run/primary 2>/dev/null || echo postgres)
    # The other one has no copy of it, and makes one.
    rm -f /servers/*/standby.signal
    find "/servers/$primary" -mindepth 1 -delete
    cp -a restored/. "/servers/$primary"
    sync
    if [ -d fetched ]; then
        rm -rf football
        mv fetched/backups/football football
        touch adopted
    fi
    # What had arrived of a history that is over now; the server would be asked to go on with it.
    if [ -n "$(ls football/streaming)" ]; then
        before=before/$(date -u +%Y%m%dT%H%M%SZ)
        mkdir -p "$before"
        mv football/streaming/* "$before"
    fi
    rm -rf restored restored.log fetched
    echo "$primary has what was recovered"
    ;;
check) # Unhealthy once the newest backup is older than two intervals, or nothing was received for a minute.
    now=$(date +%s)
    [ "$((now - $(said backup_last_success_timestamp_seconds backup.prom)))" -lt "$((2 * BACKUP_INTERVAL_SECONDS))" ]
    [ "$((now - $(said backup_stream_timestamp_seconds stream.prom)))" -lt 60 ]
    ;;
*)
    sed -n 2p "$0" >&2
    exit 2
    ;;
esac
