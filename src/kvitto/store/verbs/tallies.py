"""Counts by the minute, of each account and of all together: what the overview of the dashboard is made of.

A transaction notes what its facts add (``Scope.tally``) and writes one row for each count that changed as the last
thing it does, as it does with the counters of R54: so the counts are as durable as the facts, cost a row or two a
group of commits, and nobody ever scans messages to count them. ``at`` is the minute; 0 is for what stands now.

Names:

- ``accepted``: messages stored; ``status:<STATUS>``: messages that came to this end; ``corrected``: late receipts that
  corrected one (R45).
- ``now:QUEUED``, ``now:DISPATCHED`` (at 0): messages that stand there.
- ``wait:<n>``: final receipts by the time since their submit, in bucket ``n`` of ``kvitto.core.spans``.
- ``error:<STATUS>:<reason>:<source>:<code>``: ends that were no delivery. Codes above ``MOST_CODES`` are one name, so
  that an SMSC's nonsense cannot make rows without bound.
- ``callback:done``, ``callback:pending`` (an attempt failed and another is due), ``callback:given_up``.

Must not know: how they are shown. Next: ``kvitto.reports.overview``.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, func, insert, select, update

from kvitto.core.model import NewBatch
from kvitto.core.spans import BOUNDS_MS, bucket_of
from kvitto.core.status import FINAL, ErrorSource, Message, Reason, Status, StatusError
from kvitto.store import schema as t
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Kind, Statement, Str, Tx

__all__ = [
    "EVERYBODY",
    "KEPT_MS",
    "MINUTE_MS",
    "Tally",
    "error_name",
    "forget_tallies",
    "queued_now",
    "tallies_since",
    "tally_accepted",
    "tally_callbacks",
    "tally_change",
    "tally_dispatched",
    "tally_plain_end",
    "tally_replaced",
    "write_tallies",
]

MINUTE_MS: Final = 60_000
EVERYBODY: Final = ""
"""The account under which all are counted together."""
MOST_DIGITS: Final = 6
MOST_CODES: Final = 4096
"""Network codes and command_status below this are counted each by itself."""


_STATUS: Final = {status: f"status:{status}" for status in Status}
_WAITS: Final = tuple(f"wait:{bucket}" for bucket in range(len(BOUNDS_MS) + 1))
_NOW_QUEUED: Final = "now:QUEUED"
_NOW_DISPATCHED: Final = "now:DISPATCHED"


class Tally(NamedTuple):
    """One count of one minute (``at``, ms UTC), over all nodes."""

    at: int
    name: str
    value: int


def error_name(status: Status, reason: Reason, error: StatusError) -> str:
    """The name under which an end that was no delivery is counted."""
    code = error.command_status if error.source is ErrorSource.SUBMIT else error.net_code
    if code is None and error.text is not None and error.text.isdecimal() and len(error.text) <= MOST_DIGITS:
        code = int(error.text)
    shown = "" if code is None else str(code) if 0 <= code < MOST_CODES else "other"
    return f"error:{status}:{reason}:{error.source}:{shown}"


def tally_change(
    scope: Scope, account_id: str, before: Message, after: Message, now: int, written_at: int | None
) -> None:
    """Count a message that moved from one status to another. ``written_at``: of its submit, where it is known."""
    status, was = after.status, before.status
    if status is was:
        return
    at = now - now % MINUTE_MS
    if was in FINAL:
        scope.tally(account_id, at, "corrected")
        return
    scope.tally(account_id, 0, f"now:{was}", -1)
    if status not in FINAL:
        scope.tally(account_id, 0, f"now:{status}")
        return
    _tally_end(scope, account_id, at, status, after.reason, after.error)
    if written_at is not None and after.error.source not in (ErrorSource.LOCAL, ErrorSource.SUBMIT):
        scope.tally(account_id, at, f"wait:{bucket_of(max(0, now - written_at))}")


def tally_plain_end(
    scope: Scope, account_id: str, status: Status, reason: Reason, error: StatusError, now: int, written_at: int
) -> None:
    """Count a message on its way that a receipt ended: ``tally_change`` for the second most frequent change."""
    at = now - now % MINUTE_MS
    scope.tally(account_id, 0, _NOW_DISPATCHED, -1)
    scope.tally(account_id, at, _WAITS[bucket_of(max(0, now - written_at))])
    _tally_end(scope, account_id, at, status, reason, error)


def _tally_end(scope: Scope, account_id: str, at: int, status: Status, reason: Reason, error: StatusError) -> None:
    scope.tally(account_id, at, _STATUS[status])
    if status is not Status.DELIVERED:
        scope.tally(account_id, at, error_name(status, reason, error))


def tally_dispatched(scope: Scope, account_id: str, many: int) -> None:
    """Count queued messages that an SMSC has taken: ``tally_change`` for the most frequent change of all."""
    scope.tally(account_id, 0, _NOW_QUEUED, -many)
    scope.tally(account_id, 0, _NOW_DISPATCHED, many)


def tally_accepted(scope: Scope, new: NewBatch, stored: int) -> None:
    """Count a batch that was stored with so many messages; those that end at once are counted with their end."""
    batch = new.batch
    now = batch.modified_at
    at = now - now % MINUTE_MS
    scope.tally(batch.account_id, at, "accepted", stored)
    scope.tally(batch.account_id, 0, "now:QUEUED", stored - _tally_born(scope, new))


def tally_replaced(scope: Scope, new: NewBatch, before: int) -> None:
    """Count a batch whose ``before`` queued messages were replaced."""
    scope.tally(new.batch.account_id, 0, "now:QUEUED", len(new.messages) - before - _tally_born(scope, new))


def _tally_born(scope: Scope, new: NewBatch) -> int:
    """Count messages that are stored with their end; how many they are."""
    batch = new.batch
    now = batch.modified_at
    if batch.send_at is not None and batch.send_at > now:
        return 0
    at, born = now - now % MINUTE_MS, 0
    for one in new.messages:
        if one.abort is not None:
            born += 1
            scope.tally(batch.account_id, at, f"status:{Status.ABORTED}")
            name = error_name(Status.ABORTED, one.abort, StatusError(ErrorSource.LOCAL))
            scope.tally(batch.account_id, at, name)
    return born


_KEY: Final[dict[str, Kind]] = {"account_id": Str, "at": Int, "name": Str, "n": Int, "node": Str}
_ADD: Final = Statement(
    lambda r: (
        update(t.tally)
        .values(value=t.tally.c.value + r.c.n)
        .where(
            t.tally.c.account_id == r.c.account_id,
            t.tally.c.at == r.c.at,
            t.tally.c.name == r.c.name,
            t.tally.c.node == r.c.node,
        )
        .returning(t.tally.c.account_id, t.tally.c.at, t.tally.c.name)
    ),
    **_KEY,
)
_BEGIN: Final = Statement(
    lambda r: insert(t.tally).from_select(
        ["account_id", "at", "name", "node", "value"], select(r.c.account_id, r.c.at, r.c.name, r.c.node, r.c.n)
    ),
    **_KEY,
)


def write_tallies(tx: Tx, scope: Scope) -> None:
    """Write what the transaction has counted; in order, so that nobody waits in a circle."""
    counts = dict(scope.tallies)
    for (_, at, name), value in scope.tallies.items():
        key = (EVERYBODY, at, name)
        counts[key] = counts.get(key, 0) + value
    rows = [(*key, value, scope.node) for key, value in sorted(counts.items()) if value]
    if not rows:
        return
    known = {tuple(row) for row in tx.run(_ADD, rows)}
    if len(known) < len(rows):
        tx.run(_BEGIN, [row for row in rows if row[:3] not in known])


_SINCE: Final = Statement(
    lambda _: (
        select(t.tally.c.at, t.tally.c.name, func.sum(t.tally.c.value))
        .where(
            t.tally.c.account_id == bindparam("account", type_=Str),
            t.tally.c.at >= bindparam("since", type_=Int),
            t.tally.c.at <= bindparam("until", type_=Int),
        )
        .group_by(t.tally.c.at, t.tally.c.name)
        .order_by(t.tally.c.at)
    )
)
_FOREVER: Final = 1 << 62
KEPT_MS: Final = 8 * 86_400_000
"""Minutes are kept so long: a day is shown, a week can be asked for by hand."""
_FORGET: Final = Statement(
    lambda _: delete(t.tally).where(t.tally.c.at > 0, t.tally.c.at < bindparam("before", type_=Int))
)


def tallies_since(tx: Tx, account_id: str, since: int) -> list[Tally]:
    """What stands now, and the counts of the minutes since then, oldest first."""
    rows = tx.run(_SINCE, account=account_id, since=0, until=0)
    rows += tx.run(_SINCE, account=account_id, since=max(1, since), until=_FOREVER)
    return [Tally(at, name, int(value)) for at, name, value in rows]


_QUEUED_NOW: Final = Statement(
    lambda _: (
        select(t.tally.c.account_id, func.sum(t.tally.c.value))
        .where(t.tally.c.at == 0, t.tally.c.name == _NOW_QUEUED)
        .group_by(t.tally.c.account_id)
    )
)


def queued_now(tx: Tx) -> dict[str, int]:
    """How many messages stand at QUEUED, by account; of all under ``EVERYBODY``."""
    return {account_id: int(value) for account_id, value in tx.run(_QUEUED_NOW)}


def forget_tallies(tx: Tx, scope: Scope, items: Sequence[int]) -> list[None]:
    """Forget minutes before the given one."""
    tx.run(_FORGET, before=max(items))
    return [None] * len(items)


def tally_callbacks(scope: Scope, found: Iterable[tuple[str, str, int]]) -> None:
    """Count attempts at callbacks: (account, state after it, when)."""
    for account_id, state, now in found:
        scope.tally(account_id, now - now % MINUTE_MS, f"callback:{state}")
