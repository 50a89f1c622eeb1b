"""Everything that changed, in the order of the commits, for readers who come back for more.

It stands in two tables, whose numbers are of one series: events, and the rows that list what got on its way in a
transaction (``underway``). On SQLite a number is a place. On PostgreSQL the place is (transaction, number), and a page
ends before the oldest transaction that is still open (``kvitto.store.commitorder``). Both tables are read up to the
same place, which is asked for first: else what is committed between two looks would be skipped in the first of them.

A page looks at ``LOOKED_AT`` events and ``ROWS_AT`` rows at most, everybody's: an index on the account would cost every
event more than looking costs those who ask.

Must not know: HTTP, dialects. Next: ``kvitto.store.verbs.callbacks``, whose views these are.
"""

import re
from collections.abc import Iterator, Sequence
from heapq import merge
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, case, func, literal, null, or_, select, tuple_

from kvitto.core.record import CursorRefused, EventPage, EventView
from kvitto.core.status import Reason, Status
from kvitto.store import schema as t
from kvitto.store.commitorder import OldestOpenTx
from kvitto.store.statements import Int, Statement, Str, Tx
from kvitto.store.verbs.callbacks import change_columns, change_source, read_change, views_of
from kvitto.store.verbs.underway import expand

__all__ = ["LOOKED_AT", "NOW", "ROWS_AT", "events_after"]

LOOKED_AT: Final = 20_000
ROWS_AT: Final = 500
"""Each may list some hundred messages."""
NOW: Final = "now"
"""The cursor of those who want nothing of the past."""
EVERYBODY: Final = ""
_CURSOR: Final = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")


class _Place(NamedTuple):
    """One change: where it is, whose, and, where no event tells it, of which message and when (ms UTC)."""

    tx: int
    seq: int
    account_id: str
    message_id: str | None = None
    at: int = 0


def _after(table: Any, *columns: Any, by_commit: bool) -> Any:
    """The first ``n`` rows after a place and up to another."""
    if not by_commit:
        return (
            select(literal(0, Int), table.c.seq, table.c.account_id, *columns)
            .where(table.c.seq > bindparam("seq", type_=Int), table.c.seq <= bindparam("until", type_=Int))
            .order_by(table.c.seq)
            .limit(bindparam("n", type_=Int))
        )
    place = tuple_(bindparam("tx", type_=Int), bindparam("seq", type_=Int))
    return (
        select(table.c.tx, table.c.seq, table.c.account_id, *columns)
        .where(
            table.c.tx.is_not(None),
            tuple_(table.c.tx, table.c.seq) > place,
            table.c.tx < bindparam("until", type_=Int),
        )
        .order_by(table.c.tx, table.c.seq)
        .limit(bindparam("n", type_=Int))
    )


def _lists() -> tuple[Any, ...]:
    """What a row lists, where it is asked for: others' rows are only read past."""
    row, account = t.dispatched.c, bindparam("account", type_=Str)
    asked = or_(row.account_id == account, account == EVERYBODY)
    return case((asked, row.messages)), row.at, row.earlier, row.seqs


_EVENTS: Final = Statement(lambda _: _after(t.event, by_commit=False))
_EVENTS_BY_COMMIT: Final = Statement(lambda _: _after(t.event, by_commit=True))
_ROWS: Final = Statement(lambda _: _after(t.dispatched, *_lists(), by_commit=False))
_ROWS_BY_COMMIT: Final = Statement(lambda _: _after(t.dispatched, *_lists(), by_commit=True))
_LAST: Final = Statement(
    lambda _: select(*[select(func.max(table.c.seq)).scalar_subquery() for table in (t.event, t.dispatched)])
)
_HORIZON: Final = Statement(lambda _: select(OldestOpenTx()))


_DRAWN: Final = Statement(
    lambda _: select(
        select(func.max(t.callback.c.id)).scalar_subquery(),
        select(func.max(t.receipt.c.id)).scalar_subquery(),
        select(func.max(t.high_water.c.value)).scalar_subquery(),
    )
)
"""Where else a number may stand that was drawn, when the events and rows that had the last ones are forgotten."""


def events_after(
    tx: Tx, account_id: str | None, cursor: str, limit: int, *, by_commit: bool
) -> EventPage | CursorRefused:
    """A page of changes; see ``CallbackStore.events_after``. ``by_commit``: there may be several writers."""
    until = max(one or 0 for one in tx.run(_HORIZON if by_commit else _LAST)[0])
    if cursor == NOW:
        return EventPage([], f"{until}-0" if by_commit else f"0-{until}", False)
    found = _CURSOR.fullmatch(cursor or "0-0")
    if found is None or int(found[1]) >> 63 or int(found[2]) >> 63:
        return CursorRefused.MALFORMED
    place = (int(found[1]), int(found[2]))
    if _is_ahead(tx, place, until, by_commit=by_commit):
        return CursorRefused.AHEAD
    given = {"seq": place[1], "until": until} | ({"tx": place[0]} if by_commit else {})
    events = tx.run(_EVENTS_BY_COMMIT if by_commit else _EVENTS, **given, n=LOOKED_AT)
    rows = tx.run(_ROWS_BY_COMMIT if by_commit else _ROWS, **given, n=ROWS_AT, account=account_id or EVERYBODY)
    return _page(tx, events, rows, account_id, place, limit)


def _is_ahead(tx: Tx, place: tuple[int, int], until: int, *, by_commit: bool) -> bool:
    """Whether nobody here can have handed this place out. A reader that waited there would wait for ever."""
    if by_commit:
        return place > (until, 0)
    return place[0] != 0 or (place[1] > until and place[1] > max(one or 0 for one in tx.run(_DRAWN)[0]))


def _page(
    tx: Tx, events: Sequence[Any], rows: Sequence[Any], account_id: str | None, place: tuple[int, int], limit: int
) -> EventPage:
    cut = [(full[-1][0], full[-1][1]) for full, most in ((events, LOOKED_AT), (rows, ROWS_AT)) if len(full) == most]
    until = min(cut, default=None)
    more = until is not None
    taken: list[_Place] = []
    for one in merge((_Place(*row) for row in events), _each(rows, place)):
        if until is not None and one[:2] > until:
            break
        if account_id in (None, one.account_id):
            if len(taken) == limit:
                more = True
                break
            taken.append(one)
        place = one[:2]
    return EventPage(_views(tx, taken), f"{place[0]}-{place[1]}", more)


def _each(rows: Sequence[Any], place: tuple[int, int]) -> Iterator[_Place]:
    """The changes that rows list, those after ``place``: a page may have ended within a row."""
    for at_tx, last, owner, messages, at, earlier, seqs in rows:
        if messages is None:
            yield _Place(at_tx, last, owner)
            continue
        for seq, message_id, taken_at in expand(last, at, messages, earlier, seqs):
            if (at_tx, seq) > place:
                yield _Place(at_tx, seq, owner, message_id, taken_at)


_UNDERWAY: Final = Statement(
    lambda r: select(
        r.c.seq,
        r.c.id,
        t.message.c.account_id,
        literal(str(Status.DISPATCHED), Str),
        literal(str(Reason.ACCEPTED), Str),
        r.c.at,
        null(),
        literal("none", Str),
        null(),
        null(),
        null(),
        null(),
        *change_columns(),
    ).select_from(change_source(r.join(t.message, t.message.c.id == r.c.id), 1)),
    seq=Int,
    id=Str,
    at=Int,
)


def _views(tx: Tx, places: Sequence[_Place]) -> list[EventView]:
    """The facts of changes; of messages that are gone there are none."""
    views = views_of(tx, [one.seq for one in places if one.message_id is None])
    listed = [(one.seq, one.message_id, one.at) for one in places if one.message_id is not None]
    if listed:
        views |= {row[0]: read_change(row) for row in tx.run(_UNDERWAY, listed)}
    return [EventView(one.seq, f"{one.tx}-{one.seq}", views[one.seq]) for one in places if one.seq in views]
