"""The latest tries of an account's callbacks, for its page of Settings => Webhook.

A try that failed, or that followed one, has a row of its own; a first one that was taken is told by its callback's row
(``kvitto.store.schema.attempt``). Both are walked from their newest end, and only so far that the page costs the same
however many there are. Must not know: pages.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import bindparam, case, literal, select

from kvitto.core.record import CallbackTry
from kvitto.store import schema as t
from kvitto.store.statements import Int, Statement, Str, Tx
from kvitto.store.verbs.record import LOOKED_AT

__all__ = ["latest_tries"]


def _told(of: Any) -> Any:
    """Its callback's message, if it tells of one."""
    return of.outerjoin(t.event, (t.event.c.seq == t.callback.c.id) & (t.callback.c.tells == "message"))


def _kept() -> Any:
    latest = select(t.attempt).order_by(t.attempt.c.id.desc()).limit(LOOKED_AT).subquery("latest")
    c = t.callback.c
    return (
        select(
            c.id,
            t.event.c.message_id,
            c.batch_id,
            t.event.c.status,
            latest.c.at,
            latest.c.status_code,
            latest.c.error,
            latest.c.elapsed_ms,
            case((c.leased_by.is_(None), c.next_attempt_at)),
            c.url,
            c.last_at,
        )
        .select_from(_told(latest.join(t.callback, c.id == latest.c.callback_id)))
        .where(latest.c.account_id == bindparam("account", type_=Str))
        .order_by(latest.c.id.desc())
        .limit(bindparam("n", type_=Int))
    )


def _taken() -> Any:
    latest = select(t.callback.c.id).order_by(t.callback.c.id.desc()).limit(LOOKED_AT).subquery("latest")
    c = t.callback.c
    has_row = select(literal(1)).where(t.attempt.c.callback_id == c.id, t.attempt.c.at == c.last_at).exists()
    return (
        select(
            c.id,
            t.event.c.message_id,
            c.batch_id,
            t.event.c.status,
            c.last_at,
            c.last_status_code,
            c.last_error,
            c.last_elapsed_ms,
            case((c.leased_by.is_(None), c.next_attempt_at)),
            c.url,
            c.last_at,
        )
        .select_from(_told(latest.join(t.callback, c.id == latest.c.id)))
        .where(
            c.account_id == bindparam("account", type_=Str),
            c.attempts > 0,
            c.last_elapsed_ms.is_not(None),
            ~has_row,
        )
        .order_by(c.id.desc())
        .limit(bindparam("n", type_=Int))
    )


_KEPT: Final = Statement(lambda _: _kept())
_TAKEN: Final = Statement(lambda _: _taken())


def latest_tries(tx: Tx, account_id: str, limit: int) -> list[CallbackTry]:
    """See ``CallbackStore.list_tries``."""
    rows = [*tx.run(_KEPT, account=account_id, n=limit), *tx.run(_TAKEN, account=account_id, n=limit)]
    rows.sort(key=lambda row: (row[4], row[0]), reverse=True)
    return [_read(row) for row in rows[:limit]]


def _read(row: Sequence[Any]) -> CallbackTry:
    callback_id, message_id, batch_id, status, at, code, error, elapsed_ms, next_attempt_at, url, last_at = row
    next_at = next_attempt_at if at == last_at else None
    return CallbackTry(callback_id, message_id, batch_id, status, at, code, error, elapsed_ms, next_at, url)
