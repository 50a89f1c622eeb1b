"""``kvitto message``: what an operator decides about single messages; so far, parts in doubt (R12, P6).

A part is in doubt when it was written, or about to be, as its link or the process died, and neither an answer nor a
receipt has come since. Nobody can know whether the SMSC has it: sending again may deliver twice, ending it may end
what was delivered. Next: docs/smpp.md, ``kvitto.store.api``.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from kvitto.cli.common import (
    CLOCK,
    ConfigOption,
    DataOption,
    JsonOption,
    books,
    iso,
    print_json,
    print_rows,
    read_settings,
    run,
    say,
)
from kvitto.core.errors import NotFound
from kvitto.core.model import PartKey
from kvitto.store.api import InDoubtPart, Store

__all__ = ["commands"]

commands = typer.Typer(no_args_is_help=True, help="Single messages.")
in_doubt = typer.Typer(no_args_is_help=True, help="Parts that were written and never answered.")
commands.add_typer(in_doubt, name="in-doubt")

LinkOption = Annotated[str | None, typer.Option("--link", metavar="NAME", help="Only parts of this link.")]
MessagesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[MESSAGE]...", help="Only these messages' parts; all when left out.")
]


@in_doubt.command("list")
def list_(
    link: LinkOption = None, as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """List parts in doubt, oldest first."""
    _print(_decide(None, link, (), config, data), as_json)


@in_doubt.command()
def resend(
    messages: MessagesArgument = None,
    link: LinkOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Send parts in doubt again; a recipient whose part had arrived gets it twice."""

    async def work(store: Store, keys: Sequence[PartKey]) -> int:
        return await store.resend_in_doubt(keys, CLOCK.now())

    parts = _decide(work, link, messages or (), config, data)
    _print(parts, as_json, f"{len(parts)} parts are back in the queue.")


@in_doubt.command()
def end(
    messages: MessagesArgument = None,
    link: LinkOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """End messages with parts in doubt as UNKNOWN; a receipt that comes later still corrects that."""

    async def work(store: Store, keys: Sequence[PartKey]) -> int:
        return await store.end_in_doubt(keys, CLOCK.now())

    parts = _decide(work, link, messages or (), config, data)
    _print(parts, as_json, f"{len(parts)} parts were in doubt; their messages have ended.")


Act = Callable[[Store, Sequence[PartKey]], Awaitable[int]]


def _decide(
    act: Act | None, link: str | None, messages: Sequence[str], config: Path | None, data: Path | None
) -> list[InDoubtPart]:
    """List the parts and do something with them. Raises: NotFound for a message that has none in doubt."""
    settings = read_settings(config, data)

    async def work() -> list[InDoubtPart]:
        async with books(settings) as store:
            parts = await store.list_in_doubt(link)
            if messages:
                parts = [part for part in parts if part.message_id in messages]
                missing = set(messages) - {part.message_id for part in parts}
                if missing:
                    raise NotFound("message", f"nothing of {min(missing)} is in doubt")
            if act is not None and parts:
                await act(store, [PartKey(part.message_id, part.part_no) for part in parts])
            return parts

    return run(work())


def _print(parts: list[InDoubtPart], as_json: bool, done: str = "") -> None:
    if as_json:
        print_json([_document(part) for part in parts])
        return
    if not parts:
        say("Nothing is in doubt.")
        return
    documents = [_document(part) for part in parts]
    print_rows(tuple(documents[0]), [tuple(document.values()) for document in documents])
    if done:
        say(done)


def _document(part: InDoubtPart) -> dict[str, object]:
    return {
        "message_id": part.message_id,
        "part": part.part_no,
        "account": part.account,
        "batch_id": part.batch_id,
        "recipient": part.recipient,
        "link": part.link,
        "written_at": iso(part.written_at),
    }
