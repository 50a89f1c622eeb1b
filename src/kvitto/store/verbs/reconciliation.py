"""Everything that changed, in the order of the commits, for readers who come back for more.

On SQLite an event's number is its place. On PostgreSQL the place is (transaction, number), and a page ends before the
oldest transaction that is still open (``kvitto.store.commitorder``). A page looks at ``LOOKED_AT`` rows at most,
everybody's: an index on the account would cost every event more than looking costs those who ask.

Must not know: HTTP, dialects. Next: ``kvitto.store.verbs.callbacks``, whose views these are.
"""

import re
from typing import Any, Final

from sqlalchemy import bindparam, func, literal, select, tuple_

from kvitto.core.record import EventPage, EventView
from kvitto.store import schema as t
from kvitto.store.commitorder import OldestOpenTx
from kvitto.store.statements import Int, Statement, Tx
from kvitto.store.verbs.callbacks import views_of

__all__ = ["LOOKED_AT", "NOW", "events_after"]

LOOKED_AT: Final = 20_000
NOW: Final = "now"
"""The cursor of those who want nothing of the past."""
_CURSOR: Final = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")

_BY_NUMBER: Final = Statement(
    lambda _: (
        select(literal(0, Int), t.event.c.seq, t.event.c.account_id)
        .where(t.event.c.seq > bindparam("seq", type_=Int))
        .order_by(t.event.c.seq)
        .limit(bindparam("n", type_=Int))
    )
)
_BY_COMMIT: Final = Statement(
    lambda _: (
        select(t.event.c.tx, t.event.c.seq, t.event.c.account_id)
        .where(
            t.event.c.tx.is_not(None),
            tuple_(t.event.c.tx, t.event.c.seq) > tuple_(bindparam("tx", type_=Int), bindparam("seq", type_=Int)),
            t.event.c.tx < select(OldestOpenTx()).scalar_subquery(),
        )
        .order_by(t.event.c.tx, t.event.c.seq)
        .limit(bindparam("n", type_=Int))
    )
)
_LAST: Final = Statement(lambda _: select(literal(0, Int), func.coalesce(func.max(t.event.c.seq), 0)))
_HORIZON: Final = Statement(lambda _: select(OldestOpenTx(), literal(0, Int)))


def events_after(tx: Tx, account_id: str | None, cursor: str, limit: int, *, by_commit: bool) -> EventPage | None:
    """A page of changes; see ``CallbackStore.events_after``. ``by_commit``: there may be several writers."""
    if cursor == NOW:
        at = tx.run(_HORIZON if by_commit else _LAST)[0]
        return EventPage([], f"{at[0]}-{at[1]}", False)
    found = _CURSOR.fullmatch(cursor or "0-0")
    if found is None or int(found[1]) >> 63 or int(found[2]) >> 63:
        return None
    place = (int(found[1]), int(found[2]))
    if by_commit:
        rows = tx.run(_BY_COMMIT, tx=place[0], seq=place[1], n=LOOKED_AT)
    else:
        rows = tx.run(_BY_NUMBER, seq=place[1], n=LOOKED_AT)
    return _page(tx, rows, account_id, place, limit)


def _page(tx: Tx, rows: list[Any], account_id: str | None, place: tuple[int, int], limit: int) -> EventPage:
    places: dict[int, str] = {}
    more = len(rows) == LOOKED_AT
    for at, seq, owner in rows:
        if account_id in (None, owner):
            if len(places) == limit:
                more = True
                break
            places[seq] = f"{at}-{seq}"
        place = (at, seq)
    views = views_of(tx, list(places))
    events = [EventView(seq, cursor, views[seq]) for seq, cursor in places.items() if seq in views]
    return EventPage(events, f"{place[0]}-{place[1]}", more)
