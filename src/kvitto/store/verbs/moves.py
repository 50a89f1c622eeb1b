"""An account's callback URL became another: what waits for the old one goes to the new one from its next try on.

A change leaves a row of (old endpoint, old URL) behind, in its own transaction, so that neither a crash nor a change
made beside a server loses it. From then on whatever is claimed is looked up here and redirected first
(``redirected``), and a walk over what is due there moves the rest in steps of a bounded size (``step_moves``): a
million callbacks keep nobody else waiting. Meant are callbacks to the account's URL alone; one whose batch named its
own stays. With no URL any more they are given up, with the reason in words, and enter the one-time feed.

A row here lives until a walk has found nothing, and at least ``OPEN_MS``: transactions that read the account before
the change may commit after it. Must not know: posting, how a change is asked for.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, delete, literal, or_, select, update
from sqlalchemy.dialects import postgresql

from kvitto.core.endpoint import endpoint_number
from kvitto.core.model import CallbackState
from kvitto.store import schema as t
from kvitto.store.callbackapi import MoveStep
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Statement, Str, Tx
from kvitto.store.verbs.tallies import tally_callbacks
from kvitto.store.verbs.texts import read_own
from kvitto.store.verbs.unread import enter_given_up

__all__ = ["CLEARED", "LOOKED_AT_PER_STEP", "begin_move", "follow_account", "is_move_due", "redirected", "step_moves"]

CLEARED: Final = "not told: the account has no callback URL any more"
LOOKED_AT_PER_STEP: Final = 1000
OPEN_MS: Final = 60_000
WALK_MS: Final = 5_000
"""Between two walks: what was in hand at the first has come back by then, or is found by a later one."""


class _Move(NamedTuple):
    endpoint: int
    url: str
    account_id: str
    created_at: int
    after_at: int
    after_id: int
    found: int


_ZERO: Final = literal(0, Int)
_GIVEN: Final = {"endpoint": Int, "url": Str, "account_id": Str, "now": Int}


def _begin(r: Any) -> Any:
    names = ["endpoint", "url", "account_id", "created_at", "after_at", "after_id", "found", "next_at"]
    given = select(r.c.endpoint, r.c.url, r.c.account_id, r.c.now, _ZERO, _ZERO, _ZERO, r.c.now)
    made = postgresql.insert(t.webhook_move).from_select(names, given.where(r.c.endpoint.is_not(None)))
    again = {name: made.excluded[name] for name in names[3:]}
    return made.on_conflict_do_update(index_elements=[t.webhook_move.c.endpoint, t.webhook_move.c.url], set_=again)


_BEGIN: Final = Statement(_begin, **_GIVEN)


def begin_move(tx: Tx, account_id: str, old_url: str, now: int) -> None:
    """From this transaction on, nothing that is claimed goes to the account's ``old_url``.

    What a sender has in hand then may still be posted there once: this node's gives it back within a second, another
    node's finds it changed when it is tried again.
    """
    tx.run(_BEGIN, [(endpoint_number(account_id, old_url), old_url, account_id, now)])


_OPEN: Final = Statement(
    lambda r: (
        select(t.webhook_move.c.endpoint, t.webhook_move.c.url, t.account.c.id, t.account.c.callback_url)
        .select_from(
            r.join(t.webhook_move, t.webhook_move.c.endpoint == r.c.endpoint).join(
                t.account, t.account.c.id == t.webhook_move.c.account_id
            )
        )
        .where(or_(t.account.c.callback_url.is_(None), t.account.c.callback_url != t.webhook_move.c.url))
    ),
    endpoint=Int,
)
_SOURCES: Final = Statement(
    lambda r: select(t.callback.c.id, t.batch.c.callback_url, t.message.c.own).select_from(
        r.join(t.callback, t.callback.c.id == r.c.id)
        .join(t.batch, t.batch.c.id == t.callback.c.batch_id)
        .outerjoin(t.event, (t.event.c.seq == t.callback.c.id) & (t.callback.c.tells == "message"))
        .outerjoin(t.message, t.message.c.id == t.event.c.message_id)
    ),
    id=Int,
)
_FREE: Final = Statement(
    lambda r: (
        select(t.callback.c.id)
        .select_from(r.join(t.callback, t.callback.c.id == r.c.id))
        .where(
            t.callback.c.next_attempt_at.is_not(None),
            # Asked again under the lock: another node may have leased it since the walk saw it.
            or_(t.callback.c.leased_until.is_(None), t.callback.c.leased_until <= bindparam("now", type_=Int)),
        )
        .with_for_update(of=t.callback, skip_locked=True)
    ),
    id=Int,
)
_REDIRECT: Final = Statement(
    lambda r: update(t.callback).values(url=r.c.url, endpoint=r.c.endpoint).where(t.callback.c.id == r.c.id),
    id=Int,
    url=Str,
    endpoint=Int,
)
_CLEAR: Final = Statement(
    lambda r: (
        update(t.callback)
        .values(
            state=str(CallbackState.GIVEN_UP),
            next_attempt_at=None,
            leased_by=None,
            leased_until=None,
            last_error=CLEARED,
            bundle=None,
        )
        .where(t.callback.c.id == r.c.id)
    ),
    id=Int,
)
"""What the last try was stays to be read; this is none."""


def _of_accounts(tx: Tx, ids: Sequence[int]) -> list[int]:
    """Those of these callbacks that go to the account's URL, because nobody named another."""
    found = []
    for number, batch_url, own in tx.run(_SOURCES, [(one,) for one in ids]) if ids else ():
        if (batch_url if own is None else read_own(own).callback_url) is None:
            found.append(number)
    return found


def _turn(tx: Tx, scope: Scope, ids: Sequence[int], account_id: str, url: str | None, now: int) -> None:
    """Send these where the account now wants them, or give them up."""
    if not ids:
        return
    if url is not None:
        endpoint = endpoint_number(account_id, url)
        tx.run(_REDIRECT, [(one, url, endpoint) for one in ids])
        return
    tx.run(_CLEAR, [(one,) for one in ids])
    tally_callbacks(scope, ((account_id, str(CallbackState.GIVEN_UP), now) for _ in ids))
    enter_given_up(tx, list(ids))


def redirected(tx: Tx, scope: Scope, rows: list[Any], url_at: int, endpoint_at: int, now: int) -> list[Any]:
    """Callbacks about to be claimed (``id`` first, URL and endpoint at these places), those to a URL that is their
    account's no more sent to the one that is; what nobody wants now is left out.
    """
    moves = tx.run(_OPEN, [(one,) for one in {row[endpoint_at] for row in rows}])
    for endpoint, old, account_id, url in moves:
        to_old = [row[0] for row in rows if row[endpoint_at] == endpoint and row[url_at] == old]
        ids = _of_accounts(tx, to_old)
        _turn(tx, scope, ids, account_id, url, now)
        meant = set(ids)
        rows = [_moved(row, account_id, url, url_at, endpoint_at) if row[0] in meant else row for row in rows]
        rows = [row for row in rows if row is not None]
    return rows


def _moved(row: Sequence[Any], account_id: str, url: str | None, url_at: int, endpoint_at: int) -> list[Any] | None:
    if url is None:
        return None
    changed = list(row)
    changed[url_at], changed[endpoint_at] = url, endpoint_number(account_id, url)
    return changed


# --- what is sent again -----------------------------------------------------------------------------------------------

_ELSEWHERE: Final = Statement(
    lambda r: (
        select(t.callback.c.id, t.account.c.id, t.account.c.callback_url)
        .select_from(
            r.join(t.callback, t.callback.c.id == r.c.id).join(t.account, t.account.c.id == t.callback.c.account_id)
        )
        .where(t.account.c.callback_url != t.callback.c.url)
    ),
    id=Int,
)


def follow_account(tx: Tx, ids: Sequence[int]) -> None:
    """These are told again: where they went to the account's URL, they go to the one it has now."""
    elsewhere = {row[0]: (row[1], row[2]) for row in tx.run(_ELSEWHERE, [(one,) for one in ids])} if ids else {}
    rows = [(one, elsewhere[one][1], endpoint_number(*elsewhere[one])) for one in _of_accounts(tx, list(elsewhere))]
    if rows:
        tx.run(_REDIRECT, rows)


# --- the walk ---------------------------------------------------------------------------------------------------------

_MOVES: Final = Statement(
    lambda _: (
        select(
            t.webhook_move.c.endpoint,
            t.webhook_move.c.url,
            t.webhook_move.c.account_id,
            t.webhook_move.c.created_at,
            t.webhook_move.c.after_at,
            t.webhook_move.c.after_id,
            t.webhook_move.c.found,
        )
        .where(t.webhook_move.c.next_at <= bindparam("now", type_=Int))
        .order_by(t.webhook_move.c.endpoint, t.webhook_move.c.url)
        .with_for_update(skip_locked=True)
    )
)
_ANY_DUE: Final = Statement(
    lambda _: select(t.webhook_move.c.endpoint).where(t.webhook_move.c.next_at <= bindparam("now", type_=Int)).limit(1)
)
_WANTED: Final = Statement(
    lambda _: select(t.account.c.callback_url).where(t.account.c.id == bindparam("of", type_=Str))
)
_WALK: Final = Statement(
    lambda _: (
        select(t.callback.c.id, t.callback.c.next_attempt_at, t.callback.c.url)
        .where(
            t.callback.c.endpoint == bindparam("endpoint", type_=Int),
            t.callback.c.next_attempt_at.is_not(None),
            t.callback.c.next_attempt_at >= bindparam("after_at", type_=Int),
            or_(
                t.callback.c.next_attempt_at > bindparam("after_at", type_=Int),
                t.callback.c.id > bindparam("after_id", type_=Int),
            ),
        )
        .order_by(t.callback.c.next_attempt_at, t.callback.c.id)
        .limit(bindparam("n", type_=Int))
    )
)
_GO_ON: Final = Statement(
    lambda r: (
        update(t.webhook_move)
        .values(after_at=r.c.after_at, after_id=r.c.after_id, found=r.c.found, next_at=r.c.next_at)
        .where(t.webhook_move.c.endpoint == r.c.endpoint, t.webhook_move.c.url == r.c.url)
    ),
    endpoint=Int,
    url=Str,
    after_at=Int,
    after_id=Int,
    found=Int,
    next_at=Int,
)
_FORGET: Final = Statement(
    lambda _: delete(t.webhook_move).where(
        t.webhook_move.c.endpoint == bindparam("endpoint", type_=Int),
        t.webhook_move.c.url == bindparam("url", type_=Str),
    )
)


def is_move_due(tx: Tx, now: int) -> bool:
    """Whether any walk wants its next step."""
    return bool(tx.run(_ANY_DUE, now=now))


def step_moves(tx: Tx, scope: Scope, items: Sequence[int]) -> list[MoveStep]:
    """Make the next step of every walk that is due at these instants; see ``CallbackStore.step_moves``."""
    return [_step_all(tx, scope, now) for now in items]


def _step_all(tx: Tx, scope: Scope, now: int) -> MoveStep:
    moves = [_Move(*row) for row in tx.run(_MOVES, now=now)]
    more = [_step(tx, scope, move, now) for move in moves]
    begun = {move.endpoint for move in moves if not move.after_at and now - move.created_at < WALK_MS}
    return MoveStep(any(more), frozenset(begun))


def _step(tx: Tx, scope: Scope, move: _Move, now: int) -> bool:
    """Returns whether its next step may follow at once."""
    wanted = tx.run(_WANTED, of=move.account_id)
    if not wanted or wanted[0][0] == move.url:  # the account is gone, or has its old URL again
        tx.run(_FORGET, endpoint=move.endpoint, url=move.url)
        return False
    rows = tx.run(_WALK, endpoint=move.endpoint, after_at=move.after_at, after_id=move.after_id, n=LOOKED_AT_PER_STEP)
    meant = _of_accounts(tx, [row[0] for row in rows if row[2] == move.url])
    free = tx.run(_FREE, [(one,) for one in meant], now=now) if meant else []
    _turn(tx, scope, [row[0] for row in free], move.account_id, wanted[0][0], now)
    found = move.found + len(meant)
    if len(rows) == LOOKED_AT_PER_STEP:
        tx.run(_GO_ON, [(move.endpoint, move.url, rows[-1][1], rows[-1][0], found, now)])
        return True
    if not found and now - move.created_at >= OPEN_MS:
        tx.run(_FORGET, endpoint=move.endpoint, url=move.url)
    else:
        tx.run(_GO_ON, [(move.endpoint, move.url, 0, 0, 0, now + WALK_MS)])
    return False
