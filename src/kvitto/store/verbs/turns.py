"""Whose turn it is: which due messages a link takes, when more wait than it may carry (P29).

The queue is ordered by account and, within one, by time. A claim goes round the accounts that have something due,
beginning where the last one stopped, and takes from each in turn: an account with a million messages in the queue
delays another's single message by one turn and not by a million. Where one account alone has something due, which is
nearly always, it gets everything, oldest first, for no more statements than a queue in order of time would take.

A claim goes over at most ``MOST_QUEUES`` accounts, found by stepping from account to account in the index
``message_queue``: what it costs does not depend on how long anybody's queue is. Accounts whose messages are all due
later are stepped over in the same way. Where the turn stands is kept in memory: after a restart it begins anywhere.

Must not know: parts, links. Next: ``dispatch`` beside this file.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Final

from sqlalchemy import Integer, bindparam, func, literal, select

from kvitto.store import schema as t
from kvitto.store.api import MOST_QUEUES
from kvitto.store.statements import Int, Kind, Statement, Str, Tx

__all__ = ["Turns", "due_messages", "next_due_at"]

_LEAST_STEPS: Final = 4
_END: Final = "~"
"""Behind every account's id."""
_ALL: Final = 1 << 30

_Queue = tuple[str, list[str]]
"""(account, routes on which it has something due)."""
_Span = tuple[str, str, str]
"""(route, first account, the account before which it ends)."""


class Turns:
    """Where the turn of one link stands: with the account ``next_up``, or whoever comes after it.

    ``behind``: who is next once all that the last look found is taken.
    """

    __slots__ = ("behind", "next_up")

    def __init__(self) -> None:
        self.next_up = self.behind = ""

    def move(self, rows: Sequence[Sequence[Any]], taken: int) -> None:
        """Of these rows, whose second column is the account, so many were taken: go on behind them."""
        self.next_up = rows[taken][1] if taken < len(rows) else self.behind


def _heads(r: Any) -> Any:
    """Step from account to account: (route, account, when its first message falls due), at most ``most`` for each r."""
    m = t.message.alias("m")

    def account_from(route: Any, beyond: Any, before: Any) -> Any:
        found = select(m.c.account_id).where(
            m.c.route == route, m.c.due_at.is_not(None), beyond, m.c.account_id < before
        )
        return found.order_by(m.c.account_id).limit(literal(1, Integer)).scalar_subquery()

    first = select(
        r.c.route.label("route"),
        r.c.last.label("last"),
        literal(1, Integer).label("n"),
        account_from(r.c.route, m.c.account_id >= r.c.first, r.c.last).label("account_id"),
    )
    q = first.cte("q", recursive=True)
    step = select(q.c.route, q.c.last, q.c.n + 1, account_from(q.c.route, m.c.account_id > q.c.account_id, q.c.last))
    q = q.union_all(step.where(q.c.account_id.is_not(None), q.c.n < bindparam("most", type_=Int)))
    head = select(m.c.due_at).where(m.c.route == q.c.route, m.c.account_id == q.c.account_id, m.c.due_at.is_not(None))
    due_at = head.order_by(m.c.due_at).limit(literal(1, Integer)).scalar_subquery()
    return select(q.c.route, q.c.account_id, due_at.label("due_at")).where(q.c.account_id.is_not(None))


def _earliest(r: Any) -> Any:
    heads = _heads(r).subquery("heads")
    return select(func.min(heads.c.due_at))


_SPAN: Final[dict[str, Kind]] = {"route": Str, "first": Str, "last": Str}
_HEADS: Final = Statement(_heads, **_SPAN)
_EARLIEST: Final = Statement(_earliest, **_SPAN)
_DUE: Final = Statement(
    lambda _: (
        select(
            t.message.c.id,
            t.message.c.account_id,
            t.message.c.recipient,
            t.message.c.parts,
            t.message.c.text,
            t.message.c.attempts,
            t.message.c.due_at,
            t.message.c.own,
        )
        .where(
            t.message.c.route == bindparam("route", type_=Str),
            t.message.c.account_id == bindparam("account", type_=Str),
            t.message.c.due_at.is_not(None),
            t.message.c.due_at <= bindparam("now", type_=Int),
        )
        .order_by(t.message.c.due_at, t.message.c.id)
        .limit(bindparam("n", type_=Int))
        .with_for_update(of=t.message, skip_locked=True)
    )
)


def due_messages(tx: Tx, link: str, now: int, most: int, turns: Turns) -> list[Any]:
    """Up to ``most`` due messages that this link may carry, of each account in turn, oldest first within one."""
    served = min(most, MOST_QUEUES)
    queues = _queues(tx, link, now, served + 1, turns.next_up)
    if queues:
        # Behind those who are served now; where they are all, with the second, so that nobody is always the first.
        turns.behind = queues[served if len(queues) > served else min(1, len(queues) - 1)][0]
        del queues[served:]
    if len(queues) <= 1:
        return [row for queue in queues for row in _due(tx, queue, now, most)]
    share, more = divmod(most, len(queues))
    shares = [share + (place < more) for place in range(len(queues))]
    found = [_due(tx, queue, now, n) for queue, n in zip(queues, shares, strict=True)]
    left = most - sum(map(len, found))
    for place, (queue, n) in enumerate(zip(queues, shares, strict=True)):
        if left and len(found[place]) == n:  # what others left of theirs goes to who has more
            found[place] = _due(tx, queue, now, n + left)
            left -= len(found[place]) - n
    return [row for one_each in zip_longest(*found) for row in one_each if row is not None]


def _due(tx: Tx, queue: _Queue, now: int, n: int) -> list[Any]:
    account, routes = queue
    rows = [row for route in routes for row in tx.run(_DUE, route=route, account=account, now=now, n=n)]
    if len(routes) > 1:
        rows.sort(key=lambda row: (row[6], row[0]))
        del rows[n:]
    return rows


def _queues(tx: Tx, link: str, now: int, most: int, next_up: str) -> list[_Queue]:
    """Accounts with something due, at most ``most``, from ``next_up`` on and round."""
    ranges = ((next_up, _END), ("", next_up)) if next_up else (("", _END),)
    spans = [(route, *one) for one in ranges for route in (link, "")]

    def turn(account: str) -> tuple[bool, str]:
        return account < next_up, account

    step = max(most, _LEAST_STEPS)
    due: dict[str, list[str]] = {}
    passed: list[_Queue] = []
    while spans:
        heads = tx.run(_HEADS, spans, most=step)
        for route, account, due_at in heads:
            if due_at <= now:
                due.setdefault(account, []).append(route)
        spans = [further for span in spans if (further := _further(span, heads, step))]
        # Of an account that not all spans have passed, and of those behind it, it is not known yet whose turn is next.
        ends = min((turn(first) for _, first, _ in spans), default=(True, _END))
        passed = sorted((one for one in due.items() if turn(one[0]) < ends), key=lambda one: turn(one[0]))
        if len(passed) >= most:
            break
        step *= 2
    return passed[:most]


def _further(span: _Span, heads: Sequence[Sequence[Any]], step: int) -> _Span | None:
    """What is left of this span behind the heads that were found in it; None when they are all."""
    route, first, last = span
    seen = [account for its_route, account, _ in heads if its_route == route and first <= account < last]
    return (route, max(seen) + "\x01", last) if len(seen) >= step else None


def next_due_at(tx: Tx, link: str) -> int | None:
    """When the next message that this link may carry falls due."""
    earliest: int | None = tx.run(_EARLIEST, [(link, "", _END), ("", "", _END)], most=_ALL)[0][0]
    return earliest
