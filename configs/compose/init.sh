#!/bin/sh
# Prepares the volumes of a stack. Runs before every bring-up and changes nothing that is in use.
set -eu
umask 022
cp /stack/dynamic/*.yml /volumes/dynamic/
# Where users go is the release engine's decision; only a host without any route gets one.
if [ ! -e /volumes/dynamic/route.yml ]; then
    cp /stack/route.yml /volumes/dynamic/.route.yml.new
    mv /volumes/dynamic/.route.yml.new /volumes/dynamic/route.yml
fi
chown 70:70 /volumes/backups
if [ -d /volumes/acme ]; then chown 65532:65532 /volumes/acme; fi
