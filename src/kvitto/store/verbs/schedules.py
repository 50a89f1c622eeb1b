"""Scheduled batches: when they leave, and moving, pausing, resuming and cancelling them (docs/dialects/infobip.md 6).

Only what no link has taken moves. A paused batch's messages are out of the queue; their validity goes on, so that they
end in any case (P5). Must not know: dialects. Next: ``admission`` beside this file.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import bindparam, func, select, update

from kvitto.core.ids import message_range
from kvitto.core.model import Batch, Schedule, ScheduleState
from kvitto.core.status import FINAL, Reason, Status, Withdrawn
from kvitto.core.window import next_opening
from kvitto.store import schema as t
from kvitto.store.api import ScheduleOutcome
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Statement, Str, Tx
from kvitto.store.verbs.admission import STILL_QUEUED, batch_columns, mark_cancelled, read_batch
from kvitto.store.verbs.changes import Changes
from kvitto.store.verbs.feed import batches_named
from kvitto.store.verbs.loading import Loaded, load_parts
from kvitto.store.verbs.texts import own_json, read_own

__all__ = ["Move", "reschedule_batches", "schedule_of"]


class Move(NamedTuple):
    """What to change of a scheduled batch; None for what stays."""

    account_id: str
    batch_id: str
    send_at: int | None
    state: ScheduleState | None
    now: int


_ONE: Final = Statement(
    lambda r: select(*batch_columns()).select_from(r.join(t.batch, t.batch.c.id == r.c.id)).with_for_update(of=t.batch),
    id=Str,
)
_READ: Final = Statement(
    lambda r: select(*batch_columns()).select_from(r.join(t.batch, t.batch.c.id == r.c.id)), id=Str
)
_IN_BATCH: Final = t.message.c.id.between(bindparam("first", type_=Str), bindparam("last", type_=Str))
_STANDING: Final = Statement(
    lambda _: select(t.message.c.status, func.max(t.message.c.attempts)).where(_IN_BATCH).group_by(t.message.c.status)
)
_WAITING: Final = Statement(
    lambda _: (
        select(t.message.c.id, t.message.c.abort, t.message.c.own)
        .where(_IN_BATCH, t.message.c.status == str(Status.QUEUED), t.message.c.attempts == 0)
        .order_by(t.message.c.id)
        .with_for_update()
    )
)
_PLACE: Final = Statement(
    lambda r: (
        update(t.message)
        .values(
            due_at=r.c.due_at,
            deadline_at=r.c.deadline_at,
            send_at=r.c.send_at,
            own=r.c.own,
            reason=str(Reason.SCHEDULED),
        )
        .where(t.message.c.id == r.c.id)
    ),
    id=Str,
    due_at=Int,
    deadline_at=Int,
    send_at=Int,
    own=Str,
)
_SET_TIMES: Final = Statement(
    lambda r: (
        update(t.batch)
        .values(send_at=r.c.send_at, expire_at=r.c.expire_at, paused_at=r.c.paused_at, modified_at=r.c.now)
        .where(t.batch.c.id == r.c.id)
    ),
    id=Str,
    send_at=Int,
    expire_at=Int,
    paused_at=Int,
    now=Int,
)


_STEP: Final = Statement(
    lambda r: select(t.batch.c.spacing_us, t.account.c.rate).select_from(
        r.join(t.batch, t.batch.c.id == r.c.id).join(t.account, t.account.c.id == t.batch.c.account_id)
    ),
    id=Str,
)


def schedule_of(tx: Tx, account_id: str, name: str, now: int) -> Schedule | None:
    """When a scheduled batch leaves and where it stands; None for one that is unknown or was never scheduled."""
    found = [_describe(tx, batch, now) for batch in _find(tx, account_id, name, _READ)]
    return next((one for one in found if one.state in _WAITS), found[0] if found else None)


_WAITS: Final = (ScheduleState.PENDING, ScheduleState.PAUSED)


def _find(tx: Tx, account_id: str, name: str, statement: Statement) -> list[Batch]:
    """The scheduled batches that the id means, newest first: a customer may use an id of its own again."""
    ids = [(batch_id,) for batch_id in batches_named(tx, account_id, (name,))]
    found = [read_batch(row) for row in tx.run(statement, ids)] if ids else []
    return sorted((batch for batch in found if batch.send_at is not None), key=lambda one: one.id, reverse=True)


def _describe(tx: Tx, batch: Batch, now: int) -> Schedule:
    return Schedule(batch.id, batch.client_id, batch.send_at or 0, _state_of(tx, batch, now))


def _state_of(tx: Tx, batch: Batch, now: int) -> ScheduleState:
    if batch.cancelled_at is not None:
        return ScheduleState.CANCELLED
    first, last = message_range(batch.id)
    rows = tx.run(_STANDING, first=first, last=last)
    statuses = {row[0] for row in rows}
    if statuses <= FINAL:
        return ScheduleState.FAILED if statuses == {Status.ABORTED} else ScheduleState.FINISHED
    if any(row[1] for row in rows):
        return ScheduleState.PROCESSING
    if batch.paused_at is not None:
        return ScheduleState.PAUSED
    return ScheduleState.PROCESSING if now >= (batch.send_at or 0) else ScheduleState.PENDING


def reschedule_batches(tx: Tx, scope: Scope, items: Sequence[Move]) -> list[ScheduleOutcome]:
    """Move, pause, resume or cancel; see ``Store.reschedule``."""
    return [_reschedule(tx, scope, item) for item in items]


def _reschedule(tx: Tx, scope: Scope, item: Move) -> ScheduleOutcome:
    """All batches that the id means and that still wait: what is called off must not leave under the same name."""
    outcomes = [_reschedule_one(tx, scope, item, batch) for batch in _find(tx, item.account_id, item.batch_id, _ONE)]
    if not outcomes:
        return ScheduleOutcome(None, "not_found")
    return next((one for one in outcomes if one.schedule is not None), outcomes[0])


def _reschedule_one(tx: Tx, scope: Scope, item: Move, batch: Batch) -> ScheduleOutcome:
    state = _state_of(tx, batch, item.now)
    if state is item.state and item.send_at is None:
        return ScheduleOutcome(_describe(tx, batch, item.now))
    if state not in _WAITS:
        return ScheduleOutcome(None, "already_dispatched")
    if item.state is ScheduleState.CANCELLED:
        _cancel(tx, scope, batch, item.now)
    else:
        paused = state is ScheduleState.PAUSED if item.state is None else item.state is ScheduleState.PAUSED
        _move(tx, batch, item.send_at, item.now, paused=paused)
    after = read_batch(tx.run(_READ, [(batch.id,)])[0])
    return ScheduleOutcome(_describe(tx, after, item.now))


def _move(tx: Tx, batch: Batch, wanted_at: int | None, now: int, *, paused: bool) -> None:
    """Give every message that waits its new time; its validity moves along, and order and spacing stay."""
    before = batch.send_at or 0
    send_at = before if wanted_at is None else wanted_at
    first, last = message_range(batch.id)
    step_ms = _step_ms(tx, batch.id)
    free_at: dict[int, float] = {}
    rows = []
    for message_id, abort, own_text in tx.run(_WAITING, first=first, last=last):
        own = None if own_text is None else read_own(own_text)
        planned = before if own is None else own.send_at or before
        moved_at = planned if wanted_at is None else send_at
        expire_at = (batch.expire_at if own is None else own.expire_at) + moved_at - planned
        if own is not None:
            own_text = own_json(own._replace(send_at=moved_at, expire_at=expire_at))
        window = batch.window if own is None else own.window
        due_at = None
        if not (paused or abort):
            due_at = next_opening(window, int(max(moved_at, now, free_at.get(moved_at, 0))))
            free_at[moved_at] = max(free_at.get(moved_at, 0.0), due_at) + step_ms
        rows.append((message_id, due_at, moved_at if abort else expire_at, moved_at, own_text))
    if rows:
        tx.run(_PLACE, rows)
    paused_at = (batch.paused_at or now) if paused else None
    expire_at = batch.expire_at + send_at - before
    tx.run(_SET_TIMES, [(batch.id, send_at, expire_at, paused_at, max(now, batch.modified_at + 1))])


def _step_ms(tx: Tx, batch_id: str) -> float:
    """From one message to the next, by the customer's speed limit and the account's rate, as when they came."""
    spacing_us, rate = tx.run(_STEP, [(batch_id,)])[0]
    return max((spacing_us or 0) / 1000, 1000.0 / rate if rate else 0.0)


def _cancel(tx: Tx, scope: Scope, batch: Batch, now: int) -> None:
    """End what waits; unlike in dialects where a batch before its time does not exist, its ends are told."""
    mark_cancelled(tx, batch.id, now)
    loaded = [Loaded(row) for row in tx.run(STILL_QUEUED, [message_range(batch.id)])]
    load_parts(tx, [one for one in loaded if one.attempts])
    changes = Changes(tx, scope, now)
    for one in loaded:
        changes.apply(one, Withdrawn(now, Status.CANCELLED, Reason.CANCELLED))
    changes.write()
