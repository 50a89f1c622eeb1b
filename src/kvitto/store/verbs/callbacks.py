"""The outbox: callbacks that are due, endpoint by endpoint, and what attempts came to (P9, P10, P12).

Rows are written by ``telling`` in the transaction of the change. A node leases what it posts; a lease that is not
given back runs out, so that no callback is lost with its node. What is due is found through the index of (endpoint,
time): one look for each endpoint that has something, so that a million due callbacks of one that is away cost the
others nothing. Must not know: HTTP, how a callback is worded.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import bindparam, case, func, insert, or_, select, update

from kvitto.core.ids import batch_of
from kvitto.core.model import (
    Attempt,
    BatchReport,
    CallbackDue,
    CallbackResult,
    CallbackState,
    MessageView,
    OperatorEvent,
)
from kvitto.core.status import FINAL, Note
from kvitto.store import schema as t
from kvitto.store.callbackapi import EndpointDue, Want
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Statement, Str, Tx
from kvitto.store.verbs.columns import KIND, REASON, STATUS, batch_key, read_error
from kvitto.store.verbs.moves import redirected
from kvitto.store.verbs.notices import TELLS_NOTICE, notices_by_id
from kvitto.store.verbs.tallies import tally_callbacks
from kvitto.store.verbs.telling import LEASE_MS, TELLS_FULL, TELLS_MESSAGE, TELLS_SUMMARY, count_ends
from kvitto.store.verbs.texts import read_extra, read_own
from kvitto.store.verbs.unread import enter_given_up

__all__ = [
    "CallbackClaim",
    "Release",
    "change_columns",
    "change_source",
    "claim_callbacks",
    "due_endpoints",
    "read_change",
    "record_attempts",
    "release_callbacks",
    "take_back_callbacks",
    "views_of",
]


_PER_BATCH: Final = (TELLS_SUMMARY, TELLS_FULL)
FORGOTTEN: Final = "not told: its message is not kept any more"


class CallbackClaim(NamedTuple):
    """Callbacks that are due at ``now``, of each endpoint as many as wanted."""

    now: int
    wants: Sequence[Want]


class Release(NamedTuple):
    """Leases to give back at ``now``."""

    ids: Sequence[int]
    now: int


def _due_endpoints() -> Any:
    """From endpoint to endpoint, one look at the index each, whatever lies between."""
    due = t.callback.c.next_attempt_at.is_not(None)
    walk = select(func.min(t.callback.c.endpoint).label("endpoint")).where(due).cte("walk", recursive=True)
    onwards = select(func.min(t.callback.c.endpoint)).where(due, t.callback.c.endpoint > walk.c.endpoint)
    walk = walk.union_all(select(onwards.scalar_subquery()).where(walk.c.endpoint.is_not(None)))
    first = select(func.min(t.callback.c.next_attempt_at)).where(due, t.callback.c.endpoint == walk.c.endpoint)
    return select(walk.c.endpoint, first.scalar_subquery()).where(walk.c.endpoint.is_not(None))


_DUE_ENDPOINTS: Final = Statement(lambda _: _due_endpoints())


def due_endpoints(tx: Tx) -> list[EndpointDue]:
    """Every endpoint with unfinished callbacks; see ``CallbackStore.due_endpoints``."""
    return [EndpointDue(endpoint, at) for endpoint, at in tx.run(_DUE_ENDPOINTS) if at is not None]


_COLUMNS: Final = (
    t.callback.c.id,
    t.callback.c.account_id,
    t.callback.c.batch_id,
    t.callback.c.tells,
    t.callback.c.dialect,
    t.callback.c.url,
    t.callback.c.attempts,
    t.callback.c.created_at,
    t.callback.c.first_failed_at,
    t.callback.c.bundle,
    t.callback.c.endpoint,
    t.callback.c.again_at,
    t.callback.c.notice,
)
_IS_DUE: Final = (
    t.callback.c.next_attempt_at.is_not(None),
    t.callback.c.next_attempt_at <= bindparam("now", type_=Int),
    or_(t.callback.c.leased_until.is_(None), t.callback.c.leased_until <= bindparam("now", type_=Int)),
)
_DUE: Final = Statement(
    lambda _: (
        select(*_COLUMNS)
        .where(t.callback.c.endpoint == bindparam("endpoint", type_=Int), *_IS_DUE)
        .order_by(t.callback.c.next_attempt_at, t.callback.c.id)
        .limit(bindparam("n", type_=Int))
        .with_for_update(skip_locked=True)
    )
)
_DUE_OF_BUNDLES: Final = Statement(
    lambda r: select(*_COLUMNS).select_from(r.join(t.callback, t.callback.c.bundle == r.c.bundle)).where(*_IS_DUE),
    bundle=Int,
)
_LEASE: Final = Statement(
    lambda r: (
        update(t.callback)
        .values(leased_by=bindparam("by", type_=Str), leased_until=r.c.until, next_attempt_at=r.c.until)
        .where(t.callback.c.id == r.c.id)
    ),
    id=Int,
    until=Int,
)


def change_columns() -> tuple[Any, ...]:
    """What ``read_change`` reads after a change's own twelve columns, from ``change_source``."""
    return (
        t.message.c.recipient,
        t.message.c.parts,
        t.message.c.notes,
        t.message.c.created_at,
        t.batch.c.client_reference,
        t.batch.c.kind,
        t.batch.c.max_parts,
        t.batch.c.dialect,
        t.batch.c.sender,
        t.message.c.client_id,
        t.batch.c.client_id,
        t.message.c.send_at,
        t.part.c.smsc_message_id,
        t.part.c.link,
        t.batch.c.extra,
        t.message.c.own,
        t.message.c.status,
        t.message.c.since_at,
    )


def change_source(source: Any, part_no: Any) -> Any:
    """``source``, which has ``message``, with its batch and the part that the change is about."""
    return source.join(t.batch, t.batch.c.id == batch_key(t.message.c.id)).outerjoin(
        t.part, (t.part.c.message_id == t.message.c.id) & (t.part.c.part_no == part_no)
    )


_EVENTS: Final = Statement(
    lambda r: select(
        t.event.c.seq,
        t.event.c.message_id,
        t.event.c.account_id,
        t.event.c.status,
        t.event.c.reason,
        t.event.c.at,
        t.event.c.done_at,
        t.event.c.error_source,
        t.event.c.error_text,
        t.event.c.error_net_type,
        t.event.c.error_net_code,
        t.event.c.error_command_status,
        *change_columns(),
    ).select_from(
        change_source(
            r.join(t.event, t.event.c.seq == r.c.seq).join(t.message, t.message.c.id == t.event.c.message_id),
            func.coalesce(t.event.c.part_no, 1),
        )
    ),
    seq=Int,
)
_LATER: Final = t.event.alias("later")
_OUTRUN: Final = Statement(
    lambda r: (
        select(r.c.seq)
        .select_from(
            r.join(t.event, t.event.c.seq == r.c.seq)
            .join(_LATER, (_LATER.c.message_id == t.event.c.message_id) & (_LATER.c.seq > t.event.c.seq))
            .join(t.callback, t.callback.c.id == _LATER.c.seq)
        )
        .where(t.callback.c.state == str(CallbackState.DONE))
    ),
    seq=Int,
)
"""Changes of which a later one has been told already (P15)."""
_BATCHES: Final = Statement(
    lambda r: select(t.batch.c.id, t.batch.c.account_id, t.batch.c.client_reference, t.batch.c.kind).select_from(
        r.join(t.batch, t.batch.c.id == r.c.id)
    ),
    id=Str,
)


def claim_callbacks(tx: Tx, scope: Scope, items: Sequence[CallbackClaim]) -> list[list[CallbackDue]]:
    """Lease due callbacks to this node; see ``Store.claim_callbacks``."""
    return [_claim(tx, scope, item) for item in items]


def _claim(tx: Tx, scope: Scope, item: CallbackClaim) -> list[CallbackDue]:
    rows = [row for want in item.wants for row in tx.run(_DUE, endpoint=want.endpoint, now=item.now, n=want.limit)]
    if not rows:
        return []
    rows = redirected(tx, scope, _whole_bundles(tx, rows, item.now), 5, 10, item.now)
    if not rows:
        return []
    tx.run(_LEASE, [(row[0], item.now + LEASE_MS) for row in rows], by=scope.node)
    views, overtaken = _views(tx, [row[0] for row in rows if row[3] == TELLS_MESSAGE])
    reports = _reports(tx, {row[2]: row[3] == TELLS_FULL for row in rows if row[3] in _PER_BATCH})
    notices = notices_by_id(tx, [row[12] for row in rows if row[3] == TELLS_NOTICE])
    outrun = {row[0] for row in tx.run(_OUTRUN, [(seq,) for seq in overtaken])} if overtaken else set()
    due, gone = [], []
    for row in rows:
        number, account_id, batch_id, tells, dialect, url, attempts, created_at, failed_at, bundle, endpoint = row[:11]
        facts: MessageView | BatchReport | OperatorEvent | None
        if tells == TELLS_MESSAGE:
            facts = views.get(number)
        else:
            facts = notices.get(row[12]) if tells == TELLS_NOTICE else reports.get(batch_id)
        if facts is not None:
            full = tells == TELLS_FULL
            one = CallbackDue(number, account_id, dialect, url, facts, full, attempts, created_at, failed_at)
            again = row[11] is not None
            late, told = number in overtaken and not again, number in outrun and not again
            due.append(one._replace(overtaken=late, bundle=bundle, endpoint=endpoint, outrun=told, again=again))
        else:  # held for so long that retention has taken its message
            gone.append((number, CallbackState.GIVEN_UP, None, failed_at, item.now, None, FORGOTTEN, 0, 0, None))
    if gone:
        tx.run(_RECORD, gone)
    return due


def _whole_bundles(tx: Tx, rows: Sequence[Any], now: int) -> list[Any]:
    """The limit may have cut a bundle in two, but it goes out again as it was, or not at all."""
    bundles = {row[9] for row in rows if row[9] is not None}
    if not bundles:
        return list(rows)
    found = {row[0] for row in rows}
    rest = tx.run(_DUE_OF_BUNDLES, [(bundle,) for bundle in sorted(bundles)], now=now)
    return [*rows, *(row for row in rest if row[0] not in found)]


def views_of(tx: Tx, seqs: Sequence[int]) -> dict[int, MessageView]:
    """The facts of changes, by the numbers of their events, as they were."""
    return _views(tx, seqs)[0]


def _views(tx: Tx, seqs: Sequence[int]) -> tuple[dict[int, MessageView], set[int]]:
    """The facts of changes, as they were; and which of them were on the way of a message that has ended since."""
    if not seqs:
        return {}, set()
    rows = tx.run(_EVENTS, [(seq,) for seq in seqs])
    overtaken = {row[0] for row in rows if STATUS[row[3]] not in FINAL and STATUS[row[28]] in FINAL}
    return {row[0]: read_change(row) for row in rows}, overtaken


def read_change(row: Sequence[Any]) -> MessageView:
    """A change as it was: number, message, account, status, reason, two instants, error, and ``change_columns``."""
    reference, kind, max_parts, sender, extra = row[16], row[17], row[18], row[20], row[26]
    if row[27] is None:
        extra = read_extra(extra)
    else:
        own = read_own(row[27])
        reference, kind, max_parts = own.client_reference, own.content.kind, own.content.max_parts
        sender, extra = own.sender, own.extra
    notes = Note(row[14])
    if notes & Note.LATE and row[5] != row[29]:
        notes &= ~Note.LATE  # the end that was corrected; the correction came later
    return MessageView(
        row[1],
        batch_of(row[1]),
        row[2],
        row[12],
        STATUS[row[3]],
        REASON[row[4]],
        row[5],
        row[6],
        read_error(row, 7),
        row[13],
        notes,
        row[15],
        reference,
        KIND[kind],
        max_parts,
        row[19],
        sender,
        row[21],
        row[22],
        row[15] if row[23] is None else row[23],
        row[24] or "",
        row[25] or "",
        None,
        extra,
    )


def _reports(tx: Tx, wanted: dict[str, bool]) -> dict[str, BatchReport]:
    """The facts of ended batches: each message at its first end."""
    if not wanted:
        return {}
    reports = {}
    for batch_id, account_id, reference, kind in tx.run(_BATCHES, [(one,) for one in wanted]):
        total, counts = count_ends(tx, batch_id, full=wanted[batch_id])
        reports[batch_id] = BatchReport(batch_id, account_id, total, reference, KIND[kind], True, counts)
    return reports


_RECORD: Final = Statement(
    lambda r: (
        update(t.callback)
        .values(
            state=r.c.state,
            attempts=t.callback.c.attempts + r.c.counts,
            next_attempt_at=r.c.next_at,
            first_failed_at=r.c.first_failed_at,
            leased_by=None,
            leased_until=None,
            last_at=r.c.at,
            last_status_code=r.c.code,
            last_error=r.c.error,
            last_elapsed_ms=r.c.elapsed,
            bundle=r.c.bundle,
        )
        .where(t.callback.c.id == r.c.id)
        .returning(t.callback.c.account_id, t.callback.c.state, t.callback.c.last_at)
    ),
    id=Int,
    state=Str,
    next_at=Int,
    first_failed_at=Int,
    at=Int,
    code=Int,
    error=Str,
    elapsed=Int,
    counts=Int,
    bundle=Int,
)


_KEEP_ATTEMPT: Final = Statement(
    lambda r: insert(t.attempt).from_select(
        [
            "callback_id",
            "account_id",
            "at",
            "status_code",
            "error",
            "elapsed_ms",
            "headers",
            "body_hash",
            "body",
            "answer",
        ],
        select(
            r.c.id,
            t.callback.c.account_id,
            r.c.at,
            r.c.code,
            r.c.error,
            r.c.elapsed,
            r.c.headers,
            r.c.body_hash,
            r.c.body,
            r.c.answer,
        ).select_from(r.join(t.callback, t.callback.c.id == r.c.id)),
    ),
    id=Int,
    at=Int,
    code=Int,
    error=Str,
    elapsed=Int,
    headers=Str,
    body_hash=Str,
    body=Str,
    answer=Str,
)


def _attempt(callback: int, one: Attempt) -> tuple[Any, ...]:
    headers = msgspec.json.encode(one.headers).decode()
    told = (one.at, one.status_code, one.error, one.elapsed_ms)
    return (callback, *told, headers, one.body_hash, one.body, one.answer)


def record_attempts(tx: Tx, scope: Scope, items: Sequence[Sequence[CallbackResult]]) -> list[None]:
    """Store what attempts came to; see ``Store.record_attempts``."""
    rows = [
        (
            one.id,
            one.state,
            one.next_attempt_at,
            one.first_failed_at,
            one.attempted_at,
            one.status_code,
            one.error,
            one.elapsed_ms,
            int(one.counts),
            one.bundle,
        )
        for item in items
        for one in item
    ]
    if rows:
        tally_callbacks(scope, ((row[0], row[1], row[2]) for row in tx.run(_RECORD, rows)))
        kept = [_attempt(one.id, one.attempt) for item in items for one in item if one.attempt is not None]
        if kept:
            tx.run(_KEEP_ATTEMPT, kept)
        given_up = [row[0] for row in rows if row[1] is CallbackState.GIVEN_UP]
        if given_up:
            enter_given_up(tx, given_up)
    return [None] * len(items)


_RELEASE: Final = Statement(
    lambda _: (
        update(t.callback)
        .values(leased_by=None, leased_until=None, next_attempt_at=bindparam("now", type_=Int))
        .where(t.callback.c.next_attempt_at.is_not(None), t.callback.c.leased_by == bindparam("by", type_=Str))
    )
)


def take_back_callbacks(tx: Tx, scope: Scope, items: Sequence[int]) -> list[None]:
    """At start: callbacks that this node had leased when it died are due now (``items``: the time)."""
    for now in items:
        tx.run(_RELEASE, now=now, by=scope.node)
    return [None] * len(items)


_GIVE_BACK: Final = Statement(
    lambda r: (
        update(t.callback)
        .values(
            leased_by=None,
            leased_until=None,
            # In their old places, so that nothing newer goes before what was never tried (P15).
            next_attempt_at=case((t.callback.c.attempts == 0, t.callback.c.created_at), else_=r.c.now),
        )
        .where(
            t.callback.c.id == r.c.id,
            t.callback.c.next_attempt_at.is_not(None),
            t.callback.c.leased_by == bindparam("by", type_=Str),
        )
    ),
    id=Int,
    now=Int,
)


def release_callbacks(tx: Tx, scope: Scope, items: Sequence[Release]) -> list[None]:
    """Give leases back; see ``CallbackStore.release_callbacks``."""
    rows = [(one, item.now) for item in items for one in item.ids]
    if rows:
        tx.run(_GIVE_BACK, rows, by=scope.node)
    return [None] * len(items)
