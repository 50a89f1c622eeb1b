"""``kvitto receipt orphans``: receipts that found nobody: those that were parked too long, fit several messages, or
have no id; to list, to look at, and to give to their message by hand (R34, R35).

Giving is the store's verb: the same status machine and the same callbacks as if it had matched. Next:
``docs/receipts.md``, ``Store.assign_receipt``.
"""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

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
)
from kvitto.core.errors import BadInput, NotFound, Refused
from kvitto.core.model import ReceiptOutcome
from kvitto.core.receipt import LinkRules
from kvitto.core.status import Status
from kvitto.smpp.records import read_pdu_line
from kvitto.store.api import ORPHANS, Assigned, StoredReceipt

__all__ = ["orphans"]

orphans = typer.Typer(invoke_without_command=True, help="Receipts that found nobody; without a word more: list them.")

_MOST: Final = 1000
_COLUMNS: Final = ("id", "received_at", "link", "group", "reason", "smsc_id", "status", "from", "to")
_PROBLEMS: Final = {
    "no_such_receipt": "there is no receipt with this number",
    "already_matched": "this receipt belongs to a message already",
    "no_such_message": "there is no message with this id",
    "no_such_part": "the message has no such part",
    "which_part": "several parts could be meant: say which, --part N",
    "not_sent": "this was never written to a link, so no SMSC can have sent a receipt for it",
    "other_group": "the message went to another group of links than the receipt came from",
    "no_state": "nothing can be read in this receipt: say what it means, --status DELIVERED, FAILED, EXPIRED, DELETED "
    "or REJECTED",
    "has_state": "the receipt says another status itself",
}

GroupOption = Annotated[str | None, typer.Option("--group", metavar="NAME", help="Only receipts of this group.")]
LimitOption = Annotated[int, typer.Option("--limit", metavar="N", help="At most so many, newest first.")]
BeforeOption = Annotated[
    int | None, typer.Option("--before", metavar="ID", help="Only older ones than this: the next page.")
]
ParkedOption = Annotated[
    bool, typer.Option("--parked", metavar="", help="Also those that are still tried by themselves (R33).")
]


@orphans.callback()
def _default(
    context: typer.Context, as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    if context.invoked_subcommand is None:
        _list(None, 100, None, False, as_json, config, data)


@orphans.command("list")
def list_(
    group: GroupOption = None,
    limit: LimitOption = 100,
    before: BeforeOption = None,
    parked: ParkedOption = False,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """List them, newest first."""
    _list(group, limit, before, parked, as_json, config, data)


def _list(
    group: str | None,
    limit: int,
    before: int | None,
    parked: bool,
    as_json: bool,
    config: Path | None,
    data: Path | None,
) -> None:
    if not 1 <= limit <= _MOST:
        raise BadInput("--limit", f"1 to {_MOST}")
    outcomes = (*ORPHANS, ReceiptOutcome.PARKED) if parked else ORPHANS

    async def work() -> list[StoredReceipt]:
        async with books(settings) as store:
            return await store.list_receipts(outcomes, group=group, before_id=before, limit=limit)

    settings = read_settings(config, data)
    found = [_document(one) for one in run(work())]
    if as_json:
        print_json(found)
    elif not found:
        say("No receipt is without its message.")
    else:
        print_rows(_COLUMNS, [tuple(one[name] for name in _COLUMNS) for one in found])


@orphans.command()
def show(
    receipt_id: Annotated[int, typer.Argument(metavar="ID", help="Its number, from the list.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Show one with all that can be read in it, and its raw PDU."""
    settings = read_settings(config, data)

    async def work() -> StoredReceipt | None:
        async with books(settings) as store:
            return await store.fetch_receipt(receipt_id)

    found = run(work())
    if found is None:
        raise NotFound("receipt", f"no receipt has the number {receipt_id}")
    link = settings.links.get(found.link)
    rules = LinkRules() if link is None else settings.link_rules(link)
    record = read_pdu_line(found.raw, rules, found.received_at)
    document = _document(found) | {"tries": found.tries, "next_try_at": iso(found.next_try_at), "record": record}
    if as_json:
        print_json(document)
        return
    print_pairs({name: value for name, value in document.items() if name != "record"})
    say("")
    print_pairs(record)


@orphans.command()
def assign(
    receipt_id: Annotated[int, typer.Argument(metavar="ID", help="The receipt's number, from the list.")],
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE", help="The message that it is for.")],
    part: Annotated[int | None, typer.Option("--part", metavar="N", help="Which part of it, from 1.")] = None,
    status: Annotated[
        Status | None, typer.Option("--status", metavar="WORD", help="What it says, where nothing can be read in it.")
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Give one to its message, as if it had matched: its status and callbacks follow."""
    settings = read_settings(config, data)

    async def work() -> Assigned:
        async with books(settings) as store:
            return await store.assign_receipt(receipt_id, message_id, part, CLOCK.now(), status=status)

    done = run(work())
    if done.problem:
        raise Refused(done.problem, _PROBLEMS.get(done.problem, done.problem))
    document = {
        "receipt": receipt_id,
        "message_id": done.message_id,
        "part": done.part_no,
        "effect": None if done.effect is None else str(done.effect),
    }
    if as_json:
        print_json(document)
    else:
        say(f"Receipt {receipt_id} is for part {done.part_no} of {done.message_id}: {done.effect}.")


def _document(one: StoredReceipt) -> dict[str, Any]:
    read = one.receipt
    return {
        "id": one.id,
        "received_at": iso(one.received_at),
        "link": one.link,
        "group": one.group,
        "outcome": str(one.outcome),
        "reason": one.reason or None,
        "smsc_id": read.message_id if read else None,
        "status": str(read.status) if read else None,
        "from": read.source_addr if read else None,
        "to": read.destination_addr if read else None,
        "message_id": one.message_id,
        "part": one.part_no,
        "assigned_at": iso(one.assigned_at),
        "raw": one.raw,
    }
