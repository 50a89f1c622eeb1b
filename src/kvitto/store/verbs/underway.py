"""Messages that an SMSC has taken and that nobody is called back about: those of a transaction in one row an account.

"Everything that changed" has them too (``reconciliation``), but a row for each would cost the hot path more than the
rest of the change (ADR 0020). So one row of ``dispatched`` lists them: ids, instants, and a number for each out of the
same series as the events', which puts them into one order with these. What else such a change says is always the same:
DISPATCHED, ``accepted``, no error. One that says more is an ``event``.

Must not know: which changes come here (``changes``, ``dispatch``), cursors (``reconciliation``).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import insert, select

from kvitto.store import schema as t
from kvitto.store.commitorder import CurrentTx
from kvitto.store.statements import Int, Kind, Statement, Str, Tx

__all__ = ["Underway", "expand", "write_underway"]


Underway = tuple[str, str, int]
"""One of them: account, message, and when the SMSC's answer came (ms UTC)."""

_COLUMNS: Final[dict[str, Kind]] = {
    "seq": Int,
    "account_id": Str,
    "at": Int,
    "messages": Str,
    "earlier": Str,
    "seqs": Str,
}
_INSERT: Final = Statement(
    lambda r: insert(t.dispatched).from_select(
        [*_COLUMNS, "tx"], select(*[r.c[name] for name in _COLUMNS], CurrentTx())
    ),
    **_COLUMNS,
)


def write_underway(tx: Tx, found: Sequence[Underway]) -> None:
    """Write these down, a row an account; their rows are locked, so that a message's numbers rise."""
    if len({one[0] for one in found}) == 1:
        tx.run(_INSERT, [_row(found, tx.new_ids(len(found)))])
        return
    by_account: dict[str, list[Underway]] = {}
    for one in found:
        by_account.setdefault(one[0], []).append(one)
    numbers = tx.new_ids(len(found))
    rows, start = [], 0
    for group in by_account.values():
        rows.append(_row(group, numbers[start : start + len(group)]))
        start += len(group)
    tx.run(_INSERT, rows)


def _row(group: Sequence[Underway], numbers: Sequence[int]) -> tuple[Any, ...]:
    _, ids, instants = zip(*group, strict=True)
    at = max(instants)
    earlier = None if min(instants) == at else _json([at - one for one in instants])
    gaps = numbers[-1] - numbers[0] >= len(numbers)
    return numbers[-1], group[0][0], at, " ".join(ids), earlier, _json(list(numbers)) if gaps else None


def expand(seq: int, at: int, messages: str, earlier: str | None, seqs: str | None) -> Iterator[tuple[int, str, int]]:
    """Return (number, message, when) of each in a row, by rising number."""
    ids = messages.split(" ")
    numbers: Sequence[int] = range(seq - len(ids) + 1, seq + 1) if seqs is None else msgspec.json.decode(seqs)
    before = [0] * len(ids) if earlier is None else msgspec.json.decode(earlier)
    for number, message_id, gap in zip(numbers, ids, before, strict=True):
        yield number, message_id, at - gap


def _json(values: list[int]) -> Any:
    return msgspec.json.encode(values).decode()
