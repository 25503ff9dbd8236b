#!/bin/sh
# A public client of a chat platform, to hold against the stand-in for it, in a Python environment of
# its own: chat-client.sh slack|discord. Prints the interpreter's path.
. "$(dirname "$0")/lib.sh"

wanted=$(cd "$(dirname "$0")/../fakes/clients/$1" && pwd)/requirements.txt
place=${ROLLBOT_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rollbot-tests}/$1-client

if ! cmp -s "$wanted" "$place/installed"; then
    command -v python3 >/dev/null || packages "Python 3" python3 python3-venv
    rm -rf "$place"
    mkdir -p "$(dirname "$place")"
    python3 -m venv "$place" >&2 || {
        packages "Python's venv" python3-venv
        python3 -m venv "$place" >&2 || missing "Python's venv" "python3 -m venv failed; on Debian: apt-get install python3-venv"
    }
    "$place/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >&2 ||
        missing "a public client of $1" "pip could not install $(tr '\n' ' ' <"$wanted"): is a package index reachable?"
    cp "$wanted" "$place/installed"
fi
printf '%s\n' "$place/bin/python"
