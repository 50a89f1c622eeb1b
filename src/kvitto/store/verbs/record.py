"""The record of callbacks: listed, shown with their attempts, made due again one by one (P14).

Lists walk the primary key, newest first, over at most ``LOOKED_AT`` rows a page: an index on the account would cost
every callback more than looking costs now and then. What was given up has an index of its own. Must not know: HTTP.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import bindparam, insert, literal, select, update

from kvitto.core.model import Attempt, CallbackState
from kvitto.core.record import CallbackFilter, CallbackPage, CallbackView
from kvitto.store import schema as t
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Statement, Str, Tx
from kvitto.store.verbs.moves import follow_account

__all__ = [
    "LOOKED_AT",
    "Resend",
    "callback_page",
    "keep_last_attempts",
    "make_due",
    "resend_callbacks",
    "show_callback",
]

LOOKED_AT: Final = 20_000
_END: Final = 1 << 62


def _columns() -> tuple[Any, ...]:
    c = t.callback.c
    return (
        c.id,
        c.account_id,
        c.endpoint,
        c.batch_id,
        t.event.c.message_id,
        t.event.c.status,
        c.tells,
        c.dialect,
        c.url,
        c.state,
        c.created_at,
        c.attempts,
        c.next_attempt_at,
        c.first_failed_at,
        c.last_at,
        c.last_status_code,
        c.last_error,
        c.last_elapsed_ms,
        c.leased_by.is_not(None),
    )


_BY_IDS: Final = Statement(
    lambda r: (
        select(*_columns())
        .select_from(
            r.join(t.callback, t.callback.c.id == r.c.id).outerjoin(
                t.event, (t.event.c.seq == t.callback.c.id) & (t.callback.c.tells == "message")
            )
        )
        .order_by(t.callback.c.id.desc())
    ),
    id=Int,
)
_WALK: Final = Statement(
    lambda _: (
        select(
            t.callback.c.id, t.callback.c.account_id, t.callback.c.endpoint, t.callback.c.state, t.callback.c.created_at
        )
        .where(t.callback.c.id < bindparam("before", type_=Int))
        .order_by(t.callback.c.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)
_OF_MESSAGE: Final = Statement(
    lambda _: (
        select(
            t.callback.c.id, t.callback.c.account_id, t.callback.c.endpoint, t.callback.c.state, t.callback.c.created_at
        )
        .select_from(t.event.join(t.callback, t.callback.c.id == t.event.c.seq))
        .where(
            t.event.c.message_id == bindparam("message_id", type_=Str), t.callback.c.id < bindparam("before", type_=Int)
        )
        .order_by(t.callback.c.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)
_GIVEN_UP: Final = Statement(
    lambda _: (
        select(
            t.callback.c.id, t.callback.c.account_id, t.callback.c.endpoint, t.callback.c.state, t.callback.c.created_at
        )
        .where(
            t.GIVEN_UP,
            t.callback.c.account_id == bindparam("account_id", type_=Str),
            t.callback.c.id < bindparam("before", type_=Int),
        )
        .order_by(t.callback.c.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)


def meant(row: Sequence[Any], filter: CallbackFilter) -> bool:
    """Whether a row (id, account, endpoint, state, created_at) is meant."""
    _, account_id, endpoint, state, created_at = row
    return (
        filter.account_id in (None, account_id)
        and filter.endpoint in (None, endpoint)
        and (not filter.states or state in filter.states)
        and (filter.since_at is None or created_at >= filter.since_at)
        and (filter.until_at is None or created_at < filter.until_at)
    )


def callback_page(tx: Tx, filter: CallbackFilter, limit: int, before: int | None) -> CallbackPage:
    """A page, newest first; see ``CallbackStore.list_callbacks``."""
    last, found = _END if before is None else before, []
    looked_at, step, more = 0, max(limit, 100), True
    while more and looked_at < LOOKED_AT:
        rows = _walk(tx, filter, last, step)
        more = len(rows) == step
        looked_at += len(rows)
        for row in rows:
            last = row[0]
            if meant(row, filter):
                found.append(last)
                if len(found) == limit:
                    return CallbackPage(_views(tx, found), last)
        step = min(step * 4, 5_000)
    return CallbackPage(_views(tx, found), last if more else None)


def _walk(tx: Tx, filter: CallbackFilter, before: int, step: int) -> list[Any]:
    if filter.message_id is not None:
        return tx.run(_OF_MESSAGE, message_id=filter.message_id, before=before, n=step)
    if filter.states == (CallbackState.GIVEN_UP,) and filter.account_id is not None:
        return tx.run(_GIVEN_UP, account_id=filter.account_id, before=before, n=step)
    return tx.run(_WALK, before=before, n=step)


def _views(tx: Tx, ids: Sequence[int]) -> list[CallbackView]:
    rows = [list(row) for row in tx.run(_BY_IDS, [(one,) for one in ids])] if ids else []
    for row in rows:
        row[9] = CallbackState(row[9])
        row[-1] = bool(row[-1])
    return sorted((CallbackView(*row) for row in rows), key=lambda one: -one.id)


_ATTEMPTS: Final = Statement(
    lambda _: (
        select(
            t.attempt.c.at,
            t.attempt.c.status_code,
            t.attempt.c.error,
            t.attempt.c.elapsed_ms,
            t.attempt.c.headers,
            t.attempt.c.body_hash,
            t.attempt.c.body,
            t.attempt.c.answer,
        )
        .where(t.attempt.c.callback_id == bindparam("of", type_=Int))
        .order_by(t.attempt.c.id)
    )
)


def show_callback(tx: Tx, account_id: str | None, callback: int) -> tuple[CallbackView, list[Attempt]] | None:
    """One callback and its attempts, oldest first; see ``CallbackStore.fetch_callback``."""
    found = _views(tx, [callback])
    if not found or account_id not in (None, found[0].account_id):
        return None
    view = found[0]
    attempts = [
        Attempt(
            row[0], row[1], row[2], row[3], tuple(map(tuple, msgspec.json.decode(row[4]))), row[5], row[6] or "", row[7]
        )
        for row in tx.run(_ATTEMPTS, of=callback)
    ]
    if view.attempts and view.last_at is not None and view.last_at not in [one.at for one in attempts]:
        own = Attempt(view.last_at, view.last_status_code, view.last_error, view.last_elapsed_ms or 0)
        attempts = sorted([*attempts, own], key=lambda one: one.at)
    return view, attempts


# --- again ------------------------------------------------------------------------------------------------------------


class Resend(NamedTuple):
    """One callback to make due at ``now``."""

    account_id: str | None
    callback: int
    now: int


_KEEP_LAST: Final = Statement(
    lambda r: insert(t.attempt).from_select(
        ["callback_id", "account_id", "at", "status_code", "error", "elapsed_ms", "headers", "body_hash", "answer"],
        select(
            t.callback.c.id,
            t.callback.c.account_id,
            t.callback.c.last_at,
            t.callback.c.last_status_code,
            t.callback.c.last_error,
            t.callback.c.last_elapsed_ms,
            literal("[]", Str),
            literal("", Str),
            literal("", Str),
        )
        .select_from(r.join(t.callback, t.callback.c.id == r.c.id))
        .where(
            t.callback.c.attempts > 0,
            t.callback.c.last_elapsed_ms.is_not(None),
            ~select(literal(1))
            .where(t.attempt.c.callback_id == t.callback.c.id, t.attempt.c.at == t.callback.c.last_at)
            .exists(),
        ),
    ),
    id=Int,
)
_AGAIN: Final = Statement(
    lambda r: (
        update(t.callback)
        .values(
            state=str(CallbackState.PENDING),
            attempts=0,
            next_attempt_at=r.c.now,
            first_failed_at=None,
            bundle=None,
            again_at=r.c.now,
            leased_by=None,
            leased_until=None,
        )
        .where(t.callback.c.id == r.c.id, t.callback.c.leased_by.is_(None))
        .returning(t.callback.c.id)
    ),
    id=Int,
    now=Int,
)


def keep_last_attempts(tx: Tx, ids: Sequence[int]) -> None:
    """Give each its last attempt a row of its own, before the next one takes its place in the callback's."""
    tx.run(_KEEP_LAST, [(one,) for one in ids])


def make_due(tx: Tx, ids: Sequence[int], now: int) -> int:
    """Make callbacks due that nobody is posting, their schedules from the beginning; returns how many.

    Those that went to their account's URL go to the one it has now.
    """
    if not ids:
        return 0
    keep_last_attempts(tx, ids)
    due = [row[0] for row in tx.run(_AGAIN, [(one, now) for one in ids])]
    follow_account(tx, due)
    return len(due)


def resend_callbacks(tx: Tx, scope: Scope, items: Sequence[Resend]) -> list[bool | None]:
    """Make callbacks due now; see ``CallbackStore.resend_callback``."""
    results: list[bool | None] = []
    for item in items:
        found = _views(tx, [item.callback])
        known = bool(found) and item.account_id in (None, found[0].account_id)
        results.append(make_due(tx, [item.callback], item.now) == 1 if known else None)
    return results
