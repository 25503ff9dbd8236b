#!/bin/sh
# Slack's own Python SDK in an environment of its own: a client that nobody here wrote, to hold
# against the fake workspace. Prints the interpreter's path.
. "$(dirname "$0")/lib.sh"

home=${ROLLBOT_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rollbot-tests}/slack-client
requirements=$(cd "$(dirname "$0")/../fakes/clients/slack" && pwd)/requirements.txt
python=$home/bin/python

if [ -x "$python" ] && cmp -s "$requirements" "$home/requirements.txt"; then
    echo "$python"
    exit 0
fi
command -v python3 >/dev/null || packages "Python 3" python3 python3-venv
rm -rf "$home"
mkdir -p "$(dirname "$home")"
python3 -m venv "$home" >&2 || {
    packages "Python's venv" python3-venv
    python3 -m venv "$home" >&2 || missing "Python's venv" "python3 -m venv failed; on Debian: apt-get install python3-venv"
}
"$python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2 || {
    rm -rf "$home"
    missing "the Python package slack_sdk" "pip could not install $requirements: is a package index reachable?"
}
cp "$requirements" "$home/requirements.txt"
echo "$python"
