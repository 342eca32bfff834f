# The server's own image, because a backup is proved by starting it.
FROM postgres:17.6-alpine3.22
COPY barman.txt /tmp/barman.txt
# Alpine keeps no older versions, and the base has its release.
# hadolint ignore=DL3018
RUN apk add --no-cache file py3-pip restic rsync \
    && pip install --no-cache-dir --break-system-packages --require-hashes --no-deps --only-binary :all: \
        --requirement /tmp/barman.txt \
    && rm /tmp/barman.txt \
    # An empty volume that is mounted there gets this owner.
    && install -d -o postgres -g postgres -m 0700 /servers/postgres /servers/postgres-replica
USER 70:70
