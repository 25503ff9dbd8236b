"""discord.py against the stand-in for Discord: what a client that nobody here wrote makes of it.

Usage: client.py URL. Prints one line for each thing that worked, and fails at the first that did not.
"""

import asyncio
import sys

import aiohttp
import discord
import yarl
from discord import app_commands

URL = sys.argv[1]
discord.http.Route.BASE = f"{URL}/api/v10"
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(URL.replace("http", "ws", 1) + "/gateway/")


def worked(what):
    print(f"ok {what}", flush=True)


class Control:
    """What people do, over the stand-in's control address."""

    def __init__(self, session):
        self.session = session

    async def __call__(self, act, **body):
        async with self.session.post(f"{URL}/_control/{act}", json=body) as answer:
            said = await answer.json()
            assert answer.status == 200, said
            return said

    async def outcome(self, interaction):
        for _ in range(200):
            said = await self("outcome", id=interaction)
            if not said.get("waiting"):
                return said
            await asyncio.sleep(0.02)
        raise AssertionError("the interaction was never answered")


class Buttons(discord.ui.View):
    def __init__(self, pressed):
        super().__init__(timeout=None)
        self.pressed = pressed

    @discord.ui.button(label="Retry", style=discord.ButtonStyle.primary, custom_id="retry")
    async def retry(self, interaction, _button):
        await interaction.response.send_message("retrying", ephemeral=True)
        self.pressed.set_result(interaction.user.id)


class Client(discord.Client):
    def __init__(self, control, facts):
        intents = discord.Intents.none()
        intents.guilds = True
        intents.guild_reactions = True
        super().__init__(intents=intents, allowed_mentions=discord.AllowedMentions.none())
        self.control = control
        self.facts = facts
        self.tree = app_commands.CommandTree(self)
        self.reactions = asyncio.Queue()
        self.resumed = asyncio.Event()
        self.is_there = asyncio.Event()
        guild = discord.Object(int(facts["guild"]))

        @self.tree.command(name="rollback", description="Roll a service back", guild=guild)
        @app_commands.describe(service="What to roll back")
        async def rollback(interaction, service: str):
            await interaction.response.send_message(f"asked for {service}", ephemeral=True)
            await interaction.followup.send("and more", ephemeral=True)

        @rollback.autocomplete("service")
        async def services(_interaction, typed):
            known = ["trade", "data"]
            return [app_commands.Choice(name=one, value=one) for one in known if typed in one]

        @self.tree.command(name="slow", description="Thinks first", guild=guild)
        async def slow(interaction):
            await interaction.response.defer(ephemeral=True, thinking=True)
            await interaction.edit_original_response(content="thought")

    async def setup_hook(self):
        made = await self.tree.sync(guild=discord.Object(int(self.facts["guild"])))
        assert {command.name for command in made} == {"rollback", "slow"}
        worked("commands registered")

    async def on_ready(self):
        self.is_there.set()

    async def on_resumed(self):
        self.resumed.set()

    async def on_raw_reaction_add(self, event):
        await self.reactions.put(("add", event.user_id, str(event.emoji)))

    async def on_raw_reaction_remove(self, event):
        await self.reactions.put(("remove", event.user_id, str(event.emoji)))


async def scenario(client, control, facts):
    ana = (await control("user", name="ana"))["id"]
    place = (await control("channel", name="operations"))["id"]
    at = {"user": ana, "channel": place}

    option = {"name": "service", "type": 3, "value": "trade"}
    made = await control("command", name="rollback", options=[option], **at)
    said = await control.outcome(made["id"])
    assert said["kind"] == 4 and said["messages"][0]["only_for"] == ana, said
    worked("interaction answered privately")

    typing = {**option, "value": "tr", "focused": True}
    made = await control("autocomplete", name="rollback", options=[typing], **at)
    said = await control.outcome(made["id"])
    assert said["data"]["choices"] == [{"name": "trade", "value": "trade"}], said
    worked("autocomplete")

    made = await control("command", name="slow", options=[], **at)
    said = await control.outcome(made["id"])
    assert said["kind"] == 5, said
    for _ in range(100):
        said = await control.outcome(made["id"])
        if said["messages"][0]["content"] == "thought":
            break
        await asyncio.sleep(0.02)
    assert said["messages"][0]["content"] == "thought", said
    worked("deferred and edited")

    channel = await client.fetch_channel(int(place))
    pressed = asyncio.get_running_loop().create_future()
    embed = discord.Embed(title="RB-1", description="a plan", colour=0x23A55A)
    embed.add_field(name="Returns to", value="trade:1.4.2")
    message = await channel.send(embed=embed, view=Buttons(pressed), nonce="n-1")
    made = await control("press", message=str(message.id), label="Retry", **at)
    assert await asyncio.wait_for(pressed, 5) == int(ana)
    await control.outcome(made["id"])
    worked("embed with buttons, pressed")

    await message.add_reaction("✅")
    await control("react", message=str(message.id), emoji="✅", **at)
    await control("unreact", message=str(message.id), emoji="✅", **at)
    seen = []
    while len(seen) < 2:
        event = await asyncio.wait_for(client.reactions.get(), 5)
        if event[1] == int(ana):
            seen.append(event)
    assert [kind for kind, *_ in seen] == ["add", "remove"], seen
    await control("react", message=str(message.id), emoji="❌", **at)
    again = await channel.fetch_message(message.id)
    counts = {str(one.emoji): (one.count, one.me) for one in again.reactions}
    assert counts == {"✅": (1, True), "❌": (1, False)}, counts
    users = [user.id async for user in again.reactions[1].users()]
    assert users == [int(ana)], users
    worked("reactions put on, taken off and read")

    thread = await message.create_thread(name="RB-1 details", auto_archive_duration=1440)
    assert thread.id == message.id
    inside = await thread.send("one detail", file=discord.File(__file__, "detail.md"))
    assert inside.attachments[0].filename == "detail.md"
    try:
        await message.create_thread(name="again")
        raise AssertionError("a second thread was made")
    except discord.HTTPException as refused:
        assert refused.code == 160004, refused
    history = [one.id async for one in thread.history(limit=10)]
    assert history == [inside.id], history
    worked("thread, file and history")

    await message.edit(content="edited", view=None)
    assert (await channel.fetch_message(message.id)).content == "edited"
    for text, code in [("x" * 2001, 50035), ("", 50006)]:
        try:
            await channel.send(text)
            raise AssertionError("it was taken")
        except discord.HTTPException as refused:
            assert refused.code == code, refused
    worked("edits, and refusals with their codes")

    user = await client.fetch_user(int(ana))
    await user.send("only for you")
    worked("direct message")

    before = await control("counts")
    await control("drop")
    made = await control("command", name="rollback", options=[option], **at)
    await asyncio.wait_for(client.resumed.wait(), 20)
    after = await control("counts")
    assert after["resumes"] == before["resumes"] + 1, (before, after)
    assert after["identifies"] == before["identifies"], (before, after)
    worked("resumed")
    # Its answer may come later than three seconds, which is the client's pace and not judged here.
    assert after["violations"] == [], after["violations"]
    worked("every body as described")


async def main():
    discord.utils.setup_logging()
    async with aiohttp.ClientSession() as session:
        control = Control(session)
        facts = await control("facts")
        async with Client(control, facts) as client:
            running = asyncio.create_task(client.start(facts["token"]))
            ready = asyncio.create_task(client.is_there.wait())
            await asyncio.wait({running, ready}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            assert ready.done(), "never became ready"
            worked("connected")
            await scenario(client, control, facts)
            running.cancel()
    worked("all")


asyncio.run(main())
