"""``kvitto report`` and ``kvitto trace``: what became of a batch, and the whole story of one message.

Both see every account: they are the operator's. Next: ``kvitto.store.api``.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.live import Live

from kvitto.cli.common import (
    CLOCK,
    ConfigOption,
    DataOption,
    JsonOption,
    books,
    iso,
    print_json,
    print_pairs,
    print_rows,
    read_settings,
    run,
    say,
    table,
)
from kvitto.core.errors import BadInput, NotFound
from kvitto.core.model import Account, BatchReport, MessageView
from kvitto.core.msisdn import clean
from kvitto.core.status import FINAL, StatusError
from kvitto.reports.numbers import spell
from kvitto.store.api import Store, TraceEntry

__all__ = ["report", "trace"]

WATCH_S: Final = 0.5
"""Between two looks of ``--watch``."""
_SHOWN_RECIPIENTS: Final = 3
_COLUMNS: Final = ("status", "reason", "error", "count", "recipients")


def report(
    batch: Annotated[str, typer.Argument(metavar="BATCH", help="The batch's id.")],
    recipient: Annotated[str | None, typer.Option(metavar="NUMBER", help="One recipient's report.")] = None,
    watch: Annotated[bool, typer.Option("--watch", metavar="", help="Follow it until every message is final.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Show how a batch's messages stand."""
    settings = read_settings(config, data)
    number = _read_recipient(recipient)

    async def work() -> None:
        async with books(settings) as store:
            account = await _find_owner(store, batch)
            look = _Look(store, account, batch, number)
            if watch:
                await _follow(look, as_json)
            else:
                _show(await look(), as_json)

    run(work())


def _read_recipient(recipient: str | None) -> str | None:
    if recipient is None:
        return None
    number = clean(recipient)
    if number is None:
        raise BadInput("--recipient", "wanted a phone number of 5 to 15 digits")
    return number


async def _find_owner(store: Store, batch_id: str) -> Account:
    for account in await store.list_accounts():
        if await store.fetch_batch(account.id, batch_id) is not None:
            return account
    raise NotFound("batch", f"no batch {batch_id}")


Seen = BatchReport | MessageView


class _Look:
    """Asks again for the same report."""

    def __init__(self, store: Store, account: Account, batch_id: str, recipient: str | None) -> None:
        self._store = store
        self._account_id = account.id
        self._batch_id = batch_id
        self._recipient = recipient

    async def __call__(self) -> Seen:
        """Return the report as it is now. Raises: NotFound."""
        now = CLOCK.now()
        found: Seen | None
        if self._recipient is None:
            found = await self._store.fetch_batch_report(
                self._account_id, self._batch_id, recipients=True, first_final=False, now=now
            )
        else:
            found = await self._store.fetch_message(
                self._account_id, self._batch_id, self._recipient, first_final=False, now=now
            )
        if found is None:
            raise NotFound("report", "no such recipient in this batch, or the batch still waits for its time")
        return found


async def _follow(look: _Look, as_json: bool) -> None:
    """Show each change until the end: a live table on a terminal, each state once elsewhere; JSON only the last."""
    seen = await look()
    if as_json:
        while not _is_over(seen):
            await asyncio.sleep(WATCH_S)
            seen = await look()
        _show(seen, as_json=True)
    elif sys.stdout.isatty():
        with Live(_table(seen), console=Console(), auto_refresh=False) as live:
            await _repeat(look, seen, lambda now: live.update(_table(now), refresh=True))
    else:
        _show(seen, as_json=False)
        await _repeat(look, seen, lambda now: _show(now, as_json=False))


async def _repeat(look: _Look, seen: Seen, show: Callable[[Seen], None]) -> None:
    while not _is_over(seen):
        await asyncio.sleep(WATCH_S)
        now = await look()
        if now != seen:
            show(now)
        seen = now


def _is_over(seen: Seen) -> bool:
    if isinstance(seen, MessageView):
        return seen.status in FINAL
    # A batch that waits for its time shows nothing; one that was cancelled before it never will.
    return sum(count.count for count in seen.counts if count.status in FINAL) >= seen.message_count


def _show(seen: Seen, as_json: bool) -> None:
    if as_json:
        print_json(_document(seen))
    elif isinstance(seen, MessageView):
        print_pairs(_pairs(seen))
    else:
        print_rows(_COLUMNS, _rows(seen), title=_title(seen))
        if not seen.visible:
            say("waiting for its send_at, or cancelled before it")


def _table(seen: Seen) -> Any:
    if isinstance(seen, MessageView):
        return table(("recipient", seen.recipient), [pair for pair in _pairs(seen).items() if pair[0] != "recipient"])
    return table(_COLUMNS, _rows(seen), title=_title(seen))


def _pairs(seen: MessageView) -> dict[str, object]:
    """A recipient's report for people."""
    return _document(seen) | {"error": _error(seen.error)}


def _title(seen: BatchReport) -> str:
    return f"{seen.batch_id}: {seen.message_count} messages"


def _rows(seen: BatchReport) -> list[tuple[object, ...]]:
    return [
        (count.status.value, count.reason.value, _error(count.error), count.count, _few(count.recipients))
        for count in seen.counts
    ]


def _few(recipients: tuple[str, ...]) -> str:
    more = len(recipients) - _SHOWN_RECIPIENTS
    return ", ".join(recipients[:_SHOWN_RECIPIENTS]) + (f" and {more} more" if more > 0 else "")


def _error(error: StatusError) -> str:
    if error.command_status is not None:
        return f"command_status 0x{error.command_status:02X}"
    if error.text is not None:
        return f"err {error.text}"
    return f"network {error.net_type}/{error.net_code}" if error.net_code is not None else ""


def _error_document(error: StatusError) -> dict[str, object]:
    fields = error._asdict() | {"source": error.source.value}
    return {name: value for name, value in fields.items() if value is not None}


def _document(seen: Seen) -> dict[str, object]:
    if isinstance(seen, MessageView):
        return {
            "message_id": seen.id,
            "batch_id": seen.batch_id,
            "recipient": seen.recipient,
            "status": seen.status.value,
            "reason": seen.reason.value,
            "since": iso(seen.since_at),
            "done": iso(seen.done_at),
            "error": _error_document(seen.error),
            "parts": seen.parts,
            "notes": [note.name.lower() for note in seen.notes if note.name],
            "created": iso(seen.created_at),
            "client_reference": seen.client_reference,
        }
    return {
        "batch_id": seen.batch_id,
        "message_count": seen.message_count,
        "client_reference": seen.client_reference,
        "visible": seen.visible,
        "counts": [
            {
                "status": count.status.value,
                "reason": count.reason.value,
                "error": _error_document(count.error),
                "count": count.count,
                "recipients": list(count.recipients),
            }
            for count in seen.counts
        ],
    }


# --- trace -----------------------------------------------------------------------------------------------------------


def trace(
    message_or_number: Annotated[str, typer.Argument(metavar="MESSAGE_OR_NUMBER", help="A message's id, or a number.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Tell a recipient's whole story in time order: admission, submit, response, receipts, changes, callbacks."""
    settings = read_settings(config, data)
    wanted = clean(message_or_number) or message_or_number

    async def work() -> list[Any]:
        async with books(settings) as store:
            return list(await store.trace(wanted))

    entries = run(work())
    if not entries:
        raise NotFound("message", "no message has this id, or went to this number")
    if as_json:
        print_json([_traced(entry) for entry in entries])
        return
    rows = [(iso(entry.at), entry.message_id, entry.kind, _told(entry), entry.raw) for entry in entries]
    if sys.stdout.isatty():
        _print_stories(rows)
    else:
        print_rows(("at", "message", "kind", "what", "raw"), rows)


def _traced(entry: TraceEntry) -> dict[str, object]:
    """``to`` and ``country`` on the line of the admission alone."""
    document = entry._asdict() | {"at": iso(entry.at)}
    number = document.pop("to")
    return document if not number else document | {"to": number, "country": spell(number).country}


def _told(entry: TraceEntry) -> str:
    if not entry.to:
        return entry.text
    shown, country = spell(entry.to)
    return f"{entry.text}, to {shown}" + (f" ({country})" if country else "")


def _print_stories(rows: list[tuple[Any, ...]]) -> None:
    """On a terminal: a line for each step, and raw octets below theirs, for they are longer than any table."""
    console = Console(highlight=False)
    shown = ""
    for at, message_id, kind, text, raw in rows:
        if message_id != shown:
            console.print(f"[bold]{json.dumps(message_id)[1:-1]}[/bold]")
            shown = message_id
        console.print(f"  {at}  [cyan]{kind:<12}[/cyan] ", end="")
        console.print(text, markup=False)
        if raw:
            console.print(" " * 28 + raw, style="dim", markup=False)
