"""Messages whose link is no longer configured: given to the links that remain (docs/configuration.md, ``[[routes]]``).

A message keeps the route it got when it was accepted. When links are taken away, what is queued for them, and what a
dead or stopped one may still give back to the queue, is routed anew; what no rule takes any more ends as ABORTED
``no_route`` when it falls due. Must not know: which links there are, how routes are chosen: both are handed in.
Next: ``dispatch`` beside this file.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, func, select, update

from kvitto.core.status import Reason, Status
from kvitto.store import schema as t
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Statement, Str, Tx

__all__ = ["Rerouting", "reroute_messages"]


class Rerouting(NamedTuple):
    """Route anew what waits for links that are not among ``links``, at most ``limit`` queued messages."""

    links: Collection[str]
    route_for: Callable[[str, str], str | None]
    limit: int


_NEXT_ROUTE: Final = Statement(
    lambda _: select(func.min(t.message.c.route)).where(
        t.message.c.due_at.is_not(None), t.message.c.route > bindparam("after", type_=Str)
    )
)
"""From route to route by the queue's index: a long queue of one link costs no more than a short one."""
_ASKED: Final = (t.message.c.id, t.message.c.route, t.message.c.recipient, t.message.c.attempts, t.account.c.name)
_QUEUED_FOR: Final = Statement(
    lambda _: (
        select(*_ASKED)
        .select_from(t.message.outerjoin(t.account, t.account.c.id == t.message.c.account_id))
        .where(t.message.c.route == bindparam("route", type_=Str), t.message.c.due_at.is_not(None))
        .order_by(t.message.c.account_id, t.message.c.due_at, t.message.c.id)
        .limit(bindparam("n", type_=Int))
        .with_for_update(of=t.message, skip_locked=True)
    )
)
_UNANSWERED: Final = Statement(
    lambda _: (
        select(*_ASKED)
        .distinct()
        .select_from(
            t.part.join(t.message, t.message.c.id == t.part.c.message_id).outerjoin(
                t.account, t.account.c.id == t.message.c.account_id
            )
        )
        .where(t.OPEN, t.message.c.route != "", t.message.c.status == str(Status.QUEUED))
    )
)
"""Not in the queue now, but they may come back to it: in flight, or in doubt until an operator sends them again."""
_REROUTE: Final = Statement(
    lambda r: update(t.message).values(route=r.c.route).where(t.message.c.id == r.c.id), id=Str, route=Str
)
_GIVE_UP: Final = Statement(
    lambda r: (
        update(t.message)
        .values(abort=str(Reason.NO_ROUTE), deadline_at=t.message.c.due_at, due_at=None)
        .where(t.message.c.id == r.c.id, t.message.c.due_at.is_not(None))
    ),
    id=Str,
)


def reroute_messages(tx: Tx, scope: Scope, items: Sequence[Rerouting]) -> list[int]:
    """Route anew; see ``Store.reroute_messages``."""
    return [_reroute(tx, item) for item in items]


def _reroute(tx: Tx, item: Rerouting) -> int:
    rows = [row for row in tx.run(_UNANSWERED) if row[1] not in item.links]
    route = ""
    while len(rows) < item.limit and (route := tx.run(_NEXT_ROUTE, after=route)[0][0]) is not None:
        if route not in item.links:
            rows += tx.run(_QUEUED_FOR, route=route, n=item.limit - len(rows))
    moved, lost = _decide(rows, item)
    if moved:
        tx.run(_REROUTE, moved)
    if lost:
        tx.run(_GIVE_UP, lost)
    return len(moved) + len(lost)


def _decide(rows: Sequence[Sequence[Any]], item: Rerouting) -> tuple[list[tuple[str, str]], list[tuple[str]]]:
    """(message, new route) of those that have one, and those that have none and no part of which was ever written.

    One without a route of which parts have been written stays where it is: time ends it (R44, R58).
    """
    moved, lost = [], []
    for message_id, _, recipient, attempts, account in rows:
        route = item.route_for(recipient, account or "")
        if route is not None:
            moved.append((message_id, route))
        elif not attempts:
            lost.append((message_id,))
    return moved, lost
