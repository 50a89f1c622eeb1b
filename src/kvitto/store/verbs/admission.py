"""How batches come in, change and are withdrawn (P1).

Rate is kept by spacing: each message of an account with a ``rate`` gets the next free moment at that rate as its
``due_at``, first in, first out; the account's row remembers the moment after the last. So no process has to count,
and a restart
or a second node changes nothing. Must not know: dialects, links. Next: ``dispatch`` beside this file.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import bindparam, delete, func, insert, literal, select, update

from kvitto.core.model import Batch, FrozenAnswer, NewBatch
from kvitto.core.status import Reason, Status, Withdrawn
from kvitto.store import schema as t
from kvitto.store.api import AdmissionRefused, BatchOutcome
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Kind, Statement, Str, Tx
from kvitto.store.verbs.bulks import INSERT_APART, Names, keep_spacings, plan_apart
from kvitto.store.verbs.changes import Changes
from kvitto.store.verbs.columns import FEED, NOTIFY
from kvitto.store.verbs.idempotency import Keys
from kvitto.store.verbs.loading import MESSAGES_BY_ID, Loaded, load_parts, select_loaded
from kvitto.store.verbs.texts import content_json, read_content, read_window, window_json

__all__ = [
    "STILL_QUEUED",
    "Cancellation",
    "Feedback",
    "Replacement",
    "accept_batches",
    "batch_columns",
    "cancel_batches",
    "mark_cancelled",
    "read_batch",
    "record_feedback",
    "replace_batches",
]


class Replacement(NamedTuple):
    """A batch to put in the place of itself, if it is still as it was at ``expected_modified_at``."""

    new: NewBatch
    expected_modified_at: int


class Cancellation(NamedTuple):
    """A batch to cancel, at ``now``."""

    account_id: str
    batch_id: str
    now: int


class Feedback(NamedTuple):
    """What a customer says arrived; no recipients: all."""

    account_id: str
    batch_id: str
    recipients: tuple[str, ...]
    now: int


# --- batch rows -------------------------------------------------------------------------------------------------------

_BATCH: Final[dict[str, Kind]] = {
    "id": Str,
    "account_id": Str,
    "dialect": Str,
    "sender": Str,
    "recipients": Str,
    "content": Str,
    "kind": Str,
    "max_parts": Int,
    "notify": Str,
    "callback_url": Str,
    "client_reference": Str,
    "created_at": Int,
    "modified_at": Int,
    "send_at": Int,
    "expire_at": Int,
    "cancelled_at": Int,
    "feedback": Int,
    "extra": Str,
    "pending": Int,
    "client_id": Str,
    "feed": Str,
    "delivery_window": Str,
    "paused_at": Int,
    "callback_dialect": Str,
}
_json = msgspec.json.Encoder()
_read_numbers = msgspec.json.Decoder(tuple[str, ...])


def _batch_row(batch: Batch, pending: int) -> tuple[Any, ...]:
    content = batch.content
    return (
        batch.id,
        batch.account_id,
        batch.dialect,
        batch.sender,
        _json.encode(batch.recipients).decode(),
        content_json(content),
        content.kind,
        content.max_parts,
        batch.notify,
        batch.callback_url,
        batch.client_reference,
        batch.created_at,
        batch.modified_at,
        batch.send_at,
        batch.expire_at,
        batch.cancelled_at,
        int(batch.feedback),
        _json.encode(batch.extra).decode(),
        pending,
        batch.client_id,
        batch.feed,
        window_json(batch.window),
        batch.paused_at,
        batch.callback_dialect,
    )


def batch_columns() -> tuple[Any, ...]:
    """The columns that ``read_batch`` reads."""
    return tuple(t.batch.c[name] for name in _BATCH if name not in ("kind", "max_parts", "pending"))


def read_batch(row: Sequence[Any]) -> Batch:
    """Read a batch."""
    return Batch(
        id=row[0],
        account_id=row[1],
        dialect=row[2],
        sender=row[3],
        recipients=_read_numbers.decode(row[4]),
        content=read_content(row[5]),
        notify=NOTIFY[row[6]],
        callback_url=row[7],
        client_reference=row[8],
        created_at=row[9],
        modified_at=row[10],
        send_at=row[11],
        expire_at=row[12],
        cancelled_at=row[13],
        feedback=bool(row[14]),
        extra=msgspec.json.decode(row[15]),
        client_id=row[16],
        feed=FEED[row[17]],
        window=read_window(row[18]),
        paused_at=row[19],
        callback_dialect=row[20],
    )


def _flag(r: Any, name: str) -> Any:
    return r.c[name] == 1 if name == "feedback" else r.c[name]


_INSERT_BATCHES: Final = Statement(
    lambda r: insert(t.batch).from_select(list(_BATCH), select(*[_flag(r, name) for name in _BATCH])), **_BATCH
)
_UPDATE_BATCHES: Final = Statement(
    lambda r: (
        update(t.batch)
        .values(**{name: _flag(r, name) for name in _BATCH if name not in ("id", "account_id", "created_at")})
        .where(t.batch.c.id == r.c.id)
    ),
    **_BATCH,
)
_FETCH_FOR_UPDATE: Final = Statement(
    lambda r: select(*batch_columns()).select_from(r.join(t.batch, t.batch.c.id == r.c.id)).with_for_update(of=t.batch),
    id=Str,
)

# --- message rows -----------------------------------------------------------------------------------------------------

_MESSAGE: Final[dict[str, Kind]] = {
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
}
_INSERT_MESSAGES: Final = Statement(
    lambda r: insert(t.message).from_select(
        [*_MESSAGE, "notes", "attempts"], select(*[r.c[name] for name in _MESSAGE], literal(0, Int), literal(0, Int))
    ),
    **_MESSAGE,
)
_DELETE_MESSAGES: Final = Statement(
    lambda _: delete(t.message).where(
        t.message.c.id.between(bindparam("first", type_=Str), bindparam("last", type_=Str))
    )
)
_LOCK_MESSAGES: Final = Statement(
    lambda _: (
        select(t.message.c.id)
        .where(t.message.c.id.between(bindparam("first", type_=Str), bindparam("last", type_=Str)))
        .order_by(t.message.c.id)
        .with_for_update()
    )
)
"""Another node that is claiming them just now is waited for, and none claims them after: what is asked next stands."""
_ACCOUNT: Final = Statement(
    lambda _: (
        select(t.account.c.rate, t.account.c.quota, t.account.c.next_due_at)
        .where(t.account.c.id == bindparam("id", type_=Str))
        .with_for_update(key_share=True)
    )
)
_SPEND: Final = Statement(
    lambda r: update(t.account).values(quota=r.c.quota, next_due_at=r.c.next_due_at).where(t.account.c.id == r.c.id),
    id=Str,
    quota=Int,
    next_due_at=t.account.c.next_due_at.type,
)


class Purse:
    """An account's rate and quota during one transaction."""

    __slots__ = ("changed", "next_due_at", "quota", "rate")

    def __init__(self, rate: float | None, quota: int | None, next_due_at: float) -> None:
        self.rate = rate
        self.quota = quota
        self.next_due_at = next_due_at
        self.changed = False

    def spend(self, messages: int) -> bool:
        """Take messages from the quota; False if there are not enough."""
        if self.quota is None:
            return True
        if self.quota < messages:
            return False
        self.quota -= messages
        self.changed = True
        return True

    def due(self, now: int, count: int) -> list[int]:
        """When each of these messages may leave: one every 1000 / rate ms."""
        if not self.rate:
            return [now] * count
        step = 1000.0 / self.rate
        start = max(float(now), self.next_due_at)
        self.next_due_at = start + step * count
        self.changed = True
        return [int(start + step * n) for n in range(count)]


def _purses(tx: Tx, account_ids: Sequence[str]) -> dict[str, Purse]:
    purses: dict[str, Purse] = {}
    for one in sorted(set(account_ids)):  # usually one: a plain look-up is cheaper than a list of rows
        for row in tx.run(_ACCOUNT, id=one):
            purses[one] = Purse(*row)
    return purses


def _save_purses(tx: Tx, purses: Mapping[str, Purse]) -> None:
    rows = [(key, purse.quota, purse.next_due_at) for key, purse in purses.items() if purse.changed]
    if rows:
        tx.run(_SPEND, rows)


def accept_batches(tx: Tx, scope: Scope, items: Sequence[NewBatch]) -> list[NewBatch | AdmissionRefused | FrozenAnswer]:
    """Store batches with their messages; see ``Store.accept_batch``."""
    purses = _purses(tx, [new.batch.account_id for new in items])
    keys = Keys(tx, items) if any(new.once for new in items) else None
    names = Names(tx, items) if any(new.apart for new in items) else None
    results: list[NewBatch | AdmissionRefused | FrozenAnswer] = []
    batches: list[tuple[Any, ...]] = []
    messages: list[tuple[Any, ...]] = []
    apart: list[tuple[Any, ...]] = []
    ended: list[str] = []
    for new in items:
        known = keys.recall(new) if keys is not None else None
        if known is not None:
            results.append(known)
            continue
        if names is not None:
            new = names.weed(new)  # what is stored of it from here on
        purse = purses.get(new.batch.account_id)
        if purse is None:
            results.append(AdmissionRefused("account"))
        elif not purse.spend(len(new.messages)):
            results.append(AdmissionRefused("quota"))
        else:
            if new.messages:
                _plan_rows(new, purse, batches, messages, apart, ended)
            if keys is not None:
                keys.freeze(new)
            results.append(new)
    if keys is not None:
        keys.write()
    if batches:
        tx.run(_INSERT_BATCHES, batches)
        if messages:
            tx.run(_INSERT_MESSAGES, messages)
        if apart:
            tx.run(INSERT_APART, apart)
            keep_spacings(tx, items)
        _save_purses(tx, purses)
        if ended:
            _tell_of_born_ends(tx, scope, ended, items[0].batch.created_at)
    return results


def _plan_rows(
    new: NewBatch,
    purse: Purse,
    batches: list[tuple[Any, ...]],
    messages: list[tuple[Any, ...]],
    apart: list[tuple[Any, ...]],
    ended: list[str],
) -> None:
    """Add the rows of one batch; ``ended``: the ids of messages that end at once; ``apart``: rows of ``bulks``."""
    batch, now = new.batch, new.batch.modified_at
    if new.apart or batch.send_at is not None or batch.window or new.spacing_ms or batch.created_at != now:
        batches.append(_batch_row(batch, len(new.messages)))
        plan_apart(new, purse, apart, ended)
        return
    sending = sum(1 for one in new.messages if one.abort is None)
    times = iter(purse.due(now, sending))
    routes = new.routes
    waiting = (Status.QUEUED, Reason.QUEUED)
    batches.append(_batch_row(batch, len(new.messages)))
    for index, one in enumerate(new.messages):
        route = routes if isinstance(routes, str) else routes[index]
        if one.abort is None:
            place: tuple[Any, ...] = (*waiting, now, "none", now, next(times), batch.expire_at)
        else:
            place = (Status.ABORTED, one.abort, now, "local", now, None, None)
            ended.append(one.id)
        status, reason, since_at, source, created_at, due_at, deadline_at = place
        messages.append(
            (
                one.id,
                batch.account_id,
                one.recipient,
                route,
                one.parts,
                one.text,
                one.abort,
                status,
                reason,
                since_at,
                source,
                created_at,
                due_at,
                deadline_at,
            )
        )


def _tell_of_born_ends(tx: Tx, scope: Scope, ids: Sequence[str], now: int) -> None:
    """Events and callbacks of messages that were stored with their end."""
    changes = Changes(tx, scope, now)
    for row in tx.run(MESSAGES_BY_ID, [(one,) for one in ids]):
        changes.born(Loaded(row))
    changes.write()


# --- changes of a stored batch ----------------------------------------------------------------------------------------

_TOUCHED: Final = Statement(
    lambda r: (
        select(r.c.id, func.count())
        .select_from(r.join(t.message, t.message.c.id.between(r.c.first, r.c.last)))
        .where(
            (t.message.c.attempts > 0)
            | (t.message.c.status != "QUEUED")
            # A batch of several texts, or with the customer's own ids, is not made anew from one text.
            | t.message.c.own.is_not(None)
            | t.message.c.client_id.is_not(None)
        )
        .group_by(r.c.id)
    ),
    id=Str,
    first=Str,
    last=Str,
)


def _span(batch_id: str) -> tuple[str, str]:
    return batch_id[:22] + "0001", batch_id[:22] + "ZZZZ"


def replace_batches(tx: Tx, scope: Scope, items: Sequence[Replacement]) -> list[BatchOutcome]:
    """Replace batches of which nothing was dispatched; see ``Store.replace_batch``."""
    return [_replace(tx, scope, item) for item in items]


def _replace(tx: Tx, scope: Scope, item: Replacement) -> BatchOutcome:
    new = item.new
    rows = tx.run(_FETCH_FOR_UPDATE, [(new.batch.id,)])
    if not rows or rows[0][1] != new.batch.account_id:
        return BatchOutcome(None, "not_found")
    old = read_batch(rows[0])
    if old.modified_at != item.expected_modified_at:
        return BatchOutcome(None, "changed")
    span = _span(old.id)
    tx.run(_LOCK_MESSAGES, first=span[0], last=span[1])
    if old.cancelled_at is not None or tx.run(_TOUCHED, [(old.id, *span)]):
        return BatchOutcome(None, "already_dispatched")
    purses = _purses(tx, [old.account_id])
    purse = purses.get(old.account_id)
    if purse is None:
        return BatchOutcome(None, "not_found")
    if not purse.spend(max(0, len(new.messages) - old.message_count)):
        return BatchOutcome(None, "quota")
    tx.run(_DELETE_MESSAGES, first=span[0], last=span[1])
    batches: list[tuple[Any, ...]] = []
    messages: list[tuple[Any, ...]] = []
    apart: list[tuple[Any, ...]] = []
    ended: list[str] = []
    _plan_rows(new, purse, batches, messages, apart, ended)
    tx.run(_UPDATE_BATCHES, batches)
    if messages:
        tx.run(_INSERT_MESSAGES, messages)
    if apart:
        tx.run(INSERT_APART, apart)
    _save_purses(tx, purses)
    if ended:
        _tell_of_born_ends(tx, scope, ended, new.batch.modified_at)
    return BatchOutcome(new.batch)


_MARK_CANCELLED: Final = Statement(
    lambda r: (
        update(t.batch)
        .values(cancelled_at=func.coalesce(t.batch.c.cancelled_at, r.c.now), modified_at=r.c.now)
        .where(t.batch.c.id == r.c.id)
    ),
    id=Str,
    now=Int,
)
STILL_QUEUED: Final = Statement(
    lambda r: select_loaded((), r.join(t.message, t.message.c.id.between(r.c.first, r.c.last))).where(
        t.message.c.status == "QUEUED"
    ),
    first=Str,
    last=Str,
)


def mark_cancelled(tx: Tx, batch_id: str, now: int) -> None:
    """Note that the customer has called a batch off; the first time counts."""
    tx.run(_MARK_CANCELLED, [(batch_id, now)])


def cancel_batches(tx: Tx, scope: Scope, items: Sequence[Cancellation]) -> list[BatchOutcome]:
    """Cancel what no link has taken; see ``Store.cancel_batch``."""
    return [_cancel(tx, scope, item) for item in items]


def _cancel(tx: Tx, scope: Scope, item: Cancellation) -> BatchOutcome:
    rows = tx.run(_FETCH_FOR_UPDATE, [(item.batch_id,)])
    if not rows or rows[0][1] != item.account_id:
        return BatchOutcome(None, "not_found")
    before = read_batch(rows[0])
    mark_cancelled(tx, item.batch_id, item.now)
    loaded = [Loaded(row) for row in tx.run(STILL_QUEUED, [_span(item.batch_id)])]
    load_parts(tx, [one for one in loaded if one.attempts])
    unsent = before.send_at is not None and item.now < before.send_at
    changes = Changes(tx, scope, item.now)
    for one in loaded:
        if unsent:
            one.hush()
        changes.apply(one, Withdrawn(item.now, Status.CANCELLED, Reason.CANCELLED))
    changes.write()
    after = tx.run(_FETCH_FOR_UPDATE, [(item.batch_id,)])
    return BatchOutcome(read_batch(after[0]))


_INSERT_FEEDBACK: Final = Statement(
    lambda r: _ignore_conflict(
        r, ["batch_id", "recipient", "account_id", "at"], [r.c.batch_id, r.c.recipient, r.c.account_id, r.c.at]
    ),
    batch_id=Str,
    recipient=Str,
    account_id=Str,
    at=Int,
)


def _ignore_conflict(r: Any, names: list[str], values: list[Any]) -> Any:
    """INSERT ... ON CONFLICT DO NOTHING by anti-join, the same on both databases."""
    known = select(literal(1)).where(t.feedback.c.batch_id == r.c.batch_id, t.feedback.c.recipient == r.c.recipient)
    return insert(t.feedback).from_select(names, select(*values).where(~known.exists()))


_FEEDBACK_ENABLED: Final = Statement(
    lambda _: select(t.batch.c.feedback, t.batch.c.account_id).where(t.batch.c.id == bindparam("id", type_=Str))
)


def record_feedback(tx: Tx, scope: Scope, items: Sequence[Feedback]) -> list[bool]:
    """Keep feedback; see ``Store.record_feedback``."""
    return [_record_feedback(tx, item) for item in items]


def _record_feedback(tx: Tx, item: Feedback) -> bool:
    rows = tx.run(_FEEDBACK_ENABLED, id=item.batch_id)
    if not rows or rows[0][1] != item.account_id or not rows[0][0]:
        return False
    numbers = dict.fromkeys(item.recipients) or {"": None}
    tx.run(_INSERT_FEEDBACK, [(item.batch_id, number, item.account_id, item.now) for number in numbers])
    return True
