#!/bin/sh
# Builds the image `rollbot-systemd:1`: a minimal Debian whose PID 1 is a real systemd with a real
# D-Bus. Takes some minutes once; afterwards the tag is found and nothing is done.
# Needs root, a Docker Engine, and network access to a Debian mirror the first time.
set -eu

tag=rollbot-systemd:1
# The mirror that this machine's own packages come from; debootstrap's own choice where there is none.
mirror=${ROLLBOT_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -v security | head -n 1)}

# Two test runs may begin together: the second one waits for the first one's image.
exec 9>"${TMPDIR:-/tmp}/rollbot-systemd-image.lock"
flock 9

docker image inspect "$tag" >/dev/null 2>&1 && exit 0

if ! command -v debootstrap >/dev/null; then
    apt-get update >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends debootstrap >&2
fi

root=$(mktemp -d "${TMPDIR:-/tmp}/rollbot-systemd-image.XXXXXX")
trap 'rm -rf "$root"' EXIT INT TERM

debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus bookworm "$root" ${mirror:+"$mirror"} >&2

# Nothing here may touch the machine's devices, disks, console or network.
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-logind.service \
    systemd-networkd.service systemd-resolved.service systemd-timesyncd.service \
    getty.target console-getty.service dev-hugepages.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer fstrim.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
rm -rf "$root/var/cache/apt/archives" "$root/var/lib/apt/lists" "$root/usr/share/doc" \
    "$root/usr/share/man" "$root/usr/share/locale"
: >"$root/etc/machine-id"

tar -C "$root" -c . | docker import -c 'CMD ["/sbin/init"]' - "$tag" >&2
