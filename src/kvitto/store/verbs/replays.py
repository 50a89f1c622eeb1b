"""Replays: many callbacks made due again, in steps that a crash neither repeats nor leaves out (P14).

A replay walks the callbacks by their numbers, from ``first_id`` to ``last_id``, which are fixed when it begins. A step
is one transaction: so many callbacks become due, and the cursor moves behind them. Must not know: posting.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import bindparam, func, insert, select, update

from kvitto.core.model import CallbackState
from kvitto.core.record import CallbackFilter, NewReplay, Replay, ReplayState
from kvitto.store import schema as t
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Kind, Statement, Str, Tx
from kvitto.store.verbs.record import make_due, meant

__all__ = [
    "Cancellation",
    "Step",
    "cancel_replays",
    "fetch_replay",
    "is_step_due",
    "replay_rows",
    "start_replays",
    "step_replays",
]

MOST_PER_STEP: Final = 1000
LOOKED_AT_PER_STEP: Final = 20_000
_STEP_MS: Final = 1000
LONGEST_WAIT_MS: Final = 86_400_000
"""Between two steps, however low the rate: an instant beyond all time could not be written down."""
_AGE_MS: Final = 3_600_000
"""Numbers rise with time but for clocks that are set back: so much is looked at beyond what the instants say."""


class Step(NamedTuple):
    """Go on with what is due at ``now``."""

    now: int


class Cancellation(NamedTuple):
    """Stop one."""

    account_id: str | None
    replay: int


_NEW: Final[dict[str, Kind]] = {
    "created_at": Int,
    "account_id": Str,
    "endpoint": Int,
    "states": Str,
    "since_at": Int,
    "until_at": Int,
    "rate": t.replay.c.rate.type,
    "state": Str,
    "first_id": Int,
    "cursor": Int,
    "last_id": Int,
    "replayed": Int,
    "skipped": Int,
    "next_at": Int,
}
_INSERT: Final = Statement(
    lambda r: insert(t.replay).from_select([*_NEW], select(*[r.c[name] for name in _NEW])).returning(t.replay.c.id),
    **_NEW,
)
_LOWEST: Final = Statement(lambda _: select(func.min(t.callback.c.id)))
_HIGHEST: Final = Statement(lambda _: select(func.max(t.callback.c.id)))
_NEAR: Final = Statement(
    lambda _: (
        select(t.callback.c.id, t.callback.c.created_at)
        .where(t.callback.c.id >= bindparam("at", type_=Int))
        .order_by(t.callback.c.id)
        .limit(1)
    )
)


def _first_since(tx: Tx, low: int, high: int, since_at: int) -> int:
    """Return a number below which everything was made before ``since_at``: halving, as numbers rise with time."""
    wanted = since_at - _AGE_MS
    while low < high:
        middle = (low + high) // 2
        rows = tx.run(_NEAR, at=middle)
        if rows and rows[0][1] < wanted:
            low = rows[0][0] + 1
        else:
            high = middle
    return low


def start_replays(tx: Tx, scope: Scope, items: Sequence[NewReplay]) -> list[Replay]:
    """Begin replays; see ``CallbackStore.start_replay``."""
    return [_start(tx, item) for item in items]


def _start(tx: Tx, new: NewReplay) -> Replay:
    wanted = new.filter
    low, high = tx.run(_LOWEST)[0][0], tx.run(_HIGHEST)[0][0]
    first, last = (1, 0) if low is None else (low, high)
    if low is not None and wanted.since_at is not None:
        first = _first_since(tx, low, high + 1, wanted.since_at)
    states = msgspec.json.encode(wanted.states).decode()
    head = (new.now, wanted.account_id, wanted.endpoint, states, wanted.since_at, wanted.until_at, new.rate)
    row = (*head, str(ReplayState.RUNNING), first, first - 1, last, 0, 0, new.now)
    number = tx.run(_INSERT, [row])[0][0]
    return _read(tx.run(_FETCH, of=number)[0])


_FETCH: Final = Statement(
    lambda _: select(t.replay).where(t.replay.c.id == bindparam("of", type_=Int)).with_for_update()
)
_SHOW: Final = Statement(lambda _: select(t.replay).where(t.replay.c.id == bindparam("of", type_=Int)))
_LIST: Final = Statement(lambda _: select(t.replay).order_by(t.replay.c.id.desc()).limit(bindparam("n", type_=Int)))
_LIST_OF: Final = Statement(
    lambda _: (
        select(t.replay)
        .where(t.replay.c.account_id == bindparam("account_id", type_=Str))
        .order_by(t.replay.c.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)
_RUNNING: Final = Statement(
    lambda _: (
        select(t.replay)
        .where(t.RUNNING, t.replay.c.next_at <= bindparam("now", type_=Int))
        .order_by(t.replay.c.id)
        .with_for_update(skip_locked=True)
    )
)
_MOVE: Final = Statement(
    lambda r: (
        update(t.replay)
        .values(
            state=r.c.state,
            cursor=r.c.cursor,
            replayed=t.replay.c.replayed + r.c.replayed,
            skipped=t.replay.c.skipped + r.c.skipped,
            next_at=r.c.next_at,
        )
        .where(t.replay.c.id == r.c.id)
    ),
    id=Int,
    state=Str,
    cursor=Int,
    replayed=Int,
    skipped=Int,
    next_at=Int,
)
_CANCEL: Final = Statement(
    lambda _: (
        update(t.replay)
        .values(state=str(ReplayState.CANCELLED))
        .where(t.replay.c.id == bindparam("of", type_=Int), t.RUNNING)
    )
)
_WALK: Final = Statement(
    lambda _: (
        select(
            t.callback.c.id, t.callback.c.account_id, t.callback.c.endpoint, t.callback.c.state, t.callback.c.created_at
        )
        .where(t.callback.c.id > bindparam("after", type_=Int), t.callback.c.id <= bindparam("last", type_=Int))
        .order_by(t.callback.c.id)
        .limit(bindparam("n", type_=Int))
    )
)


def _read(row: Sequence[Any]) -> Replay:
    number, account_id, endpoint, states, since_at, until_at, rate, created_at, state, *rest = row
    asked = tuple(CallbackState(one) for one in msgspec.json.decode(states))
    return Replay(number, account_id, endpoint, asked, since_at, until_at, rate, created_at, ReplayState(state), *rest)


def step_replays(tx: Tx, scope: Scope, items: Sequence[Step]) -> list[int]:
    """Make the next steps; see ``CallbackStore.step_replays``."""
    return [sum(_step(tx, _read(row), item.now) for row in tx.run(_RUNNING, now=item.now)) for item in items]


def _step(tx: Tx, replay: Replay, now: int) -> int:
    wanted = CallbackFilter(
        account_id=replay.account_id,
        endpoint=replay.endpoint,
        states=replay.states,
        since_at=replay.since_at,
        until_at=replay.until_at,
    )
    most = max(1, min(MOST_PER_STEP, int(replay.rate * _STEP_MS / 1000)))
    ids: list[int] = []
    cursor, looked_at, over = replay.cursor, 0, False
    while len(ids) < most and looked_at < LOOKED_AT_PER_STEP and not over:
        rows = tx.run(_WALK, after=cursor, last=replay.last_id, n=MOST_PER_STEP)
        looked_at += len(rows)
        over = len(rows) < MOST_PER_STEP
        for row in rows:
            if meant(row, wanted):
                if len(ids) == most:
                    over = False
                    break
                ids.append(row[0])
            cursor = row[0]
    made = make_due(tx, ids, now)
    state = ReplayState.DONE if over else ReplayState.RUNNING
    wait_ms = round(min(LONGEST_WAIT_MS, 1000 * len(ids) / replay.rate))
    tx.run(_MOVE, [(replay.id, str(state), cursor, made, len(ids) - made, now + wait_ms)])
    return made


def cancel_replays(tx: Tx, scope: Scope, items: Sequence[Cancellation]) -> list[Replay | None]:
    """Stop replays; None where there is none such."""
    results: list[Replay | None] = []
    for item in items:
        rows = tx.run(_FETCH, of=item.replay)
        if not rows or item.account_id not in (None, rows[0][1]):
            results.append(None)
            continue
        tx.run(_CANCEL, of=item.replay)
        results.append(_read(tx.run(_FETCH, of=item.replay)[0]))
    return results


_ANY_DUE: Final = Statement(
    lambda _: select(t.replay.c.id).where(t.RUNNING, t.replay.c.next_at <= bindparam("now", type_=Int)).limit(1)
)


def is_step_due(tx: Tx, now: int) -> bool:
    """Whether any replay wants its next step."""
    return bool(tx.run(_ANY_DUE, now=now))


def fetch_replay(tx: Tx, account_id: str | None, replay: int) -> Replay | None:
    """One replay."""
    rows = tx.run(_SHOW, of=replay)
    return _read(rows[0]) if rows and account_id in (None, rows[0][1]) else None


def replay_rows(tx: Tx, account_id: str | None, limit: int) -> list[Replay]:
    """Replays, newest first."""
    rows = tx.run(_LIST, n=limit) if account_id is None else tx.run(_LIST_OF, account_id=account_id, n=limit)
    return [_read(row) for row in rows]
