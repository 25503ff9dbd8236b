#!/bin/sh
# Usage: stop.sh [NAME]
# Removes the container that `start.sh NAME` made, and its directory. Removing what is not there
# succeeds.
set -eu

name=${1:-rollbot-systemd}
docker rm -f "$name" >/dev/null 2>&1 || true
rm -rf "${TMPDIR:-/tmp}/${name:?}"
