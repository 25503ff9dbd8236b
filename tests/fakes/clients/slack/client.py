"""A bot written with Slack's own SDK, to find out whether the fake workspace is true to it.

client.py BASE_URL: does what a bot does, once each, and prints what worked. Whatever does not work
ends it with an exception.
"""

import json
import queue
import sys
import threading
import time
import urllib.request

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.models.blocks import (
    ActionsBlock,
    ButtonElement,
    HeaderBlock,
    InputBlock,
    PlainTextInputElement,
    SectionBlock,
)
from slack_sdk.models.views import View
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.webhook import WebhookClient

BASE = sys.argv[1].rstrip("/")
CHANNEL = "C0OPS"
WAIT = 15


def control(act, **given):
    """Has somebody in the workspace do something; what they saw."""
    request = urllib.request.Request(
        f"{BASE}/_control/{act}",
        data=json.dumps(given).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=WAIT) as answer:
        return json.load(answer)


def state():
    with urllib.request.urlopen(f"{BASE}/_control/state", timeout=WAIT) as answer:
        return json.load(answer)


def meanwhile(act, **given):
    """The same in the background: the bot has to answer it in the meantime."""
    seen = queue.Queue()
    threading.Thread(target=lambda: seen.put(control(act, **given)), daemon=True).start()
    return seen


def check(name, holds, shown=None):
    if not holds:
        raise AssertionError(f"{name}: {shown!r}")
    print(f"ok {name}", flush=True)


web = WebClient(token="xoxb-fake-bot-token", base_url=f"{BASE}/api/")
me = web.auth_test()
check("auth.test says who we are and what we may", me["user_id"] == "U0ROLLBOT")
check("scopes are in a header", "chat:write" in me.headers["x-oauth-scopes"], me.headers)

# Socket Mode.
sockets = SocketModeClient(
    app_token="xapp-fake-app-token",
    web_client=WebClient(base_url=f"{BASE}/api/"),
)
came = queue.Queue()
answers = {}


def on_request(client, request):
    payload = answers.get(request.type)
    client.send_socket_mode_response(
        SocketModeResponse(envelope_id=request.envelope_id, payload=payload)
    )
    came.put(request)


sockets.socket_mode_request_listeners.append(on_request)
sockets.connect()
check("a socket opens", sockets.is_connected())

answers["slash_commands"] = {"response_type": "ephemeral", "text": "taken"}
seen = meanwhile("slash", user="U0ANA", channel=CHANNEL, command="/rollback", text="trade")
request = came.get(timeout=WAIT)
check("a slash command arrives", request.payload["text"] == "trade", request.payload)
seen = seen.get(timeout=WAIT)
check("its acknowledgement carries the answer", seen["answer"]["text"] == "taken", seen)
hook = WebhookClient(request.payload["response_url"])
check("a response URL takes an answer", hook.send(text="later", response_type="ephemeral").status_code == 200)
told = [one["text"] for one in state()["ephemerals"]]
check("both answers were seen", told == ["taken", "later"], told)

# Messages.
blocks = [
    HeaderBlock(text="RB-1"),
    SectionBlock(text="Please vote, <@U0BEN>"),
    ActionsBlock(elements=[ButtonElement(text="Approve", action_id="approve", value="yes")]),
]
posted = web.chat_postMessage(
    channel=CHANNEL,
    text="RB-1",
    blocks=blocks,
    metadata={"event_type": "vote", "event_payload": {"identity": "m-1"}},
)
ts = posted["ts"]
check("a message with blocks is posted", posted["message"]["blocks"][0]["type"] == "header")
check("a mention is found", any(one["markup"] == "user" for one in state()["marked"]))
edited = web.chat_update(channel=CHANNEL, ts=ts, text="RB-1, edited", blocks=blocks)
check("a message is edited", edited["text"] == "RB-1, edited")
reply = web.chat_postMessage(channel=CHANNEL, text="detail", thread_ts=ts)
replies = web.conversations_replies(channel=CHANNEL, ts=ts)
check("a thread holds its parent and its reply", [one["ts"] for one in replies["messages"]] == [ts, reply["ts"]])
history = web.conversations_history(channel=CHANNEL, include_all_metadata=True)
metadata = history["messages"][0]["metadata"]["event_payload"]
check("metadata is kept", metadata == {"identity": "m-1"}, metadata)
link = web.chat_getPermalink(channel=CHANNEL, message_ts=ts)["permalink"]
check("a message has a link", ts.replace(".", "") in link, link)

# Reactions and buttons.
web.reactions_add(channel=CHANNEL, timestamp=ts, name="white_check_mark")
for user in ["U0ANA", "U0BEN", "U0CLEO"]:
    control("react", user=user, channel=CHANNEL, ts=ts, emoji="white_check_mark")
    event = came.get(timeout=WAIT).payload["event"]
    check(f"the reaction of {user} arrives", (event["type"], event["user"]) == ("reaction_added", user))
few = web.reactions_get(channel=CHANNEL, timestamp=ts)["message"]["reactions"][0]
everybody = web.reactions_get(channel=CHANNEL, timestamp=ts, full=True)["message"]["reactions"][0]
check("without `full` the list is cut", len(few["users"]) < few["count"], few)
check("with it, it is whole", len(everybody["users"]) == 4, everybody)
seen = meanwhile("press", user="U0BEN", channel=CHANNEL, ts=ts, action_id="approve")
request = came.get(timeout=WAIT)
check("a button arrives", request.payload["actions"][0]["value"] == "yes", request.payload)
check("and is acknowledged", seen.get(timeout=WAIT)["seen"] == "nothing")

# Dialogs.
seen = meanwhile("shortcut", user="U0ANA", callback_id="ask")
request = came.get(timeout=WAIT)
dialog = View(
    type="modal",
    title="Ask",
    submit="Ask",
    callback_id="ask",
    blocks=[InputBlock(block_id="why", label="Why", element=PlainTextInputElement(action_id="text"))],
)
view = web.views_open(trigger_id=request.payload["trigger_id"], view=dialog)["view"]
check("a dialog opens", view["callback_id"] == "ask", view)
try:
    web.views_open(trigger_id=request.payload["trigger_id"], view=dialog)
    raise AssertionError("a trigger was good twice")
except SlackApiError as error:
    check("a trigger is good once", error.response["error"] == "exchanged_trigger_id", error)
answers["interactive"] = {"response_action": "errors", "errors": {"why": "Say more."}}
values = [["why", "text", {"type": "plain_text_input", "value": "x"}]]
seen = meanwhile("submit", user="U0ANA", values=values)
submitted = came.get(timeout=WAIT).payload["view"]["state"]["values"]
check("a submission arrives", submitted["why"]["text"]["value"] == "x", submitted)
check("its errors stay in the dialog", seen.get(timeout=WAIT)["answer"]["response_action"] == "errors")
check("and are shown", state()["views"][0]["errors"] == {"why": "Say more."}, state()["views"])
answers.pop("interactive")
control("home", user="U0ANA")
check("the home is opened", came.get(timeout=WAIT).payload["event"]["type"] == "app_home_opened")
web.views_publish(user_id="U0ANA", view=View(type="home", blocks=[SectionBlock(text="hello")]))
check("a home is shown", state()["homes"] == ["U0ANA"])

# Lists in pages, people, files.
names = []
for page in web.users_list(limit=2):
    check("a page is no longer than asked", len(page["members"]) <= 2)
    names += [user["name"] for user in page["members"]]
check("all pages together are everybody", sorted(names) == ["ana", "ben", "cleo", "drew", "rollbot"], names)
check("somebody is looked up", web.users_info(user="U0BEN")["user"]["real_name"] == "Ben Okafor")
check("the channel is known", web.conversations_info(channel=CHANNEL)["channel"]["is_member"])
members = web.conversations_members(channel=CHANNEL)["members"]
check("its members are listed", "U0BEN" in members, members)
direct = web.conversations_list(types="public_channel")["channels"]
check("channels are listed", [one["id"] for one in direct] == [CHANNEL], direct)
file = web.files_upload_v2(channel=CHANNEL, content="long text", filename="a.txt", thread_ts=ts)
check("a file is shared", file["files"][0]["id"].startswith("F"), file.data)
web.chat_postEphemeral(channel=CHANNEL, user="U0BEN", text="only you")
check("one person is told", state()["ephemerals"][-1]["text"] == "only you")


def refused(name, expected, call):
    try:
        call()
    except SlackApiError as error:
        check(name, error.response["error"] == expected, error.response.data)
        return error.response
    raise AssertionError(f"{name}: it was not refused")


refused("an unknown channel", "channel_not_found", lambda: web.chat_postMessage(channel="C0NONE", text="x"))
refused("an unknown message", "message_not_found", lambda: web.chat_update(channel=CHANNEL, ts="1.2", text="x"))
refused("too long a text", "msg_too_long", lambda: web.chat_postMessage(channel=CHANNEL, text="x" * 40_001))
refused("nothing to say", "no_text", lambda: web.chat_postMessage(channel=CHANNEL, text=""))
refused(
    "a block over its limit",
    "invalid_blocks",
    lambda: web.chat_postMessage(
        channel=CHANNEL,
        text="x",
        blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3_001}}],
    ),
)
refused("a reaction twice", "already_reacted", lambda: web.reactions_add(channel=CHANNEL, timestamp=ts, name="white_check_mark"))
refused("a reaction that is not there", "no_reaction", lambda: web.reactions_remove(channel=CHANNEL, timestamp=ts, name="eyes"))
lacking = refused("a scope that was not granted", "missing_scope", lambda: web.users_lookupByEmail(email="ana@example.org"))
check("which scope is said", lacking["needed"] == "users:read.email", lacking.data)
stranger = WebClient(token="xoxb-wrong", base_url=f"{BASE}/api/")
refused("a wrong token", "invalid_auth", stranger.auth_test)
try:
    for number in range(30):
        web.chat_postMessage(channel=CHANNEL, text=f"flood {number}")
    raise AssertionError("a flood was not limited")
except SlackApiError as error:
    limited = error.response
    check("a flood is limited", limited.status_code == 429 and limited["error"] == "ratelimited", limited.data)
    check("and it is said how long", int(limited.headers["retry-after"]) >= 1, limited.headers)

# A rotation: the SDK opens a new socket when it is asked to.
before = state()["sockets"]["ever"]
control("rotate")
deadline = time.time() + WAIT
while state()["sockets"]["open"] < 1 or not sockets.is_connected():
    assert time.time() < deadline, state()["sockets"]
    time.sleep(0.05)
check("a rotated socket is replaced", state()["sockets"]["ever"] > before)
seen = meanwhile("slash", user="U0ANA", channel=CHANNEL, command="/rollback", text="again")
check("commands arrive over the new one", came.get(timeout=WAIT).payload["text"] == "again")
check("and are acknowledged", seen.get(timeout=WAIT)["answer"]["text"] == "taken")

web.chat_delete(channel=CHANNEL, ts=reply["ts"])
final = state()
check("nothing is left unacknowledged", final["unacknowledged"] == [], final["unacknowledged"])
check("nobody saw a failure", final["seen_failures"] == [], final["seen_failures"])
sockets.close()
print("all ok", flush=True)
