"""The outbox: callbacks that are due, and what attempts came to (P9, P10).

Rows are written by ``changes`` in the transaction of the change. A node leases what it posts; a lease that is not
given back runs out, so that no callback is lost with its node. Must not know: HTTP, how a callback is worded.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, func, or_, select, update

from kvitto.core.ids import batch_of
from kvitto.core.model import BatchReport, CallbackDue, CallbackResult, CallbackState, MessageView
from kvitto.core.status import FINAL, Note
from kvitto.store import schema as t
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Statement, Str, Tx
from kvitto.store.verbs.changes import (
    KIND,
    LEASE_MS,
    REASON,
    STATUS,
    TELLS_FULL,
    TELLS_MESSAGE,
    batch_key,
    count_ends,
    read_error,
)
from kvitto.store.verbs.tallies import tally_callbacks
from kvitto.store.verbs.texts import read_extra, read_own
from kvitto.store.verbs.unread import enter_given_up

__all__ = ["CallbackClaim", "claim_callbacks", "record_attempts", "take_back_callbacks"]


class CallbackClaim(NamedTuple):
    """Up to ``limit`` callbacks that are due at ``now``."""

    now: int
    limit: int


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
)
_IS_DUE: Final = (
    t.callback.c.next_attempt_at.is_not(None),
    t.callback.c.next_attempt_at <= bindparam("now", type_=Int),
    or_(t.callback.c.leased_until.is_(None), t.callback.c.leased_until <= bindparam("now", type_=Int)),
)
_DUE: Final = Statement(
    lambda _: (
        select(*_COLUMNS)
        .where(*_IS_DUE)
        .order_by(t.callback.c.next_attempt_at)
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
    ).select_from(
        r.join(t.event, t.event.c.seq == r.c.seq)
        .join(t.message, t.message.c.id == t.event.c.message_id)
        .join(t.batch, t.batch.c.id == batch_key(t.message.c.id))
        .outerjoin(
            t.part,
            (t.part.c.message_id == t.message.c.id) & (t.part.c.part_no == func.coalesce(t.event.c.part_no, 1)),
        )
    ),
    seq=Int,
)
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
    rows = tx.run(_DUE, now=item.now, n=item.limit)
    if not rows:
        return []
    if len(rows) == item.limit:
        rows = _whole_bundles(tx, rows, item.now)
    tx.run(_LEASE, [(row[0], item.now + LEASE_MS) for row in rows], by=scope.node)
    views, overtaken = _views(tx, [row[0] for row in rows if row[3] == TELLS_MESSAGE])
    reports = _reports(tx, {row[2]: row[3] == TELLS_FULL for row in rows if row[3] != TELLS_MESSAGE})
    due = []
    for number, account_id, batch_id, tells, dialect, url, attempts, created_at, failed_at, bundle in rows:
        facts = views.get(number) if tells == TELLS_MESSAGE else reports.get(batch_id)
        if facts is not None:
            full = tells == TELLS_FULL
            late = number in overtaken
            due.append(
                CallbackDue(
                    number, account_id, dialect, url, facts, full, attempts, created_at, failed_at, late, bundle
                )
            )
    return due


def _whole_bundles(tx: Tx, rows: Sequence[Any], now: int) -> list[Any]:
    """The limit may have cut a bundle in two, but it goes out again as it was, or not at all."""
    bundles = {row[9] for row in rows if row[9] is not None}
    if not bundles:
        return list(rows)
    found = {row[0] for row in rows}
    rest = tx.run(_DUE_OF_BUNDLES, [(bundle,) for bundle in sorted(bundles)], now=now)
    return [*rows, *(row for row in rest if row[0] not in found)]


def _views(tx: Tx, seqs: Sequence[int]) -> tuple[dict[int, MessageView], set[int]]:
    """The facts of changes, as they were; and which of them were on the way of a message that has ended since."""
    if not seqs:
        return {}, set()
    rows = tx.run(_EVENTS, [(seq,) for seq in seqs])
    overtaken = {row[0] for row in rows if STATUS[row[3]] not in FINAL and STATUS[row[28]] in FINAL}
    return {row[0]: _view(row) for row in rows}, overtaken


def _view(row: Sequence[Any]) -> MessageView:
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
