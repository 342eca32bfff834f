#!/bin/sh
# Runs once, on an empty volume. Passwords are read by psql itself: an argument could be read by every user.
set -eu
printf '%s %s\n' "$(cat /run/secrets/postgres_app_user)" "$(cat /run/secrets/postgres_app_password)" |
    sh /stack/login.sh football
psql --set ON_ERROR_STOP=1 --no-psqlrc --username postgres --dbname postgres <<'SQL'
\set monitor `cat /run/secrets/postgres_monitor_password`
\set replicator `cat /run/secrets/postgres_replication_password`
CREATE DATABASE football OWNER football;
CREATE ROLE monitor LOGIN PASSWORD :'monitor' IN ROLE pg_monitor;
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replicator';
REVOKE ALL ON DATABASE football FROM PUBLIC;
GRANT CONNECT ON DATABASE football TO monitor;
SQL
# Only where a replica will ask for it: a slot that nobody uses keeps the log for nobody.
if [ -n "${REPLICATION_SLOT:-}" ]; then
    psql --set ON_ERROR_STOP=1 --no-psqlrc --username postgres --dbname postgres --set slot="$REPLICATION_SLOT" \
        <<'SQL'
SELECT pg_create_physical_replication_slot(:'slot', true);
SQL
fi
