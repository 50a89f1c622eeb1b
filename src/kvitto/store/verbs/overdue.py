"""What time alone decides (R40, R44, R58, P5): aborts that fall due, validity over, the wait for a receipt over.

A message carries one ``deadline_at``: first the moment its validity ends (or, for one that will not be sent, the
moment it falls due); once the SMSC may have it, the end of the wait for its receipt; earlier where one receipt may
have to do for all parts (R39). When a deadline passes, the status machine is asked; what it keeps gets the next
deadline. Must not know: clocks. Next: ``kvitto.core.status``.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import bindparam

from kvitto.core.receipt import LinkRules
from kvitto.core.status import Reason, Status, WaitOver, Withdrawn
from kvitto.store import schema as t
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Statement, Tx
from kvitto.store.verbs.changes import Changes
from kvitto.store.verbs.loading import Loaded, load_parts, select_loaded
from kvitto.store.verbs.wholes import groups_with_several, settle

__all__ = ["Overdue", "end_overdue"]

_DEFAULTS: Final = LinkRules()


class Overdue(NamedTuple):
    """End what is overdue at ``now``, at most ``limit`` messages; ``rules`` by link."""

    rules: Mapping[str, LinkRules]
    now: int
    limit: int


_PAST_DEADLINE: Final = Statement(
    lambda _: (
        select_loaded((), t.message)
        .where(t.message.c.deadline_at.is_not(None), t.message.c.deadline_at <= bindparam("now", type_=Int))
        .order_by(t.message.c.deadline_at)
        .limit(bindparam("n", type_=Int))
    )
)


def end_overdue(tx: Tx, scope: Scope, items: Sequence[Overdue]) -> list[int]:
    """Apply what time decides; see ``Store.end_overdue``."""
    counts = []
    for item in items:
        loaded = [Loaded(row) for row in tx.run(_PAST_DEADLINE, now=item.now, n=item.limit)]
        load_parts(tx, [one for one in loaded if one.attempts])
        changes = Changes(tx, scope, item.now)
        several = groups_with_several(tx) if any(one.parts > 1 for one in loaded) else frozenset()
        for one in loaded:
            _decide(changes, one, item, several)
        changes.write()
        counts.append(len(loaded))
    return counts


def _decide(changes: Changes, one: Loaded, item: Overdue, several: frozenset[str]) -> None:
    now = item.now
    if one.abort is not None:
        changes.apply(one, Withdrawn(now, Status.ABORTED, one.abort))
        return
    validity_over = Withdrawn(now, Status.EXPIRED, Reason.VALIDITY_LOCAL)
    if now >= one.expire_at and changes.apply(one, validity_over).changed:
        return
    settle_at = settle(changes, one, item.rules, several, now)
    rules = [item.rules.get(link, _DEFAULTS) for link in one.links.values()] or [_DEFAULTS]
    wait_ends_at = one.expire_at + 1000 * max(rule.dlr_grace_s for rule in rules)
    if now < wait_ends_at:
        next_at = one.expire_at if now < one.expire_at else wait_ends_at
        changes.touch(one, deadline_at=next_at if settle_at is None else min(next_at, settle_at))
        return
    changes.apply(one, WaitOver(now, any(rule.accepted_is_final for rule in rules)))
