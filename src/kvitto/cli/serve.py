"""``kvitto serve``: everything in one process, until a signal ends it."""

import asyncio
import gc
import sys
from functools import partial
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from kvitto.app import App, DemoKeys
from kvitto.cli.common import CLOCK, ConfigOption, DataOption, JsonOption, load_settings, print_json, read_settings, say

__all__ = ["curl_lines", "infobip_lines", "ninebits_lines", "serve"]

SWITCH_S: Final = 0.001
"""How long the event loop may keep the interpreter's lock while the writing thread waits for it: five times less than
Python's own choice, because a commit asks for the lock a few dozen times (ADR 0004)."""
YOUNG_OBJECTS: Final = 50_000
"""Allocations between two looks of the cycle collector: our values hold no cycles, so looking seldom costs nothing."""

DEMO_NUMBERS = ("46701740611", "46701740612", "46701740613")


def serve(
    host: Annotated[str | None, typer.Option(metavar="H", help="Address to listen on (setting http.host).")] = None,
    port: Annotated[int | None, typer.Option(metavar="N", help="TCP port (setting http.port).")] = None,
    demo: Annotated[
        bool,
        typer.Option("--demo", metavar="", help="Make a demo account, print its keys, open callbacks to this machine."),
    ] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Run the server: HTTP in, SMPP out, receipts back, callbacks out."""
    said = {"http__host": host, "http__port": port, "demo__enabled": True if demo else None}
    settings = read_settings(config, data, **said)
    sys.setswitchinterval(SWITCH_S)
    gc.set_threshold(YOUNG_OBJECTS, 20, 100)
    again = partial(load_settings, config, data, **said)
    server = App(settings, CLOCK, on_ready=lambda app: _ready(app, as_json), read_again=again)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.run())


def _ready(app: App, as_json: bool) -> None:
    gc.freeze()  # what the start made stays: the collector need not look at it again
    _announce(app, as_json)


def _announce(app: App, as_json: bool) -> None:
    """Say where it listens and, in the demo, what to paste."""
    keys = app.demo_keys
    if as_json:
        document: dict[str, object] = {"url": app.url}
        if keys is not None:
            document["demo"] = keys._asdict()
        if app.sign_in_links:
            document["sign_in"] = {name: f"{app.url}/sign-in/{link}" for name, link in app.sign_in_links.items()}
        print_json(document)
    elif keys is None:
        say(f"Kvitto is on {app.url}")
    else:
        _announce_demo(app.url, keys)
    if not as_json:
        _announce_links(app)
    sys.stdout.flush()


def _announce_links(app: App) -> None:
    """Links that sign in once, for those who have no password yet."""
    for name, secret in app.sign_in_links.items():
        say(f"Dashboard, as {name} (works once): {app.url}/sign-in/{secret}")


def _announce_demo(url: str, keys: DemoKeys) -> None:
    pairs = [
        ("Address", url),
        ("Service plan id", keys.service_plan_id),
        ("API token", keys.api_token),
        ("User name", keys.username),
        ("Password", keys.password),
    ]
    lines = [f"{name:<16} {value}" for name, value in pairs]
    if sys.stdout.isatty():
        Console(highlight=False).print(Panel(Text("\n".join(lines)), title="Kvitto", expand=False))
    else:
        say("\n".join(lines))
    say("\nPaste these, one after the other (docs: " + url + "/docs):\n")
    for line in curl_lines(url, keys):
        say(line + "\n")
    say("The same account in the Infobip dialect:\n")
    for line in infobip_lines(url, keys):
        say(line + "\n")
    say("The same account in the 9bits dialect:\n")
    for line in ninebits_lines(url, keys):
        say(line + "\n")


def curl_lines(url: str, keys: DemoKeys) -> list[str]:
    """The three lines to paste: send to three numbers, the full report, one recipient's report."""
    base = f"{url}/xms/v1/{keys.service_plan_id}/batches"
    auth = f"-H 'Authorization: Bearer {keys.api_token}'"
    json_type = "-H 'Content-Type: application/json'"
    to = ",".join(f'"{number}"' for number in DEMO_NUMBERS)
    body = f'{{"from":"Kvitto","to":[{to}],"body":"Your parcel is here"}}'
    find_id = """sed 's/.*"id":"\\([^"]*\\)".*/\\1/'"""
    return [
        f"""BATCH=$(curl -s {base} {auth} {json_type} -d '{body}' | tee /dev/stderr | {find_id}); echo""",
        f"""sleep 1; curl -s "{base}/$BATCH/delivery_report?type=full" {auth}; echo""",
        f"""curl -s "{base}/$BATCH/delivery_report/{DEMO_NUMBERS[0]}" {auth}; echo""",
    ]


def infobip_lines(url: str, keys: DemoKeys) -> list[str]:
    """Two lines to paste: send in the Infobip dialect, and take the report, which is there once."""
    auth = f"-H 'Authorization: App {keys.api_token}'"
    destinations = f'[{{"to":"{DEMO_NUMBERS[0]}"}}]'
    text = '"content":{"text":"Your parcel is here"}'
    body = f'{{"messages":[{{"sender":"Kvitto","destinations":{destinations},{text}}}]}}'
    find_id = """sed 's/.*"bulkId":"\\([^"]*\\)".*/\\1/'"""
    return [
        f"""BULK=$(curl -s {url}/sms/3/messages {auth} -H 'Content-Type: application/json' -d '{body}' """
        f"""| tee /dev/stderr | {find_id}); echo""",
        f"""sleep 1; curl -s "{url}/sms/1/reports?bulkId=$BULK" {auth}; echo""",
    ]


def ninebits_lines(url: str, keys: DemoKeys) -> list[str]:
    """Two lines to paste: send in the 9bits dialect, and fetch the reports."""
    auth = f"-H 'Authorization: Bearer {keys.api_token}'"
    body = f'{{"from":"Kvitto","to":["{DEMO_NUMBERS[0]}"],"content":"Your parcel is here"}}'
    find_id = """sed 's/.*"reference_id":"\\([^"]*\\)".*/\\1/'"""
    return [
        f"""REF=$(curl -s {url}/ng/v1/sendsms {auth} -H 'Content-Type: application/json' -d '{body}' """
        f"""| tee /dev/stderr | {find_id}); echo""",
        f"""sleep 1; curl -s "{url}/ng/v1/deliveryreports/$REF" {auth}; echo""",
    ]
