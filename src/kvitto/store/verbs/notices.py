"""What operators and owners are told: rows of ``operator_event``, and a callback for each where the account wants it.

Both are written in the transaction of what they tell. An account's ``events_url`` gets what happens to its endpoints
and secrets, but nothing about the endpoint that it is itself: what tells of its own trouble would cause the next.

Must not know: how it is worded (``kvitto.callbacks.notices``), when a breaker opens. Next: ``endpoints``.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, insert, literal, select

from kvitto.core.endpoint import endpoint_number, show_endpoint_id
from kvitto.core.model import NOTICES, CallbackState, OperatorEvent
from kvitto.store import schema as t
from kvitto.store.statements import Int, Kind, Statement, Str, Tx

__all__ = ["TELLS_NOTICE", "Notice", "notices_by_id", "operator_events", "write_notices"]

TELLS_NOTICE: Final = "notice"
"""What such a callback tells of (``callback.tells``)."""


class Notice(NamedTuple):
    """One to write: whose, when (ms UTC), and what as in ``OperatorEvent``."""

    account_id: str
    at: int
    kind: str
    subject: str
    detail: str


_WRITE: Final = Statement(
    lambda r: (
        insert(t.operator_event)
        .from_select(
            ["account_id", "at", "kind", "subject", "detail"],
            select(r.c.account_id, r.c.at, r.c.kind, r.c.subject, r.c.detail),
        )
        .returning(t.operator_event.c.id, t.operator_event.c.account_id, t.operator_event.c.subject)
    ),
    account_id=Str,
    at=Int,
    kind=Str,
    subject=Str,
    detail=Str,
)
_URLS: Final = Statement(
    lambda r: select(t.account.c.id, t.account.c.events_url).select_from(
        r.join(t.account, (t.account.c.id == r.c.id) & t.account.c.events_url.is_not(None))
    ),
    id=Str,
)
_CALLBACK: Final[dict[str, Kind]] = {
    "id": Int,
    "account_id": Str,
    "url": Str,
    "created_at": Int,
    "next_attempt_at": Int,
    "endpoint": Int,
    "notice": Int,
}
_MADE: Final = {
    "batch_id": literal("", Str),
    "tells": literal(TELLS_NOTICE, Str),
    "dialect": literal(NOTICES, Str),
    "state": literal(str(CallbackState.PENDING), Str),
    "attempts": literal(0, Int),
}
_INSERT_CALLBACKS: Final = Statement(
    lambda r: insert(t.callback).from_select(
        [*_CALLBACK, *_MADE], select(*[r.c[name] for name in _CALLBACK], *_MADE.values())
    ),
    **_CALLBACK,
)


def write_notices(tx: Tx, notices: Sequence[Notice]) -> None:
    """Write them down, in order, and put those into the outbox that are posted to somebody."""
    if not notices:
        return
    urls = {row[0]: row[1] for row in tx.run(_URLS, [(one,) for one in sorted({one.account_id for one in notices})])}
    posted: list[tuple[Any, ...]] = []
    for one in notices:
        ((number, account_id, subject),) = tx.run(_WRITE, [one])
        url = urls.get(account_id)
        if url is not None:
            endpoint = endpoint_number(account_id, url)
            if subject != show_endpoint_id(endpoint):
                posted.append((account_id, url, one.at, one.at, endpoint, number))
    if posted:
        tx.run(_INSERT_CALLBACKS, [(new, *row) for new, row in zip(tx.new_ids(len(posted)), posted, strict=True)])


_BY_ID: Final = Statement(
    lambda r: select(t.operator_event).select_from(r.join(t.operator_event, t.operator_event.c.id == r.c.id)), id=Int
)
_TOLD: Final = Statement(
    lambda _: (
        select(t.operator_event)
        .where(t.operator_event.c.id < bindparam("before", type_=Int))
        .order_by(t.operator_event.c.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)
_TOLD_OF: Final = Statement(
    lambda _: (
        select(t.operator_event)
        .where(
            t.operator_event.c.account_id == bindparam("account_id", type_=Str),
            t.operator_event.c.id < bindparam("before", type_=Int),
        )
        .order_by(t.operator_event.c.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)


def _event(row: Sequence[Any]) -> OperatorEvent:
    return OperatorEvent(row[0], row[2], row[1], row[3], row[4], row[5])


def notices_by_id(tx: Tx, ids: Sequence[int]) -> dict[int, OperatorEvent]:
    """Some, by their numbers."""
    rows = tx.run(_BY_ID, [(one,) for one in ids]) if ids else []
    return {row[0]: _event(row) for row in rows}


def operator_events(tx: Tx, account_id: str | None, limit: int, before: int | None) -> list[OperatorEvent]:
    """Newest first; see ``CallbackStore.list_operator_events``."""
    last = 1 << 62 if before is None else before
    if account_id is None:
        rows = tx.run(_TOLD, before=last, n=limit)
    else:
        rows = tx.run(_TOLD_OF, account_id=account_id, before=last, n=limit)
    return [_event(row) for row in rows]
