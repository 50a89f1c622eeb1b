"""Messages that differ from the plain ones of their batch: texts, ids, times of their own (ADR 0014).

What ``admission`` writes for nearly all batches has no column for these; their rows are made here, one by one.

- A client's id of a message is the account's for ever: a message whose id was used before is not stored (``Names``).
- A message is due at its ``send_at``, not before the window opens, and ``spacing_ms`` after the one before it.

Must not know: dialects. Next: ``admission`` beside this file.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from sqlalchemy import insert, literal, select, update

from kvitto.core.model import NewBatch, NewMessage, Own
from kvitto.core.status import Reason, Status
from kvitto.core.window import next_opening
from kvitto.store import schema as t
from kvitto.store.statements import Int, Kind, Statement, Str, Tx
from kvitto.store.verbs.texts import own_json

__all__ = ["INSERT_APART", "Names", "Purse", "keep_spacings", "plan_apart"]


class Purse(Protocol):
    """An account's rate during one transaction."""

    @property
    def rate(self) -> float | None:
        """Messages per second."""

    def due(self, now: int, count: int) -> list[int]:
        """When the next messages may leave."""


_APART: Final[dict[str, Kind]] = {
    "id": Str,
    "account_id": Str,
    "recipient": Str,
    "route": Str,
    "parts": Int,
    "text": Str,
    "abort": Str,
    "status": Str,
    "reason": Str,
    "since_at": Int,
    "error_source": Str,
    "created_at": Int,
    "due_at": Int,
    "deadline_at": Int,
    "client_id": Str,
    "own": Str,
    "send_at": Int,
}
INSERT_APART: Final = Statement(
    lambda r: insert(t.message).from_select(
        [*_APART, "notes", "attempts"], select(*[r.c[name] for name in _APART], literal(0, Int), literal(0, Int))
    ),
    **_APART,
)
_USED: Final = Statement(
    lambda r: select(t.message.c.account_id, t.message.c.client_id).select_from(
        r.join(
            t.message,
            (t.message.c.account_id == r.c.account_id)
            & t.message.c.client_id.is_not(None)
            & (t.message.c.client_id == r.c.client_id),
        )
    ),
    account_id=Str,
    client_id=Str,
)


_SPACE: Final = Statement(
    lambda r: update(t.batch).values(spacing_us=r.c.spacing_us).where(t.batch.c.id == r.c.id), id=Str, spacing_us=Int
)


def keep_spacings(tx: Tx, items: Sequence[NewBatch]) -> None:
    """Remember how far apart the messages of scheduled batches leave: they may be moved (``schedules``)."""
    rows = [
        (new.batch.id, round(new.spacing_ms * 1000))
        for new in items
        if new.spacing_ms and new.batch.send_at is not None
    ]
    if rows:
        tx.run(_SPACE, rows)


class Names:
    """The clients' ids of messages that are in use, as far as this transaction asks for them."""

    def __init__(self, tx: Tx, items: Sequence[NewBatch]) -> None:
        asked = {
            (new.batch.account_id, one.client_id)
            for new in items
            if new.apart
            for one in new.messages
            if one.client_id is not None
        }
        self._used = {(row[0], row[1]) for row in tx.run(_USED, sorted(asked))} if asked else set()

    def weed(self, new: NewBatch) -> NewBatch:
        """Return what of it can be stored: each id once."""
        if not new.apart:
            return new
        account_id, used = new.batch.account_id, self._used
        keep: list[int] = []
        refused: set[str] = set()
        for index, one in enumerate(new.messages):
            name = one.client_id
            if name is not None:
                if (account_id, name) in used:
                    refused.add(name)
                    continue
                used.add((account_id, name))
            keep.append(index)
        if not refused:
            return new
        messages = [new.messages[index] for index in keep]
        routes = new.routes if isinstance(new.routes, str) else [new.routes[index] for index in keep]
        batch = new.batch._replace(recipients=tuple(one.recipient for one in messages))
        return new._replace(batch=batch, messages=messages, routes=routes, refused=frozenset(refused))


def plan_apart(new: NewBatch, purse: Purse, rows: list[tuple[Any, ...]], ended: list[str]) -> None:
    """Add the rows of a batch's messages; ``ended``: the ids of those that end at once."""
    batch, now = new.batch, new.batch.modified_at
    times = _Times(purse, new.spacing_ms, now)
    written: dict[int, str] = {}
    for index, one in enumerate(new.messages):
        own = one.own
        send_at = own.send_at if own is not None else batch.send_at
        wanted_at = send_at if send_at is not None and send_at > now else now
        scheduled = wanted_at > now
        waiting = (Status.QUEUED, Reason.SCHEDULED if scheduled else Reason.QUEUED)
        if one.abort is None:
            due_at = times.next(wanted_at, own.window if own is not None else batch.window)
            place: tuple[Any, ...] = (*waiting, now, "none", now, due_at, _expire_at(new, one))
        elif scheduled:
            place = (*waiting, now, "none", now, None, wanted_at)
        else:
            place = (Status.ABORTED, one.abort, now, "local", now, None, None)
            ended.append(one.id)
        # What replaces an earlier content was planned when that was changed, not when the batch came.
        planned_at = wanted_at if scheduled or batch.created_at != now else None
        route = new.routes if isinstance(new.routes, str) else new.routes[index]
        head = (one.id, batch.account_id, one.recipient, route, one.parts, one.text, one.abort)
        rows.append((*head, *place, one.client_id, _own_text(own, written), planned_at))


def _expire_at(new: NewBatch, one: NewMessage) -> int:
    return new.batch.expire_at if one.own is None else one.own.expire_at


def _own_text(own: Own | None, written: dict[int, str]) -> str | None:
    """The JSON of an ``Own``, made once for all messages that share it."""
    if own is None:
        return None
    text = written.get(id(own))
    if text is None:
        text = written[id(own)] = own_json(own)
    return text


class _Times:
    """When one message after the other may leave: by rate, spacing and windows."""

    def __init__(self, purse: Purse, spacing_ms: float | None, now: int) -> None:
        self._purse = purse
        self._spacing_ms = spacing_ms or 0.0
        self._now = now
        self._step = max(self._spacing_ms, 1000.0 / purse.rate if purse.rate else 0.0)
        self._next: dict[int, float] = {}

    def next(self, wanted_at: int, window: Any) -> int:
        if wanted_at == self._now and not self._spacing_ms and window is None:
            return self._purse.due(wanted_at, 1)[0]
        # What is planned for later keeps the rate, but does not hold up the queue of the day before.
        at = next_opening(window, int(self._next.get(wanted_at, wanted_at)))
        self._next[wanted_at] = max(self._next.get(wanted_at, 0.0), float(at)) + self._step
        return at
