#!/bin/sh
# Holds Slack's own SDK against a fake workspace: run.sh BASE_URL
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../../../prepare/slack-client.sh")
exec "$python" "$here/client.py" "$1"
