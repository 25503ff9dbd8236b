#!/bin/sh
# What the tests need running or at hand: Docker Engine and compose, a systemd in a container, a
# browser with its driver, public clients of Slack and Discord.
. "$(dirname "$0")/lib.sh"

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

command -v docker >/dev/null || packages "the docker command" docker.io
if ! answers; then
    command -v dockerd >/dev/null || packages "Docker Engine" docker.io
    if [ -d /run/systemd/system ]; then
        as_root systemctl start docker || true
    else
        # Left behind by an engine that was killed; it would refuse to start.
        as_root rm -f /var/run/docker.pid /run/docker/containerd/containerd.pid
        log=/tmp/rollbot-dockerd.log
        as_root sh -c "setsid nohup dockerd >$log 2>&1 </dev/null &"
    fi
    tries=0
    until answers; do
        tries=$((tries + 1))
        [ $tries -lt 60 ] || missing "Docker Engine" "it is installed and does not answer on its socket (log: ${log:-journalctl -u docker})"
        sleep 0.5
    done
fi
docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || packages "docker compose" docker-compose
packages "a browser and its driver" chromium chromium-driver fonts-dejavu-core
command -v debootstrap >/dev/null || packages "debootstrap, which makes the systemd image" debootstrap
"$(dirname "$0")/../systemd/build-image.sh" >&2 || missing "the systemd image" "tests/systemd/build-image.sh failed"
# Public clients of Slack and Discord, to hold against the stand-ins for both.
for platform in slack discord; do "$(dirname "$0")/chat-client.sh" $platform >/dev/null; done
