#!/bin/sh
# Prepares the volumes of a stack. Runs before every bring-up and changes nothing that is in use.
set -eu
chown 70:70 /volumes/backups
if [ -d /volumes/acme ]; then chown 65532:65532 /volumes/acme; fi
