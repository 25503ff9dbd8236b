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
base=$(command -v python3) || missing "Python 3" "install python3 and python3-venv"
rm -rf "$home"
mkdir -p "$(dirname "$home")"
"$base" -m venv "$home" >&2 2>/dev/null || {
    rm -rf "$home"
    missing "Python's venv module" "apt-get install python3-venv"
}
"$python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2 || {
    rm -rf "$home"
    missing "the Python package slack_sdk" "pip could not install $requirements: is a package index reachable?"
}
cp "$requirements" "$home/requirements.txt"
echo "$python"
