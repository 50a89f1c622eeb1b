"""One receipt for a text of several parts: noticing what an SMSC does, and settling what it leaves open (R39).

Which SMSCs (groups of links: a receipt may come by another link than its submit went) send a receipt for each part is
remembered in a counter, ``several_part_receipts``: once it is there, one receipt is never again taken for the whole,
unless the link's settings say so. What may have to be settled gets
an earlier deadline; ``overdue`` asks here when it passes. Must not know: PDUs, clocks. Next: ``kvitto.core.status``.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import select

from kvitto.core.receipt import LinkRules, PartReceipts
from kvitto.core.status import FINAL, PartRecord, PartsSettled, PartState, Reason, Status
from kvitto.store import schema as t
from kvitto.store.statements import Statement, Tx
from kvitto.store.verbs.changes import Changes
from kvitto.store.verbs.loading import Loaded

__all__ = ["SEVERAL", "groups_with_several", "settle", "watch_parts"]

SEVERAL: Final = "several_part_receipts"
_SOON_MS: Final = 5_000
"""Where one receipt speaks for all, but part of the text still waited to be sent when it came: look again this soon."""
_DEFAULTS: Final = LinkRules()

_WITH_SEVERAL: Final = Statement(
    lambda _: select(t.link_counter.c.grp).distinct().where(t.link_counter.c.name == SEVERAL)
)


def groups_with_several(tx: Tx) -> frozenset[str]:
    """The groups whose links have ever sent receipts for two parts of one message."""
    return frozenset(row[0] for row in tx.run(_WITH_SEVERAL))


def _told(part: PartRecord) -> bool:
    """Whether a receipt has spoken of this part."""
    return part.state is PartState.ACCEPTED and (part.status in FINAL or part.reason is not Reason.ACCEPTED)


def watch_parts(
    changes: Changes, one: Loaded, part_no: int, came_by: tuple[str, str], rules: LinkRules, now: int
) -> None:
    """A receipt has changed part ``part_no``; ``came_by``: its link and group. Remember, and look again in time."""
    if any(_told(part) for part in one.record.parts if part.part_no != part_no):
        changes.count(*came_by, SEVERAL)
    if one.record.status in FINAL or rules.part_receipts is PartReceipts.ALL:
        return
    wait_ms = _SOON_MS if rules.part_receipts is PartReceipts.ONE else rules.part_wait_s * 1000
    if _may_settle(one, rules):
        current = one.deadline_at
        changes.touch(one, deadline_at=now + wait_ms if current is None else min(current, now + wait_ms))


def _may_settle(one: Loaded, rules: LinkRules) -> bool:
    if rules.part_receipts is PartReceipts.ONE:
        return any(part.status in FINAL for part in one.record.parts)
    return any(part.status is Status.DELIVERED for part in one.record.parts)


def settle(
    changes: Changes, one: Loaded, rules_of: Mapping[str, LinkRules], several: frozenset[str], now: int
) -> int | None:
    """Settle an open text of several parts if it is time; returns when to look again, None if never for this.

    ``several``: the groups that send a receipt for each part.
    """
    if one.parts == 1 or one.record.status in FINAL:
        return None
    every = bool(one.groups & several)
    again_at: list[int] = []
    for link in dict.fromkeys(one.links.values()):
        rules = rules_of.get(link, _DEFAULTS)
        each = rules.part_receipts is PartReceipts.ALL or (rules.part_receipts is PartReceipts.AUTO and every)
        if each or not _may_settle(one, rules):
            return None  # here the other parts have receipts to come
        whole = rules.part_receipts is PartReceipts.ONE
        wait_ms = _SOON_MS if whole else rules.part_wait_s * 1000
        quiet_at = _last_told_at(one.record.parts) + wait_ms
        if now < quiet_at:
            again_at.append(quiet_at)
        elif changes.apply(one, PartsSettled(now, whole)).changed:
            return None
        else:
            again_at.append(now + wait_ms)
    return min(again_at, default=None)


def _last_told_at(parts: Sequence[PartRecord]) -> int:
    return max((part.since_at for part in parts if _told(part)), default=0)
