"""``kvitto receipt``: for the person with a receipt problem: what a PDU says, whose it is, and those that found nobody.

``parse`` and ``match`` ask the same code as the server, without a server and without a store, a line out for each line
in, so that they can be driven by a program. ``orphans`` shows what the store keeps (R34).
Next: ``docs/receipts.md``, ``kvitto.smpp.records``, ``kvitto.cli.matchlines``.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from kvitto.cli.common import CLOCK, ConfigOption, DataOption, JsonOption, read_settings
from kvitto.cli.matchlines import answer_line, read_match_settings
from kvitto.cli.orphans import orphans
from kvitto.core.errors import BadInput, NotFound
from kvitto.core.receipt import LinkRules
from kvitto.smpp.records import read_pdu_line, read_text_line

__all__ = ["commands"]

commands = typer.Typer(no_args_is_help=True, help="Receipts: what they say, whose they are, which found nobody.")
commands.add_typer(orphans, name="orphans")


@commands.command()
def parse(
    text: Annotated[
        bool, typer.Option("--text", metavar="", help="Each line is a receipt's text alone, not a PDU in hex.")
    ] = False,
    tz: Annotated[
        str | None, typer.Option("--tz", metavar="ZONE", help="Time zone of its dates, such as Europe/Stockholm.")
    ] = None,
    received_at: Annotated[
        str | None,
        typer.Option("--received-at", metavar="TIME", help="When it came (ISO-8601, or seconds since 1970); now."),
    ] = None,
    link: Annotated[
        str | None, typer.Option("--link", metavar="NAME", help="Read it by this link's settings (--config).")
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Read receipts from standard input, a deliver_sm or data_sm in hex a line; write a JSON line for each."""
    rules = _rules(link, tz, config, data)
    at = CLOCK.now() if received_at is None else _instant(received_at)

    def read(line: bytes) -> dict[str, Any]:
        if text:
            return read_text_line(line, rules, at)
        return read_pdu_line(line.decode("ascii", "replace"), rules, at)

    _line_by_line(read)


@commands.command()
def match(
    settings: Annotated[
        str, typer.Option("--settings", metavar="submit_id=auto,receipt_id=auto", help="text, dec, hex or auto each.")
    ] = "",
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Find the message of receipts: JSON lines with `stored` and `receipt` in, JSON lines with `result` out."""
    rules = read_match_settings(settings)
    _line_by_line(lambda line: answer_line(line, rules))


def _line_by_line(answer: Callable[[bytes], dict[str, Any]]) -> None:
    """One line out for each line in, each written at once: somebody may wait for it before he sends the next."""
    for line in iter(sys.stdin.buffer.readline, b""):
        print(json.dumps(answer(line.rstrip(b"\r\n"))), flush=True)


def _rules(link: str | None, tz: str | None, config: Path | None, data: Path | None) -> LinkRules:
    """The link's rules, or none but the zone. Raises: NotFound, BadInput, SettingsError."""
    rules = LinkRules()
    if link is not None:
        settings = read_settings(config, data)
        found = settings.links.get(link)
        if found is None:
            known = ", ".join(settings.links) or "none is configured"
            raise NotFound("link", f"no link is called {link} ({known})")
        rules = settings.link_rules(found)
    return rules if tz is None else replace(rules, time_zone=_zone(tz))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInput("--tz", "a name of the IANA time zone database, such as Europe/Stockholm") from None


def _instant(text: str) -> int:
    """An instant in ms UTC; one without an offset is in UTC. Raises: BadInput."""
    try:
        if text.isascii() and text.isdigit():
            return int(text) * 1000 if len(text) <= 11 else int(text)
        at = datetime.fromisoformat(text)
        return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadInput("--received-at", "a time such as 2026-03-09T14:05:00Z, or seconds since 1970") from None
