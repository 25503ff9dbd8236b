# Shared by the scripts that prepare a machine. Each prerequisite either ends up installed or ends
# the run with one line that names it.

set -eu

say() { printf '%s\n' "$*" >&2; }

missing() { # NAME WHAT-TO-DO
    say "missing prerequisite: $1 — $2"
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo -n "$@"; else return 1; fi
}

# Installs Debian packages that are not there yet.
packages() { # WHAT PACKAGE...
    what=$1
    shift
    wanted=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || wanted="$wanted $package"
    done
    [ -z "$wanted" ] && return 0
    command -v apt-get >/dev/null || missing "$what" "install it; on Debian: apt-get install$wanted"
    say "installing$wanted"
    log=$(mktemp)
    # A list of packages that is there already is tried first: an update takes longer.
    if ! DEBIAN_FRONTEND=noninteractive as_root apt-get install -y --no-install-recommends $wanted >"$log" 2>&1; then
        as_root apt-get update -qq >>"$log" 2>&1 || true
        DEBIAN_FRONTEND=noninteractive as_root apt-get install -y --no-install-recommends $wanted >>"$log" 2>&1 || {
            tail -n 5 "$log" >&2
            missing "$what" "apt-get install$wanted failed (log: $log)"
        }
    fi
    rm -f "$log"
}
