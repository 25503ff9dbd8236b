#!/bin/sh
# Holds Slack's own SDK against a fake workspace: run.sh BASE_URL
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../../../prepare/chat-client.sh" slack)
exec "$python" "$here/client.py" "$1"
