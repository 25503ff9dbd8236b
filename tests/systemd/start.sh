#!/bin/sh
# Usage: start.sh [NAME] [-- DOCKER-RUN-ARGUMENT...]
# Starts a container with a real systemd and prints the address of its bus, ready to be used:
#   unix:path=/tmp/NAME/bus/system_bus_socket
# NAME (default rollbot-systemd) names the container and its directory; `stop.sh NAME` removes both.
# The units in `units/` are known to it. Arguments after `--` go to `docker run`: `--network host`
# where ports of the units are to be seen from outside, `-v` for binaries.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
name=rollbot-systemd
if [ $# -gt 0 ] && [ "$1" != -- ]; then
    name=$1
    shift
fi
[ "${1:-}" = -- ] && shift

"$here/build-image.sh"
"$here/stop.sh" "$name"

directory=${TMPDIR:-/tmp}/$name
mkdir -p "$directory/bus"
# A container's systemd needs its cgroups writable and SYS_ADMIN for its mounts, not `--privileged`.
docker run -d -t --name "$name" --hostname "$name" \
    --cap-add SYS_ADMIN --cgroupns host -v /sys/fs/cgroup:/sys/fs/cgroup:rw \
    --tmpfs /run --tmpfs /run/lock \
    -v "$directory/bus:/run/dbus" \
    -v "$here/units:/usr/local/lib/systemd/system:ro" \
    --stop-signal SIGRTMIN+3 \
    "$@" rollbot-systemd:1 /sbin/init >/dev/null

waited=0
until docker exec "$name" systemctl is-system-running 2>/dev/null | grep -qE '^(running|degraded)$' &&
    [ -S "$directory/bus/system_bus_socket" ]; do
    waited=$((waited + 1))
    if [ "$waited" -gt 300 ]; then
        echo "systemd in the container $name is not up after 60 s:" >&2
        docker exec "$name" systemctl is-system-running >&2 || true
        docker exec "$name" systemctl list-jobs --no-pager >&2 || true
        docker logs --tail 30 "$name" >&2 || true
        "$here/stop.sh" "$name"
        exit 1
    fi
    sleep 0.2
done

echo "unix:path=$directory/bus/system_bus_socket"
