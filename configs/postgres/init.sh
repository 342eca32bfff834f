#!/bin/sh
# The database, its roles with the passwords of this host, and the slots. Run on an empty volume and after a restore;
# once more changes nothing. Passwords are read by psql itself: an argument could be read by every user.
set -eu
printf '%s %s\n' "$(cat /run/secrets/postgres_app_user)" "$(cat /run/secrets/postgres_app_password)" |
    sh /stack/login.sh football
psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet --username postgres --dbname postgres --set slot="${REPLICATION_SLOT:-}" \
    >/dev/null <<'SQL'
-- What is run here must not stand in the server's log.
SET log_statement = none;
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
SET client_min_messages = warning;
\set monitor `cat /run/secrets/postgres_monitor_password`
\set replicator `cat /run/secrets/postgres_replication_password`
SELECT 'CREATE ROLE ' || name FROM unnest('{monitor,replicator}'::text[]) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
SELECT 'CREATE DATABASE football OWNER football'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'football') \gexec
ALTER ROLE monitor LOGIN PASSWORD :'monitor';
ALTER ROLE replicator LOGIN REPLICATION PASSWORD :'replicator';
REVOKE ALL ON DATABASE football FROM PUBLIC;
GRANT CONNECT ON DATABASE football TO monitor, replicator;
GRANT pg_monitor TO monitor, replicator;
-- What barman needs, https://docs.pgbarman.org
GRANT pg_checkpoint TO replicator;
\connect football
GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean), pg_switch_wal(),
    pg_create_restore_point(text) TO replicator;
-- Only where a replica will ask for it: a slot that nobody uses keeps the log for nobody.
SELECT pg_create_physical_replication_slot(:'slot', true)
WHERE :'slot' <> '' AND NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = :'slot');
SQL
