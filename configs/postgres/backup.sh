#!/bin/sh
# backup.sh schedule | once | check | list | restore NAME|latest
set -eu
umask 077
cd /backups
user=$(cat /run/secrets/postgres_app_user) database=football host="${DATABASE_HOST:-postgres}"
# Of several servers, the one that can be written.
export PGTARGETSESSIONATTRS=read-write PGHOST="$host" PGUSER="$user" PGDATABASE="$database" PGPASSFILE=/tmp/pgpass
if [ ! -e "$PGPASSFILE" ]; then
    printf '*:*:*:%s:%s\n' "$user" "$(cat /run/secrets/postgres_app_password)" >"$PGPASSFILE.$$"
    mv "$PGPASSFILE.$$" "$PGPASSFILE"
fi

newest() { find . -maxdepth 1 -name 'football-*.dump' | sort | tail -n 1; }

# For the node exporter, which is another user.
tell() {
    {
        echo "backup_last_success_timestamp_seconds $(date +%s)"
        echo "backup_last_size_bytes $(stat -c %s "$1")"
        echo "backup_interval_seconds $BACKUP_INTERVAL_SECONDS"
    } >backup.prom.part
    chmod 644 backup.prom.part
    mv backup.prom.part backup.prom
}

once() {
    name="football-$(date -u +%Y%m%dT%H%M%SZ).dump"
    pg_dump --format custom --no-password --file "$name.part"
    # A dump that cannot be read back is none.
    pg_restore --file /dev/null "$name.part"
    mv "$name.part" "$name"
    find . -maxdepth 1 -name 'football-*.dump' | sort -r | tail -n "+$((BACKUP_KEEP + 1))" | xargs -r rm --
    tell "$name"
    echo "wrote $name"
}

case "$1" in
once) once ;;
list) find . -maxdepth 1 -name 'football-*.dump' | sort | sed 's,^\./,,' ;;
schedule)
    find . -maxdepth 1 -name '*.part' -delete
    while :; do
        if once; then sleep "$BACKUP_INTERVAL_SECONDS" & else echo "no backup was made" >&2; sleep 30 & fi
        wait $!
    done
    ;;
check) # Unhealthy once the newest backup is older than two intervals.
    last=$(newest)
    [ -n "$last" ]
    [ "$(($(date +%s) - $(stat -c %Y "$last")))" -lt "$((2 * BACKUP_INTERVAL_SECONDS))" ]
    ;;
restore)
    name=$2
    if [ "$name" = latest ]; then name=$(newest); fi
    if [ -z "$name" ] || [ ! -f "$name" ]; then
        echo "there is no backup ${name:-at all}; 'list' shows what there is" >&2
        exit 2
    fi
    # All or nothing: a restore that fails leaves the database as it was.
    pg_restore --dbname "$database" --no-password --clean --if-exists --single-transaction --exit-on-error "$name"
    echo "restored ${name#./}"
    ;;
*)
    sed -n 2p "$0" >&2
    exit 2
    ;;
esac
