#!/bin/sh
# login.sh OWNER
# Standard input has a line `USER PASSWORD` for each user that may log in with the rights of OWNER; no other one may any
# more. Of several servers the one that can be written is told first, and the others wait until they have heard of it.
# Once more changes nothing.
set -eu
lines=$(cat)
users=$(printf '%s\n' "$lines" | cut -d ' ' -f 1 | tr '\n' ' ')
run() {
    psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet --tuples-only --no-align --username postgres --dbname postgres \
        --set owner="$owner" --set users="$users"
}
owner=$1
others="pg_has_role(rolname, :'owner', 'MEMBER') AND NOT rolsuper AND rolname <> ALL (string_to_array(trim(:'users'), ' '))"

if [ "$(echo 'SELECT pg_is_in_recovery();' | run)" = f ]; then
    {
        cat <<'SQL'
-- What is run here must not stand in the server's log.
SET log_statement = none;
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
BEGIN;
SELECT set_config('login.owner', :'owner', true);
CREATE TEMPORARY TABLE wanted (name text, password text) ON COMMIT DROP;
COPY wanted FROM STDIN (DELIMITER ' ');
SQL
        printf '%s\n' "$lines"
        cat <<'SQL'
\.
DO $$
DECLARE
    owner text := current_setting('login.owner');
    one record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = owner) THEN
        EXECUTE format('CREATE ROLE %I', owner);
    END IF;
    FOR one IN SELECT * FROM wanted LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = one.name) THEN
            -- What it makes belongs to the owner, as if the owner had made it.
            EXECUTE format('CREATE ROLE %I IN ROLE %I', one.name, owner);
            EXECUTE format('ALTER ROLE %I SET role = %L', one.name, owner);
        END IF;
        EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', one.name, one.password);
    END LOOP;
    FOR one IN
        SELECT rolname AS name FROM pg_roles
        WHERE pg_has_role(rolname, owner, 'MEMBER') AND NOT rolsuper AND rolname NOT IN (SELECT name FROM wanted)
    LOOP
        EXECUTE format('ALTER ROLE %I NOLOGIN PASSWORD NULL', one.name);
    END LOOP;
END
$$;
COMMIT;
SQL
    } | run >/dev/null
fi

tries=0
until [ "$(echo "SELECT count(*) FROM pg_roles WHERE rolcanlogin AND $others;" | run)" = 0 ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 60 ]; then
        echo "what the primary was told does not arrive here" >&2
        exit 1
    fi
    sleep 0.5
done
echo "SELECT pg_terminate_backend(pid) FROM pg_stat_activity JOIN pg_roles ON usename = rolname WHERE $others;" |
    run >/dev/null
