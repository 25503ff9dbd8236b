#!/bin/sh
# The public client with which the stand-in for Discord is tested: discord.py in an environment of
# its own. Prints the path of its Python.
. "$(dirname "$0")/lib.sh"

here=$(cd "$(dirname "$0")/.." && pwd)
wanted=$here/fakes/clients/discord/requirements.txt
place=${ROLLBOT_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rollbot-tests}/discord-client

if ! cmp -s "$wanted" "$place/installed"; then
    command -v python3 >/dev/null || packages "Python 3" python3 python3-venv
    rm -rf "$place"
    mkdir -p "$(dirname "$place")"
    python3 -m venv "$place" >&2 || {
        packages "Python's venv" python3-venv
        python3 -m venv "$place" >&2 || missing "Python's venv" "python3 -m venv failed; on Debian: apt-get install python3-venv"
    }
    "$place/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >&2 ||
        missing "discord.py" "pip could not install $(cat "$wanted"): is a package index reachable?"
    cp "$wanted" "$place/installed"
fi
printf '%s\n' "$place/bin/python"
